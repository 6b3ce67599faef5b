"""What is built on connections. Each app registers its own kind at start; nobody here knows which there are."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import add
from typing import Any
from uuid import UUID

from django.db.models import Expression, Value

from connections import connectors
from connections.models import Connection
from connections_portal.models import User


@dataclass(frozen=True)
class Dependent:
    """One thing that uses a connection; ``url`` is its own page. ``finishing`` is a run that is publishing.

    ``uuid`` is the dependent's, None for a run.
    """

    name: str
    url: str
    finishing: bool = False
    uuid: UUID | None = None


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


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What can be done with a dependent when its connection is removed.

    ``key`` is posted (``move`` for the one with ``moves``, which needs another connection), ``label`` is offered.
    ``outcome`` says what it means for so many (*2 exports keep their settings and stop until they get a
    connection.*), given their number and, with ``moves``, the other connection's name; ``button`` is the beginning of
    the button's sum (*Detach 3*). ``gentle`` is the one that is proposed: nothing is lost by it.
    """

    key: str
    label: str
    outcome: Callable[[int, str], str]
    button: Callable[[int], str]
    gentle: bool = False
    moves: bool = False


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """A dependent that stops the removal of its connection until something is decided about it.

    ``url`` is its own page, ``content`` its second line (*Export, 2 segments*), ``responsible`` a person's name or
    empty. ``next_run`` is None while nothing is due, ``schedule`` says it in words (*Every day at 06:00*). ``people``
    is how many are in its segments or its data set, None where that is not known. ``last_run`` is when the last run
    ended, ``last_status`` how.
    """

    uuid: UUID
    name: str
    url: str
    content: str
    responsible: str
    next_run: datetime | None
    schedule: str
    people: int | None
    last_run: datetime | None
    last_status: str


@dataclass(frozen=True, kw_only=True)
class Blockers:
    """All dependents of one kind that block: ``total`` of them, the first ones as ``items``.

    ``hidden`` is how many of the total the viewer may not open; they are in no list, and one choice is made for them.
    """

    total: int
    hidden: int
    items: Sequence[Blocker]


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one kind does with a connection: ``runs`` that ended and ``rows`` moved since a moment, the ``last_run``
    ever (its end) and how it ended, what runs next by itself, and how many ``people`` are in all its segments and
    data sets, a person once per segment; None where one of them is not known.
    """

    runs: int
    rows: int
    last_run: datetime | None
    last_status: str
    next_run: datetime | None
    people: int | None


@dataclass(frozen=True)
class Kind:
    """A kind of dependent. ``count`` maps ids of connections to numbers, ``find`` lists those of one connection;
    ``total`` is that number as a column of the connections asked for, to order them by. ``direction`` says what a
    connection's type must serve for one to be built on it: ``export`` or ``enrichment``.

    ``phrase`` gives *3 exports* for 3; ``list_url`` is the page that lists those of one connection,
    ``add_url`` the one that begins a new one on it, under the words of ``add_label``. The next three run
    inside the caller's transaction and return how many were touched: ``interrupt`` cancels what is under way and
    raises FinishingRun when something is just finishing, or leaves that alone if the last argument is true; ``hold``
    lets nothing start by itself, ``go_on`` lets schedules count again from a moment on, without catching up.
    ``running`` counts the runs that a worker has in its hands on the connection now.

    ``withdrawn`` says what it means that these people lose the right (None: nothing is built on the connection);
    ``settle_withdrawal`` acts on what is left without a responsible person, inside the caller's transaction: with
    true it goes on and the actor answers for it, with false its schedules are turned off. It returns what it touched.

    Guided removal. A dependent either *blocks* (it needs a choice) or is *loose*: it keeps its settings and merely
    loses the connection. ``icon`` stands before a blocker. ``blocks`` counts, as ``count`` does, those that block.
    ``blocking`` counts those of one connection and lists the first ``most`` by name, with a number of queries that
    does not depend on how many there are; ``loose`` lists the others. ``lock`` locks every dependent of the connection
    for the rest of the caller's transaction, in the order of their ids; ``marks`` maps ids of connections to
    identifier and version of every dependent, blocking or loose, by one query (connections without any are absent).
    ``choices`` are what is offered for a blocker, the gentlest first. ``unfit`` says, by the id of each connection of
    the second argument, which cannot move there from the first one, and why not (*Move to* is not offered then); that
    they are of the same type, ready and open to the actor is seen to elsewhere (``operations.remove.move_targets``).

    The last two run inside the caller's transaction, after ``lock``, by a number of queries that does not depend on
    how many there are, and write one audit row for each dependent. ``settle`` carries out one choice (its ``key``) for
    the blockers with these uuids, None for all that still block; the third argument is where they move to, else None.
    A loose one with one of these uuids moves like a blocker. Runs under way are canceled first. It returns how many it
    touched and raises FinishingRun, or OperationError for one that is ``unfit``. ``let_go`` takes the connection from
    the loose ones and returns how many there were.

    ``use`` says what has gone over a connection since a moment, and to whom. ``under_way`` lists the runs that have
    not ended, by the names of what they are runs of. *Undo* of a withdrawal: ``remember`` gives as JSON, before
    ``settle_withdrawal`` and with its people and choice, what ``bring_back`` needs inside the transaction that undoes
    it, of those alone that will be settled; that returns how many were changed since and stay as they are.
    A kind that hangs on no one's right has neither.
    """

    key: str
    direction: str
    phrase: Callable[[int], str]
    count: Callable[[Iterable[int]], dict[int, int]]
    total: Callable[[], Expression]
    find: Callable[[Connection, User], list[Dependent]]
    list_url: Callable[[Connection], str]
    add_label: Callable[[], str]
    add_url: Callable[[Connection], str]
    interrupt: Callable[[Connection, User, bool], int]
    hold: Callable[[Connection], int]
    go_on: Callable[[Connection, datetime], int]
    running: Callable[[Connection], int]
    withdrawn: Callable[[Connection, Sequence[User]], Withdrawal | None]
    settle_withdrawal: Callable[[Connection, Sequence[User], bool, User], list[UUID]]
    icon: str
    blocks: Callable[[Iterable[int]], dict[int, int]]
    blocking: Callable[[Connection, User, int], Blockers]
    loose: Callable[[Connection, User], list[Dependent]]
    lock: Callable[[Connection], None]
    marks: Callable[[Iterable[int]], Mapping[int, Sequence[tuple[UUID, int]]]]
    choices: Callable[[], Sequence[Choice]]
    unfit: Callable[[Connection, Sequence[Connection]], Mapping[int, Mapping[UUID, str]]]
    settle: Callable[[Connection, Collection[UUID] | None, str, Connection | None, User], int]
    let_go: Callable[[Connection, User], int]
    use: Callable[[Connection, datetime], Use]
    under_way: Callable[[Connection], list[Dependent]]
    remember: Callable[[Connection, Sequence[User], bool], list[Any]] = lambda *_arguments: []
    bring_back: Callable[[Connection, list[Any], User, datetime], int] = lambda *_arguments: 0


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind of dependent known; called once from an app's ``ready``."""
    _kinds[kind.key] = kind


