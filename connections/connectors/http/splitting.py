"""One bad record in a batch that a service refuses as a whole: found by halves, so that the others still arrive.

Used by connectors whose service answers a batch with a single *no*. Also what batches need besides: records with the
same identifier must not stand in one request, and a service's words about a record must not name the person.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from connections.connectors.errors import DETAIL_LIMIT, RemoteRejected
from connections.connectors.records import Rejection

# One bad record among 500 takes 18 requests, three take at most 54 or so.
MOST_REQUESTS = 60

# Sends the records at these indexes and returns those that were refused; raises RemoteRejected for all of them.
Ask = Callable[[Sequence[int]], Iterable[Rejection]]

_ADDRESS = re.compile(r"[^\s\"'<>()\[\]{},;:=]+@[^\s\"'<>()\[\]{},;:=]+")


def in_halves(indexes: Sequence[int], ask: Ask, *, most: int = MOST_REQUESTS) -> list[Rejection]:
    """Every record that was refused, alone or with its batch; the others were accepted.

    A batch that is refused as a whole is cut into halves until the bad record stands alone. After ``most`` requests
    what is still refused is not cut any further: all of it counts as refused, with the service's words about it. Raises
    the last RemoteRejected if by then not one record was accepted: then it is not the records.
    """
    refused: list[Rejection] = []
    asked, accepted = 0, False
    waiting = [list(indexes)] if indexes else []
    while waiting:
        part = waiting.pop()
        asked += 1
        try:
            said = list(ask(part))
        except RemoteRejected as error:
            # each half still takes one request, so what waits is counted as asked already
            if len(part) > 1 and asked + len(waiting) + 2 <= most:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            if len(part) > 1 and not accepted:
                raise
            refused += [Rejection(index=i, code=error.code, reason=nameless(error.said)) for i in part]
            continue
        refused += said
        accepted = accepted or len(said) < len(part)
    return refused


def without_repeats(identifiers: Sequence[str]) -> list[list[int]]:
    """Indexes in as few groups as possible, none with the same identifier twice, in the order in which they count.

    Sent one after the other, the last record with an identifier is the one that stays, as between two batches.
    """
    groups: list[list[int]] = []
    seen: dict[str, int] = {}
    for index, identifier in enumerate(identifiers):
        number = seen.get(identifier, 0)
        seen[identifier] = number + 1
        if number == len(groups):
            groups.append([])
        groups[number].append(index)
    return groups


def nameless(words: str) -> str:
    """A service's words without e-mail addresses: who was refused is for those who may edit, why is for everybody."""
    if len(words) >= DETAIL_LIMIT:
        # cut here, or before: the last word may be the beginning of an address
        words = words[:DETAIL_LIMIT].rpartition(" ")[0] + " …"
    return _ADDRESS.sub("…", words)
