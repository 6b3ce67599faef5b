"""What an export selects: rows, order of columns, who is left out, and what has vanished."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connections_portal.customer_data import Kind
from connections_portal.customer_data.engine import DuckDBEngine, Engine, Limits
from exports import payload
from exports.payload import NO_PROFILE, Counts, PayloadError, Selection
from tests.data import write_customers


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with DuckDBEngine(write_customers(tmp_path / "data"), Limits(threads=2, seconds=None)) as engine:
        yield engine


def rows(engine: Engine, selection: Selection) -> list[tuple]:
    found = [tuple(row.values()) for batch in payload.stream(engine, selection) for row in batch.to_pylist()]
    return sorted(found, key=str)


def test_a_segment_is_its_members_profiles_each_once(engine: Engine) -> None:
    loyal = Selection(Kind.SEGMENT, "loyal", ("city", "customer_id"))
    assert rows(engine, loyal) == [("Łódź", "c1"), (None, "c3")] or rows(engine, loyal) == [
        (None, "c3"),
        ("Łódź", "c1"),
    ]
    assert payload.count(engine, loyal) == Counts(selected=3, sendable=2, left_out={NO_PROFILE: 1})


def test_a_segment_written_as_a_query(engine: Engine) -> None:
    rich = Selection(Kind.SEGMENT, "rich", ("customer_id", "points"))
    assert rows(engine, rich) == [("c1", 10), ("c4", 12_345)]
    assert payload.count(engine, rich) == Counts(2, 2)


def test_a_table_is_all_its_rows(engine: Engine) -> None:
    orders = Selection(Kind.TABLE, "orders", ("amount", "order_id"))
    assert rows(engine, orders) == [(1.5, "o1"), (20.25, "o2")]
    assert payload.count(engine, orders) == Counts(2, 2)


@pytest.mark.parametrize(
    ("selection", "item", "missing"),
    [
        (Selection(Kind.SEGMENT, "nowhere", ("email",)), "nowhere", ()),
        (Selection(Kind.TABLE, "nowhere", ("email",)), "nowhere", ()),
        (Selection(Kind.SEGMENT, "loyal", ("email", "shoe_size")), "loyal", ("shoe_size",)),
        (Selection(Kind.TABLE, "orders", ("tax",)), "orders", ("tax",)),
        (Selection(Kind.TABLE, "orders", ()), "orders", ()),
    ],
)
def test_what_is_gone_is_named(
    engine: Engine, selection: Selection, item: str, missing: tuple[str, ...]
) -> None:
    for question in (payload.count, payload.columns, lambda *a: list(payload.stream(*a))):
        with pytest.raises(PayloadError) as refused:
            question(engine, selection)
        assert (refused.value.item, refused.value.missing) == (item, missing)
        assert item in refused.value.message


def test_a_field_that_appeared_since_is_not_sent(engine: Engine) -> None:
    batch = next(iter(payload.stream(engine, Selection(Kind.SEGMENT, "loyal", ("email",)))))
    assert batch.schema.names == ["email"]