def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of registration."""
    return tuple(_kinds.values())


def kinds_on(connection: Connection) -> list[Kind]:
    """The kinds that can be built on this connection."""
    connector = connectors.get(connection.type_key)
    return [kind for kind in kinds() if connector is not None and connector.serves(kind.direction)]


def total() -> Expression:
    """How much is built on each connection, as a column to order connections by."""
    return reduce(add, (kind.total() for kind in kinds()), Value(0))


def used_by(connection_ids: Iterable[int]) -> dict[int, list[str]]:
    """Per connection the phrases of what uses it: ``{7: ["3 exports", "1 enrichment"]}``; unused ones are absent."""
    ids = list(connection_ids)
    return _phrases((kind, kind.count(ids)) for kind in kinds())


def _phrases(counts: Iterable[tuple[Kind, Mapping[int, int]]]) -> dict[int, list[str]]:
    phrases: dict[int, list[str]] = {}
    for kind, numbers in counts:
        for connection_id, number in numbers.items():
            if number:
                phrases.setdefault(connection_id, []).append(kind.phrase(number))
    return phrases


def interrupt_all(connection: Connection, actor: User, *, leave_finishing: bool = False) -> int:
    """Cancel everything under way on the connection; returns how much.

    Raises FinishingRun while something is publishing, or leaves that alone with ``leave_finishing``.
    """
    return sum(kind.interrupt(connection, actor, leave_finishing) for kind in kinds())


def under_way(connection: Connection) -> list[Dependent]:
    """Every run on the connection that has not ended, of every kind."""
    return [run for kind in kinds() for run in kind.under_way(connection)]


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


def remember_all(connection: Connection, losing: Sequence[User], *, keep: bool) -> dict[str, list[Any]]:
    """What ``bring_back_all`` needs, by kind; kinds that remember nothing are absent."""
    found = {kind.key: kind.remember(connection, losing, keep) for kind in kinds()} if losing else {}
    return {key: memory for key, memory in found.items() if memory}


def bring_back_all(
    connection: Connection, memories: Mapping[str, list[Any]], *, actor: User, now: datetime
) -> int:
    """Put back what a withdrawal has settled; returns how many were changed since and stay as they are."""
    return sum(kind.bring_back(connection, memories.get(kind.key, []), actor, now) for kind in kinds())


def blocked_by(connection: Connection) -> list[str]:
    """The phrases of what stops the removal of the connection: *3 exports*, *1 enrichment*; loose ones do not."""
    return _phrases((kind, kind.blocks([connection.pk])) for kind in kinds()).get(connection.pk, [])


def let_go_of(connections: Iterable[Connection]) -> list[str]:
    """The phrases of what loses these connections by their removal and does not stop it, all together."""
    ids = [connection.pk for connection in connections]
    totals = ((kind, sum(kind.count(ids).values()) - sum(kind.blocks(ids).values())) for kind in kinds())
    return [kind.phrase(number) for kind, number in totals if number]
