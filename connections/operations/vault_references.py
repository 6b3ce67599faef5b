"""What refers to a linked Key Vault, and whether another one could stand in for it."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import connections as databases
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors, sealed, vault_access, vault_clients
from connections.connectors.errors import ConnectorError, TryLater
from connections.key_vault import names, transport
from connections.key_vault.base import SecretFacts
from connections.models import (
    Connection,
    ConnectionSecret,
    KeyVault,
    VaultSecret,
    VaultSecretState,
    VaultState,
)
from connections.operations.attention import settle_connections
from connections.operations.limits import slot
from connections.operations.vault_health import record_secret_state
from connections.vault_states import VAULT_STATES
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User

# Seconds for all questions that one page asks of vaults (rule S20), and how many are put to a vault at once.
DEADLINE = 10.0
AT_ONCE = 4
# A refusal of the portal altogether is one of every secret.
_OF_ALL = frozenset(
    code
    for code, state in VAULT_STATES.items()
    if state != VaultState.UNREACHABLE and code != "vault_forbidden"
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A secret field of a connection that is read from a vault."""

    row: ConnectionSecret
    connection: Connection
    secret: VaultSecret

    @property
    def host(self) -> str:
        """Where the connection leads: what the tag ``portal-target`` is compared with."""
        connector = connectors.get(self.connection.type_key)
        return connector.target(self.connection.settings).get("host", "") if connector else ""

    @property
    def label(self) -> str:
        """What the field is called."""
        connector = connectors.get(self.connection.type_key)
        fields = connector.fields if connector else ()
        return next((_(field.label) for field in fields if field.key == self.row.field), self.row.field)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether a vault has a secret that a reference could read there: ``code`` is empty when it could.

    ``facts`` are the vault's own words about it, without its value.
    """

    code: str = ""
    facts: SecretFacts | None = None

    @property
    def text(self) -> str:
        """The code in words."""
        return {
            "": _("Usable"),
            "vault_secret_disabled": _("Disabled there"),
            "vault_secret_expired": _("Expired there"),
            "vault_secret_not_yet_valid": _("Not valid yet there"),
            "vault_secret_missing": _("Missing there"),
            "vault_not_allowed": _("Not allowed by its link"),
            "vault_target_refused": _("Tagged there for another target"),
            "vault_forbidden": _("The vault does not tell what it has"),
            "not_looked_at": _("Not looked at in time; do it again for the rest"),
        }.get(self.code, _("The vault could not be asked"))


def references(vault: KeyVault) -> list[Reference]:
    """What connections read from the vault, by connection and field; drafts apart."""
    rows = ConnectionSecret.objects.filter(vault_secret__vault=vault, connection__isnull=False)
    found = rows.select_related("connection", "vault_secret").order_by(
        "connection__name_key", "connection_id", "field"
    )
    return [
        Reference(row=row, connection=row.connection, secret=row.vault_secret)
        for row in found
        if row.connection is not None and row.vault_secret is not None
    ]


def impact_of(vault: KeyVault, found: Iterable[Reference], *more: object) -> str:
    """The token of a vault and what is read from it: SHA-256 (hex), another one whenever anything of it changed."""
    marks = sorted(
        [
            str(one.connection.uuid),
            one.connection.version,
            one.row.field,
            one.row.revision,
            one.secret.name,
            one.secret.pinned,
        ]
        for one in found
    )
    return sealed.digest([str(vault.uuid), vault.version, marks, *more])


def connections_of(found: Iterable[Reference]) -> dict[UUID, list[Reference]]:
    """The references by connection, in the order they came."""
    grouped: dict[UUID, list[Reference]] = {}
    for one in found:
        grouped.setdefault(one.connection.uuid, []).append(one)
    return grouped


def look(
    vault: KeyVault, found: Sequence[Reference], *, pinned: bool = False, most: int | None = None
) -> list[Fit]:
    """Ask a vault about the latest version of each reference's secret, or with ``pinned`` about the fixed one.

    Values are not read. What ten seconds leave no time for is *not looked at*, and what comes after the first ``most``
    secrets. Not to be called inside a transaction. Raises TooMany while others wait for strangers' servers (rule S20).
    """
    asked = [(one.secret.name, one.secret.pinned if pinned else "") for one in found]
    with slot(), transport.within(DEADLINE):
        known = _ask(vault, list(dict.fromkeys(asked))[:most])
    unseen = Fit(code="not_looked_at")
    return [_judged(vault, one, known.get(key, unseen)) for one, key in zip(found, asked, strict=True)]


def _ask(vault: KeyVault, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Fit]:
    """What the vault says of each name and version, some at a time; one that is out of reach is not asked again.

    The first question is put alone: with it the portal signs in, once, also where that is refused.
    """
    known: dict[tuple[str, str], Fit] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begin, number = 0, 1
        while begin < len(wanted) and transport.left():
            keys = wanted[begin : begin + number]
            # each has the time that is left, which is known by context
            asking = [pool.submit(copy_context().run, partial(_fit_of, vault, *key)) for key in keys]
            answers = [one.result() for one in asking]
            known |= {key: fit for key, (fit, _goes_on) in zip(keys, answers, strict=True)}
            if not all(goes_on for _fit, goes_on in answers):
                break
            begin, number = begin + number, AT_ONCE
    refused = next((fit for fit in known.values() if fit.code in _OF_ALL), None)
    return dict.fromkeys(wanted, refused) if refused else known


def _fit_of(vault: KeyVault, name: str, version: str) -> tuple[Fit, bool]:
    """What the vault says of one secret, and whether it may be asked for more; in a thread of its own."""
    try:
        return Fit(facts=vault_clients.client_of(vault, patient=False).facts(name, version)), True
    except ConnectorError as error:
        return Fit(code=error.code), not isinstance(error, TryLater) and error.code not in _OF_ALL
    finally:
        databases.close_all()  # signing in reads the stored credential, over a session of this thread


def _judged(other: KeyVault, one: Reference, fit: Fit) -> Fit:
    """What the vault said of a secret, held against the link's scope, the target and the time (rule S8)."""
    facts = fit.facts
    if facts is None:
        return fit
    code = names.usable(facts, timezone.now())
    if not names.allows(other.scope, other.scope_value, facts):
        code = "vault_not_allowed"
    elif not names.for_target(names.target_tag(facts), one.host):
        code = "vault_target_refused"
    return Fit(code=code, facts=facts)


