"""What is built on connections. Each app registers its own kind at start; nobody here knows which there are."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from connections.models import Connection
from connections_portal.models import User


@dataclass(frozen=True)
class Dependent:
    """One thing that uses a connection; ``url`` is its own page."""

    name: str
    url: str


@dataclass(frozen=True)
class Kind:
    """A kind of dependent. ``count`` maps ids of connections to numbers, ``find`` lists those of one connection.

    ``phrase`` gives *3 exports* for 3; ``list_url`` is the page that lists those of one connection. The last three run
    inside the caller's transaction and return how many were touched: ``interrupt`` cancels what is under way and
    raises FinishingRun when something is just finishing, ``hold`` lets nothing start by itself, ``go_on`` lets
    schedules count again from a moment on, without catching up.
    """

    key: str
    phrase: Callable[[int], str]
    count: Callable[[Iterable[int]], dict[int, int]]
    find: Callable[[Connection, User], list[Dependent]]
    list_url: Callable[[Connection], str]
    interrupt: Callable[[Connection, User], int]
    hold: Callable[[Connection], int]
    go_on: Callable[[Connection, datetime], int]


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind of dependent known; called once from an app's ``ready``."""
    _kinds[kind.key] = kind


def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of registration."""
    return tuple(_kinds.values())


def used_by(connection_ids: Iterable[int]) -> dict[int, list[str]]:
    """Per connection the phrases of what uses it: ``{7: ["3 exports", "1 enrichment"]}``; unused ones are absent."""
    ids = list(connection_ids)
    phrases: dict[int, list[str]] = {}
    for kind in kinds():
        for connection_id, number in kind.count(ids).items():
            if number:
                phrases.setdefault(connection_id, []).append(kind.phrase(number))
    return phrases


def interrupt_all(connection: Connection, actor: User) -> int:
    """Cancel everything under way on the connection; returns how much. Raises FinishingRun."""
    return sum(kind.interrupt(connection, actor) for kind in kinds())


def hold_all(connection: Connection) -> None:
    """Let nothing on the connection start by itself until ``go_on_all``."""
    for kind in kinds():
        kind.hold(connection)


def go_on_all(connection: Connection, now: datetime) -> None:
    """Let the schedules on the connection count again from ``now``."""
    for kind in kinds():
        kind.go_on(connection, now)
