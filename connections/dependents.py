"""What is built on connections. Each app registers its own kind at start; nobody here knows which there are."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

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

    ``phrase`` gives *3 exports* for 3; ``list_url`` is the page that lists those of one connection.
    """

    key: str
    phrase: Callable[[int], str]
    count: Callable[[Iterable[int]], dict[int, int]]
    find: Callable[[Connection, User], list[Dependent]]
    list_url: Callable[[Connection], str]


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
