"""What people answer for: things that run by somebody's right. Each app registers its own kind at start.

Nobody here knows which kinds there are. Asked before somebody loses a role, a group or their account: what they
answer for stops until somebody else takes it over (design: Rights).
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from connections_portal.errors import OperationError


@dataclass(frozen=True, order=True, kw_only=True)
class Item:
    """One thing that somebody answers for; ``url`` is its page, ``by_itself`` whether it has a schedule."""

    name: str
    uuid: UUID
    url: str
    by_itself: bool


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of such things. ``phrase`` gives *3 exports* for 3.

    ``running`` finds what these people (ids) answer for and may run now: nothing that has stopped already.
    """

    key: str
    phrase: Callable[[int], str]
    running: Callable[[Collection[int]], list[Item]]


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Of one kind, what would stop."""

    kind: Kind
    items: Sequence[Item]

    @property
    def sentence(self) -> str:
        """*2 exports will stop running by schedule until … takes over. 1 export can still be run by hand by …*."""
        scheduled = sum(item.by_itself for item in self.items)
        stopping = _("%(what)s will stop running by schedule until somebody else with the right takes over.")
        staying = _("%(what)s can still be run by hand by others with the right.")
        sentences = ((scheduled, stopping), (len(self.items) - scheduled, staying))
        return " ".join(text % {"what": self.kind.phrase(number)} for number, text in sentences if number)


class Stops(OperationError):
    """Something that runs would stop; nothing is saved until that has been seen.

    409 when something was seen, and it is not this any more.
    """

    def __init__(self, stopping: Sequence[Stopping], *, seen: str) -> None:
        super().__init__(
            _("This has changed since you looked. Look at it again.")
            if seen
            else _("Nothing has been saved yet.")
        )
        self.stopping = stopping
        self.token = token(stopping)
        self.status = 409 if seen else 422


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind known; called once from an app's ``ready``."""
    _kinds[kind.key] = kind


def running(people: Collection[int]) -> list[Stopping]:
    """What these people (ids) answer for and may run now, by kind and name; one query for each kind."""
    if not people:
        return []
    found = ((kind, kind.running(people)) for kind in _kinds.values())
    return [Stopping(kind=kind, items=sorted(items)) for kind, items in found if items]


def difference(before: Sequence[Stopping], after: Sequence[Stopping]) -> list[Stopping]:
    """What was running and is not any more."""
    still = {item.uuid for stopping in after for item in stopping.items}
    left = ((s.kind, [item for item in s.items if item.uuid not in still]) for s in before)
    return [Stopping(kind=kind, items=items) for kind, items in left if items]


def token(stopping: Sequence[Stopping]) -> str:
    """What stands for this very answer, so that it can be told from another one; empty when nothing stops."""
    uuids = sorted(str(item.uuid) for kind in stopping for item in kind.items)
    return hashlib.sha256("".join(uuids).encode()).hexdigest()[:32] if uuids else ""
