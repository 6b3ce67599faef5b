"""Halves: the bad ones are found in a bounded number of requests, and every record comes out once."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.connectors.errors import RemoteRejected
from connections.connectors.http.splitting import MOST_REQUESTS, in_halves, nameless, without_repeats
from connections.connectors.records import Rejection


class Counting:
    """Refuses every batch with one of ``bad`` in it, and ``odd`` ones by name."""

    def __init__(self, bad: set[int], odd: set[int] | None = None) -> None:
        self.bad, self.odd, self.asked, self.taken = bad, odd or set(), 0, set[int]()

    def __call__(self, indexes: Sequence[int]) -> list[Rejection]:
        self.asked += 1
        if self.bad & set(indexes):
            raise RemoteRejected(
                "No.", code="refused", detail="400 ana@example.com", said="ana@example.com is bad"
            )
        self.taken |= set(indexes) - self.odd
        return [Rejection(index=index, code="odd") for index in indexes if index in self.odd]


@given(st.sets(st.integers(0, 99), max_size=100), st.sets(st.integers(0, 99)), st.integers(1, 100))
def test_every_record_is_taken_or_refused_and_requests_are_bounded(
    bad: set[int], odd: set[int], number: int
) -> None:
    ask = Counting(bad, odd)
    try:
        refused = in_halves(range(number), ask)
    except RemoteRejected:
        assert not ask.taken
        assert len(bad) > 10
    else:
        indexes = [rejection.index for rejection in refused]
        assert len(indexes) == len(set(indexes))
        assert set(indexes) | ask.taken == set(range(number))
        assert not set(indexes) & ask.taken
        assert bad & set(range(number)) <= set(indexes)
    assert ask.asked <= MOST_REQUESTS


def test_one_bad_record_among_many_costs_few_requests_and_nobody_else_is_refused() -> None:
    ask = Counting({321})
    (refused,) = in_halves(range(500), ask)
    assert refused == Rejection(index=321, code="refused", reason="… is bad")
    assert ask.asked <= 19


def test_what_cannot_be_taken_apart_any_further_is_refused_together() -> None:
    ask = Counting(set(range(0, 100, 2)))
    refused = in_halves(range(100), ask, most=30)
    assert ask.asked <= 30
    assert ask.taken
    assert {rejection.index for rejection in refused} == set(range(100)) - ask.taken


def test_nothing_accepted_is_not_the_records() -> None:
    ask = Counting(set(range(100)))
    with pytest.raises(RemoteRejected):
        in_halves(range(100), ask)
    assert ask.asked <= MOST_REQUESTS
    assert [r.index for r in in_halves(range(5), Counting(set(range(5))))] == [0, 1, 2, 3, 4]
    assert in_halves([], ask) == []


def test_records_of_one_identifier_are_kept_apart_in_their_order() -> None:
    assert without_repeats(["a", "b", "a", "a", "c", "b"]) == [[0, 1, 4], [2, 5], [3]]
    assert without_repeats([]) == []


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("ana@example.com is bad", "… is bad"),
        ('{"value":"ana+x@ex.org","error":"INVALID"}', '{"value":"…","error":"INVALID"}'),
        ("no address here, @ all", "no address here, @ all"),
        ("is bad: " + "x" * 280 + " ana.example@example.com", "is bad: " + "x" * 280 + " …"),
        ("@" * 1_000_000, " …"),
    ],
)
def test_words_name_nobody(words: str, left: str) -> None:
    assert nameless(words) == left
