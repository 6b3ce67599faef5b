"""The lists *Subscription*, *Resource group* and *Vault*, from what Azure's directory shows the portal's identity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from connections import vault_clients
from connections.connectors.errors import ConnectorError
from connections.key_vault.base import ListedVault
from connections.models import KeyVault
from connections.operations.limits import TooMany, slot

# So many vaults are offered at a time; subscription and resource group narrow them.
MOST = 200


@dataclass(frozen=True, kw_only=True)
class VaultLists:
    """What there is to choose from; ``note`` says in one line why there is nothing, or not everything.

    ``linked`` are hosts among those ``offered`` that need no second link.
    """

    vaults: Sequence[ListedVault] = ()
    subscriptions: Sequence[tuple[str, str]] = ()
    groups: Sequence[str] = ()
    subscription: str = ""
    group: str = ""
    offered: Sequence[ListedVault] = field(default_factory=tuple)
    linked: frozenset[str] = frozenset()
    note: str = ""


def read_lists(values: Mapping[str, str]) -> VaultLists:
    """Ask the directory, at most once a minute; ``values`` say which ``subscription`` and ``group`` are chosen.

    Never raises: where the directory cannot be read, there is a note in place of lists.
    """
    try:
        with slot():
            vaults = vault_clients.directory()
    except (ConnectorError, TooMany) as error:
        cause = error.message if isinstance(error, TooMany) else _(error.cause)
        return VaultLists(
            note=_("The list of vaults cannot be read: %(cause)s Type the vault's address.")
            % {"cause": cause}
        )
    if not vaults:
        return VaultLists(note=_("Azure shows the portal's identity no vault. Type the vault's address."))
    subscription, group = values.get("subscription", ""), values.get("group", "")
    here = [one for one in vaults if not subscription or one.subscription_id == subscription]
    groups = sorted({one.resource_group for one in here}, key=str.lower)
    if group not in groups:
        group = ""
    offered = [one for one in here if not group or one.resource_group == group]
    offered.sort(key=lambda one: (one.name.lower(), one.host))
    linked = KeyVault.objects.filter(host__in=[one.host for one in offered[:MOST]])
    names = {one.subscription_id: one.subscription_name or one.subscription_id for one in vaults}
    return VaultLists(
        vaults=vaults,
        subscriptions=sorted(names.items(), key=lambda row: row[1].lower()),
        groups=groups,
        subscription=subscription if subscription in names else "",
        group=group,
        offered=offered[:MOST],
        linked=frozenset(linked.values_list("host", flat=True)),
        note=_("Only the first %(n)d are listed. Choose a subscription or a resource group.") % {"n": MOST}
        if len(offered) > MOST
        else "",
    )
