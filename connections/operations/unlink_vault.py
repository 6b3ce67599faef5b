"""*Unlink* a vault: what reads its secrets is settled first, in the same transaction (as for removing a connection)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from connections import consent, vault_clients
from connections.key_vault import transport
from connections.models import Connection, ConnectionSecret, KeyVault, VaultSecret
from connections.operations.pause import halt
from connections.operations.vault_references import (
    DEADLINE,
    Fit,
    Reference,
    carry,
    connections_of,
    impact_of,
    lock_with,
    look,
    record_carried,
    references,
)
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User

# The code of a connection that was paused because its secret was in a vault that is not linked any more.
UNLINKED = "vault_unlinked"


@dataclass(frozen=True, kw_only=True)
class Unlinked:
    """How many connections read another vault now, and how many are paused."""

    moved: int
    paused: int


def unlink_vault(
    *, vault: KeyVault, impact: str, choices: Mapping[UUID, UUID | None], actor: User
) -> Unlinked:
    """Carry out a choice per connection, then delete the link with all that is known of the vault.

    ``choices`` are by the connection's uuid: another linked vault to read the same secrets from, or None to pause it,
    which deletes its references and cancels its runs. ``impact`` is the token of what was shown
    (``vault_references.impact_of``). References of drafts go. Consent and audit stay.

    Other vaults are asked first, outside the transaction. Locks connections, then vaults, then exports and runs.
    Raises Stale, FinishingRun, TooMany, and OperationError with a sentence at ``choice-<uuid>`` of each connection
    whose secrets the other vault does not have; nothing has happened then.
    """
    found = references(vault)
    with transport.within(DEADLINE):
        fits = _look(vault, found, choices)
    try:
        with transaction.atomic():
            others = {other for other in choices.values() if other}
            connections, vaults = lock_with(vault, found, others)
            locked = vaults[vault.uuid]
            now = references(locked)
            if impact_of(locked, now) != impact:
                raise Stale(_("This has changed since you opened this dialog. Look at it again."))
            done = _settle(locked, now, choices, connections, vaults, fits, actor)
            _delete(locked, done, actor)
            return done
    except (ProtectedError, IntegrityError):
        raise Stale(_("A secret of the vault was chosen just now. Look at it again.")) from None


def _look(vault: KeyVault, found: Sequence[Reference], choices: Mapping[UUID, UUID | None]) -> dict[int, Fit]:
    """Ask the vaults that were chosen for what is to be read there; by the id of the secret's row."""
    fits: dict[int, Fit] = {}
    wrong: dict[str, str] = {}
    wanted: dict[UUID, list[Reference]] = {}
    for one in found:
        if other := choices.get(one.connection.uuid):
            wanted.setdefault(other, []).append(one)
    vaults = {other.uuid: other for other in KeyVault.objects.filter(uuid__in=wanted).exclude(pk=vault.pk)}
    for uuid, asked in wanted.items():
        if uuid not in vaults:
            wrong |= {
                f"choice-{one.connection.uuid}": _("This vault is not linked any more.") for one in asked
            }
            continue
        for one, fit in zip(asked, look(vaults[uuid], asked), strict=True):
            fits[one.row.pk] = fit
            if fit.code:
                wrong[f"choice-{one.connection.uuid}"] = _("%(secret)s in %(vault)s: %(why)s.") % {
                    "secret": one.secret.name,
                    "vault": vaults[uuid].name,
                    "why": fit.text,
                }
    if any(fit.code == "not_looked_at" for fit in fits.values()):
        raise OperationError(
            _(
                "There was no time to look at every secret. Replace the vault by another one first, in as many steps "
                "as it takes, then unlink it."
            ),
            fields=wrong,
        )
    if wrong:
        raise OperationError(_("Not every secret can be read from the vault you chose."), fields=wrong)
    return fits


def _settle(
    vault: KeyVault,
    found: Sequence[Reference],
    choices: Mapping[UUID, UUID | None],
    connections: Mapping[int, Connection],
    vaults: Mapping[UUID, KeyVault],
    fits: Mapping[int, Fit],
    actor: User,
) -> Unlinked:
    moved = paused = 0
    for uuid, rows in connections_of(found).items():
        connection = connections[rows[0].connection.pk]
        if uuid not in choices:
            raise OperationError(_("Choose for each connection what should happen."))
        other = choices[uuid]
        if other is None:
            _pause(connection, rows, vault, actor)
            paused += 1
            continue
        if other not in vaults or any(one.row.pk not in fits for one in rows):
            raise Stale(_("The vault to read from was unlinked meanwhile. Choose again."))
        for one in rows:
            carry(one, vaults[other], fits[one.row.pk])
        record_carried(connection, rows, vault, vaults[other], actor)
        moved += 1
    return Unlinked(moved=moved, paused=paused)


def _pause(connection: Connection, rows: Sequence[Reference], vault: KeyVault, actor: User) -> None:
    """Take the references away and pause: nothing goes over it until somebody has entered its secrets again."""
    canceled = halt(connection, actor)
    connection.state_code = UNLINKED
    connection.save()
    ConnectionSecret.objects.filter(pk__in=[one.row.pk for one in rows]).delete()
    audit.record(
        "connection.paused",
        actor=actor,
        target=connection,
        canceled=canceled,
        fields=[one.row.field for one in rows],
        vault=vault.host,
        secrets=[one.secret.name for one in rows],
        code=UNLINKED,
        version=connection.version,
    )


def _delete(vault: KeyVault, done: Unlinked, actor: User) -> None:
    withdrawn = consent.withdraw_for_vault(vault=vault, person=actor)
    ConnectionSecret.objects.filter(vault_secret__vault=vault, draft__isnull=False).delete()
    audit.record(
        "vault.unlinked",
        actor=actor,
        target=vault,
        vault=vault.host,
        moved=done.moved,
        paused=done.paused,
        consent=str(withdrawn.uuid),
    )
    VaultSecret.objects.filter(vault=vault).delete()
    vault.delete()
    transaction.on_commit(lambda: vault_clients.forget(vault))