def carry(one: Reference, other: KeyVault, fit: Fit) -> None:
    """Let the field read the same name from the other vault, always its latest version; inside a transaction.

    Raises OperationError when the link does not allow it any more.
    """
    try:
        secret = vault_access.reference(vault=other, name=one.secret.name, facts=fit.facts)
    except ConnectorError as error:
        raise OperationError(_(error.cause)) from None
    if secret.state != VaultSecretState.FORBIDDEN:  # which only a reading can say
        usable = partial(record_secret_state, secret.pk, VaultSecretState.USABLE, facts=fit.facts)
        transaction.on_commit(usable, robust=True)  # it locks connections that are not locked here
    one.row.vault_secret = secret
    one.row.revision += 1
    one.row.save(update_fields=["vault_secret", "revision"])


def lock_with(
    vault: KeyVault, found: Iterable[Reference], others: Iterable[UUID] = ()
) -> tuple[dict[int, Connection], dict[UUID, KeyVault]]:
    """The connections by id and the vaults by uuid, as they are now, locked; then whatever refers to the vault.

    Order of locks: connections, vaults, secrets; exports, enrichments and runs come after. Raises Stale when the vault
    was unlinked. Who saves a draft meanwhile waits, or has been seen by ``references`` from here on.
    """
    ids = {one.connection.pk for one in found}
    connections = Connection.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk")
    by_id = {connection.pk: connection for connection in connections.select_related("consent")}
    vaults = KeyVault.objects.select_for_update(of=("self",)).filter(uuid__in=[vault.uuid, *others])
    by_uuid = {one.uuid: one for one in vaults.select_related("consent").order_by("pk")}
    if vault.uuid not in by_uuid:
        raise Stale(_("The vault was unlinked meanwhile."))
    rows = ConnectionSecret.objects.select_for_update(of=("self",)).filter(vault_secret__vault=vault)
    list(rows.order_by("pk").values_list("pk", flat=True))
    return by_id, by_uuid


def record_carried(
    connection: Connection, carried: Sequence[Reference], before: KeyVault, other: KeyVault, actor: User
) -> None:
    """Write that these fields of the connection, which gets another version, read another vault from now on."""
    connection.version += 1
    connection.updated_by = actor
    connection.save()
    # what was wrong with the vault from before is over
    transaction.on_commit(partial(settle_connections, [connection.pk]), robust=True)
    audit.record(
        "vault.replaced",
        actor=actor,
        target=connection,
        fields=[one.row.field for one in carried],
        vault=other.host,
        vault_before=before.host,
        secrets=[one.secret.name for one in carried],
        versions_let_go=[one.secret.name for one in carried if one.secret.pinned],
        version=connection.version,
    )
