"""*Share*: who can use a connection, and what becomes of what was built by those who no longer can."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils.translation import gettext as _

from connections import dependents
from connections.dependents import Withdrawal
from connections.models import Access, Connection
from connections.operations.edit import lock
from connections.sharing import Grants, contributors_with, granted, is_open, set_grants
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.undo import Item

# A change of access on which more than so many things hang is not offered to be undone: the token would be too long.
MOST_REMEMBERED = 200
# Characters of each half of an impact's token.
HALF = 32


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The connection as it is shared now, and what undoes it: None where nothing changed, or too much hangs on it."""

    connection: Connection
    undo: Item | None = None


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What withdrawing access would do: who loses the right, what that concerns, and the token that stands for it."""

    losing: Sequence[User]
    withdrawals: Sequence[Withdrawal]
    token: str

    @property
    def asks(self) -> bool:
        """Whether something that runs by itself loses its responsible person, so that there is a choice to make."""
        return any(withdrawal.asks for withdrawal in self.withdrawals)


class AccessWithdrawn(OperationError):
    """People lose the right to something in use; nothing is saved until the impact has been seen (design: Sharing).

    409 when the impact of this very choice was seen and it is not this one any more.
    """

    def __init__(self, impact: Impact, *, seen: str) -> None:
        changed = seen[:HALF] == impact.token[:HALF]
        super().__init__(
            _("This has changed since you looked. Look at it again.")
            if changed
            else _("Nothing has been saved yet.")
        )
        self.impact = impact
        self.status = 409 if changed else 422


def share_connection(
    *,
    connection: Connection,
    version: int,
    access: Access,
    people: Sequence[User] = (),
    groups: Sequence[Group] = (),
    impact: str = "",
    keep: bool = True,
    actor: User,
) -> Shared:
    """Set who can use the connection, from the page that showed ``version``; running runs are not touched (rule S4).

    ``people`` and ``groups`` count with *Specific people* only. Where somebody loses the right to something in use,
    ``impact`` is the token of what they were shown; with ``keep``, or where nothing has a schedule, the actor answers
    for what loses its responsible person, else its schedules are turned off. What is as it was changes nothing. Raises
    Stale when somebody else changed or removed the connection, and AccessWithdrawn when the impact has not been seen,
    or is another one now. Raises OperationError for a type that is open to all contributors.
    """
    if is_open(connection.type_key):
        raise OperationError(_("This connection can be used by administrators and contributors."))
    if access != Access.SPECIFIC:
        people, groups = (), ()
    with transaction.atomic():
        locked = lock(connection, version)
        before = granted(locked)
        after = Grants(
            access=access, people=frozenset(p.pk for p in people), groups=frozenset(g.pk for g in groups)
        )
        if before == after:
            return Shared(connection=locked)
        had, has = contributors_with(before), contributors_with(after)
        gained = [person for pk, person in has.items() if pk not in had]
        losing = [person for pk, person in had.items() if pk not in has]
        now = impact_of(locked, losing, after)
        if now.withdrawals and impact != now.token:
            raise AccessWithdrawn(now, seen=impact)
        keep = keep or not now.asks
        memories = dependents.remember_all(locked, losing, keep=keep)
        settled = dependents.settle_withdrawals(locked, losing, keep=keep, actor=actor)
        locked.access, locked.updated_by = access, actor
        locked.version += 1
        locked.save(update_fields=["access", "version", "updated_by", "updated_at"])
        set_grants(locked, access, people, groups)
        details: dict[str, Any] = {
            "access": access.value,
            "people": [str(person) for person in people],
            "groups": [group.name for group in groups],
            "gained": [str(person) for person in gained],
            "lost": [str(person) for person in losing],
        }
        if settled:
            details |= {"kept_running" if keep else "schedules_off": [str(uuid) for uuid in settled]}
        audit.record("connection.shared", actor=actor, target=locked, **details)
        return Shared(connection=locked, undo=_to_undo(locked, before, memories))


def _to_undo(connection: Connection, before: Grants, memories: dict[str, list[Any]]) -> Item | None:
    if sum(map(len, memories.values())) > MOST_REMEMBERED:
        return None
    state = {
        "access": before.access.value,
        "people": sorted(before.people),
        "groups": sorted(before.groups),
        "memories": memories,
    }
    return Item(uuid=connection.uuid, version=connection.version, before=state)


def impact_of(connection: Connection, losing: Sequence[User], choice: Grants) -> Impact:
    """What it means that these people lose the right by this choice, as things are now.

    One half of the token is a digest of the choice, so that another choice is told from changes by others; the other
    half one of the connection's version, the people, and identifier and version of all concerned.
    """
    withdrawals = dependents.withdrawals(connection, losing)
    marks = sorted((str(uuid), version) for withdrawal in withdrawals for uuid, version in withdrawal.marks)
    content = [connection.version, sorted(person.pk for person in losing), marks]
    chosen = [choice.access.value, sorted(choice.people), sorted(choice.groups)]
    return Impact(losing=losing, withdrawals=withdrawals, token=_digest(chosen) + _digest(content))


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:HALF]
