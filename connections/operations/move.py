"""*Move* what is built on a connection to another one, without removing anything."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from connections import dependents
from connections.dependents import Kind
from connections.models import Connection
from connections.operations.remove import impact_of, lock_with, move_targets
from connections.sharing import contributors_with, granted
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User


@dataclass(frozen=True, kw_only=True)
class Moving:
    """What moving means for one kind: how many there are, and why some cannot move (by their uuid).

    ``loose`` are those among the others that the connection does nothing for at present: inactive enrichments. They
    move along, so that nothing is left behind that the next removal would take the connection from.
    """

    kind: Kind
    total: int
    unfit: Mapping[UUID, str]
    loose: int

    @property
    def number(self) -> int:
        """How many move."""
        return self.total - len(self.unfit)


def plan(connection: Connection, target: Connection, actor: User) -> list[Moving]:
    """What would move to ``target``, kind by kind; the fields of each are checked."""
    planned = []
    for kind in dependents.kinds():
        if total := kind.count([connection.pk]).get(connection.pk, 0):
            unfit = kind.unfit(connection, [target])[target.pk]
            loose = [one for one in kind.loose(connection, actor) if one.uuid not in unfit]
            planned.append(Moving(kind=kind, total=total, unfit=unfit, loose=len(loose)))
    return planned


def losing(connection: Connection, targets: Iterable[Connection]) -> dict[UUID, list[User]]:
    """By target, who may use the connection and not the target: they can no longer change what moves there."""
    could = contributors_with(granted(connection))
    lost = {}
    for target in targets:
        can = contributors_with(granted(target))
        lost[target.uuid] = [person for pk, person in could.items() if pk not in can]
    return lost


def move_dependents(*, connection: Connection, target: Connection, impact: str, actor: User) -> int:
    """Move everything that fits to ``target``, and leave the rest; returns how many were moved.

    ``impact`` is the token of what was shown (``remove.impact_of``). Runs under way are canceled. Raises Stale when
    the connection or anything built on it changed since, or was removed; FinishingRun; and OperationError where
    ``target`` cannot be used or nothing fits.
    """
    with transaction.atomic():
        locked = lock_with(connection, [target.uuid])
        source = locked[connection.uuid]
        goal = locked.get(target.uuid)
        if goal is None or not move_targets(source, actor).filter(pk=goal.pk).exists():
            raise OperationError(
                _("Nothing was moved."), fields={"to": _("Choose a connection from the list.")}
            )
        if impact != impact_of(source):
            raise Stale(_("This has changed since you opened this dialog. Look at it again."))
        moved = {
            planned.kind.key: _move(planned, source, goal, actor) for planned in plan(source, goal, actor)
        }
        if not any(moved.values()):
            raise OperationError(_("Nothing can move to this connection."))
        audit.record(
            "connection.dependents_moved",
            actor=actor,
            target=source,
            connection=goal.name,
            settled={key: number for key, number in moved.items() if number},
        )
        return sum(moved.values())


def _move(planned: Moving, source: Connection, goal: Connection, actor: User) -> int:
    kind = planned.kind
    choice = next(choice.key for choice in kind.choices() if choice.moves)
    chosen = None
    if planned.unfit or planned.loose:
        chosen = [uuid for uuid, _version in kind.marks([source.pk])[source.pk] if uuid not in planned.unfit]
    return kind.settle(source, chosen, choice, goal, actor)
