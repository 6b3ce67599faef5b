"""What is built on connections. Each app registers its own kind at start; nobody here knows which there are."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import add
from uuid import UUID

from django.db.models import Expression, Value

from connections.models import Connection
from connections_portal.models import User


@dataclass(frozen=True)
class Dependent:
    """One thing that uses a connection; ``url`` is its own page."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """What it means for one kind of dependent that some people lose the right to use a connection.

    ``sentences`` say it; ``concerned`` are all that these people can no longer change, ``left`` those of them whose
    responsible person is among them; ``asks`` whether one of these has a schedule, to be kept or turned off; ``marks``
    are identifier and version of each concerned one.
    """

    sentences: Sequence[str]
    concerned: Sequence[Dependent]
    left: Sequence[Dependent]
    asks: bool
    marks: Sequence[tuple[UUID, int]] = field(repr=False)
    list_url: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of dependent. ``count`` maps ids of connections to numbers, ``find`` lists those of one connection;
    ``total`` is that number as a column of the connections asked for, to order them by.

    ``phrase`` gives *3 exports* for 3; ``list_url`` is the page that lists those of one connection,
    ``add_url`` the one that begins a new one on it, under the words of ``add_label``. The next three run
    inside the caller's transaction and return how many were touched: ``interrupt`` cancels what is under way and
    raises FinishingRun when something is just finishing, ``hold`` lets nothing start by itself, ``go_on`` lets
    schedules count again from a moment on, without catching up. ``running`` counts the runs that a worker has in its
    hands on the connection now.

    ``withdrawn`` says what it means that these people lose the right (None: nothing is built on the connection);
    ``settle_withdrawal`` acts on what is left without a responsible person, inside the caller's transaction: with
    true it goes on and the actor answers for it, with false its schedules are turned off. It returns what it touched.
    """

    key: str
    phrase: Callable[[int], str]
    count: Callable[[Iterable[int]], dict[int, int]]
    total: Callable[[], Expression]
    find: Callable[[Connection, User], list[Dependent]]
    list_url: Callable[[Connection], str]
    add_label: Callable[[], str]
    add_url: Callable[[Connection], str]
    interrupt: Callable[[Connection, User], int]
    hold: Callable[[Connection], int]
    go_on: Callable[[Connection, datetime], int]
    running: Callable[[Connection], int]
    withdrawn: Callable[[Connection, Sequence[User]], Withdrawal | None]
    settle_withdrawal: Callable[[Connection, Sequence[User], bool, User], list[UUID]]


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind of dependent known; called once from an app's ``ready``."""
    _kinds[kind.key] = kind


def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of registration."""
    return tuple(_kinds.values())


def total() -> Expression:
    """How much is built on each connection, as a column to order connections by."""
    return reduce(add, (kind.total() for kind in kinds()), Value(0))


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


def withdrawals(connection: Connection, losing: Sequence[User]) -> list[Withdrawal]:
    """Per kind what it means that these people lose the right to use the connection; nothing where nothing is used."""
    if not losing:
        return []
    return [found for kind in kinds() if (found := kind.withdrawn(connection, losing)) is not None]


def settle_withdrawals(
    connection: Connection, losing: Sequence[User], *, keep: bool, actor: User
) -> list[UUID]:
    """Let everything that loses its responsible person go on under ``actor``, or turn its schedules off."""
    return [uuid for kind in kinds() for uuid in kind.settle_withdrawal(connection, losing, keep, actor)]
