"""*Replace by another vault*: connections read secrets of the same names from another linked vault."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from connections.models import KeyVault
from connections.operations.vault_references import (
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
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User

# So many secrets are looked at in one go: as many when it is shown as when it is done, whatever time they take.
MOST = 200


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What would change: each reference with what the other vault says of its secret, and the token of all that."""

    rows: Sequence[tuple[Reference, Fit]]
    impact: str

    @property
    def movable(self) -> list[tuple[Reference, Fit]]:
        """Those that the other vault has, usable here."""
        return [(one, fit) for one, fit in self.rows if not fit.code]


class Changed(Stale):
    """What would change is not what was shown; ``planned`` is what it is now."""

    def __init__(self, planned: Replacement) -> None:
        super().__init__(_changed())
        self.planned = planned


def plan_replacement(vault: KeyVault, other: KeyVault) -> Replacement:
    """Ask the other vault for each secret that is read from this one, 200 at most. Not to be called in a transaction.

    Raises TooMany while others wait for strangers' servers.
    """
    found = references(vault)
    fits = look(other, found, most=MOST) if found else []
    return Replacement(rows=list(zip(found, fits, strict=True)), impact=_impact(vault, other, found, fits))


def replace_vault(*, vault: KeyVault, other: KeyVault, impact: str, actor: User) -> int:
    """Let everything the other vault has be read from there, and leave the rest; returns how many connections changed.

    ``impact`` is the token of what was shown. A fixed version cannot be carried over: it becomes the latest. Runs under
    way go on with what they have read. The other vault is asked again first, outside the transaction; it locks
    connections, then vaults. Raises Stale when anything of what was shown is different now, TooMany, and OperationError
    where nothing can move.
    """
    planned = plan_replacement(vault, other)
    if planned.impact != impact:
        raise Changed(planned)
    if not planned.movable:
        raise OperationError(_("Nothing can be read from this vault instead."))
    try:
        with transaction.atomic():
            connections, vaults = lock_with(vault, [one for one, _fit in planned.rows], [other.uuid])
            if other.uuid not in vaults:
                raise Stale(_("The vault to read from was unlinked meanwhile. Choose again."))
            found = references(vaults[vault.uuid])
            fits = [fit for _one, fit in planned.rows]
            if _impact(vaults[vault.uuid], vaults[other.uuid], found, fits) != impact:
                raise Stale(_changed())
            by_row = {one.row.pk: fit for one, fit in planned.movable}
            moving = [one for one in found if one.row.pk in by_row]
            for rows in connections_of(moving).values():
                for one in rows:
                    carry(one, vaults[other.uuid], by_row[one.row.pk])
                connection = connections[rows[0].connection.pk]
                record_carried(connection, rows, vaults[vault.uuid], vaults[other.uuid], actor)
            return len(connections_of(moving))
    except IntegrityError:
        raise Stale(_changed()) from None


def _impact(vault: KeyVault, other: KeyVault, found: Sequence[Reference], fits: Sequence[Fit]) -> str:
    return impact_of(vault, found, str(other.uuid), other.version, [fit.code for fit in fits])


def _changed() -> str:
    return _("This has changed since you opened it. Look at it again.")
