"""Settings > Key Vault as data: the tiles of linked vaults, with what uses each of them."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, Window
from django.db.models.functions import DenseRank
from django.urls import reverse
from django.utils.translation import gettext as _

from connections.models import Connection, KeyVault, VaultIdentity, VaultScope, VaultState
from connections.operations.vault_check_now import is_waiting

# So many connections are named on a tile.
NAMED = 8
KINDS = {
    VaultState.WORKING: "ok",
    VaultState.UNREACHABLE: "bad",
    VaultState.SIGN_IN_REFUSED: "bad",
    VaultState.FORBIDDEN: "bad",
}


@dataclass(frozen=True, kw_only=True)
class VaultTile:
    """One linked vault: ``used`` connections read from it, the first ones by name with their page."""

    vault: KeyVault
    used: int
    users: Sequence[tuple[str, str]]
    is_waiting: bool

    @property
    def kind(self) -> str:
        """Of its state, for ``_status.html``."""
        return KINDS[VaultState(self.vault.state)]

    @property
    def cause(self) -> str:
        """Why it is in this state; empty while it works."""
        return _(self.vault.state_cause) if self.vault.state_cause else ""

    @property
    def scope(self) -> str:
        """Which of its secrets may be used here."""
        return scope_words(self.vault)

    @property
    def identity(self) -> str:
        """Who signs in."""
        return identity_words(self.vault)

    @property
    def more(self) -> int:
        """How many connections are not named."""
        return self.used - len(self.users)


def tiles(vaults: Sequence[KeyVault], now: dt.datetime) -> list[VaultTile]:
    """The tiles of these vaults, with two queries whatever their number."""
    ids = [vault.pk for vault in vaults]
    reads = Q(secrets__vault_secret__vault__in=ids)
    counted = Connection.objects.filter(reads).values_list("secrets__vault_secret__vault")
    used = dict(counted.annotate(Count("pk", distinct=True)))
    named: dict[int, dict[Any, str]] = defaultdict(dict)
    place = Window(DenseRank(), partition_by="secrets__vault_secret__vault", order_by=["name_key", "pk"])
    rows = Connection.objects.filter(reads).annotate(place=place).filter(place__lte=NAMED)
    first = rows.order_by("name_key", "pk").values_list("secrets__vault_secret__vault", "uuid", "name")
    for vault_id, uuid, name in first:
        named[vault_id][uuid] = name
    return [
        VaultTile(
            vault=vault,
            used=used.get(vault.pk, 0),
            users=[
                (name, reverse("connections:detail", args=[uuid])) for uuid, name in named[vault.pk].items()
            ],
            is_waiting=is_waiting(vault, now),
        )
        for vault in vaults
    ]


def scope_words(vault: KeyVault) -> str:
    """*Names beginning with portal-*."""
    match VaultScope(vault.scope):
        case VaultScope.PREFIX:
            return _("Names beginning with %(prefix)s") % {"prefix": vault.scope_value}
        case VaultScope.TAG:
            return _("With the tag %(tag)s") % {"tag": vault.scope_value}
        case VaultScope.ALL:
            return _("All of them")


def identity_words(vault: KeyVault) -> str:
    """Who signs in at the vault."""
    match VaultIdentity(vault.identity):
        case VaultIdentity.PORTAL:
            return _("The portal's own identity")
        case VaultIdentity.PRINCIPAL_SECRET:
            return _("Service principal with a client secret")
        case VaultIdentity.PRINCIPAL_CERTIFICATE:
            return _("Service principal with a certificate")
