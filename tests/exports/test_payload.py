"""What an export selects: rows, order of columns, who is left out, and what has vanished."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connections_portal.customer_data import BrokenItem, CustomerDataError, Kind
from connections_portal.customer_data.engine import DuckDBEngine, Engine, Limits
from exports import payload
from exports.payload import NO_PROFILE, Counts, PayloadError, Selection
from tests.data import CUSTOMERS, write_customers


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with DuckDBEngine(write_customers(tmp_path / "data"), Limits(threads=2, seconds=None)) as engine:
        yield engine


def rows(engine: Engine, selection: Selection) -> list[tuple]:
    found = [tuple(row.values()) for batch in payload.stream(engine, selection) for row in batch.to_pylist()]
    return sorted(found, key=str)


def test_a_segment_is_its_members_profiles_each_once(engine: Engine) -> None:
    loyal = Selection(Kind.SEGMENT, "loyal", ("city", "customer_id"))
    assert rows(engine, loyal) == [("Łódź", "c1"), (None, "c3")]
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


@pytest.mark.parametrize(
    ("ids", "members", "sent", "left_out"),
    [
        (["001", "002"], "customer_id\n001\n001\n", ["001"], 0),
        (["1E5", "2E5"], "customer_id\n1E5\n2E5\n", ["1E5", "2E5"], 0),
        (["2026-01-01", "x"], "customer_id\n2026-01-01\n", ["2026-01-01"], 0),
        ([1, 2], "customer_id\n1\nx2\n", [1], 1),
        ([1, 2], ["1", "2"], [1, 2], 0),
        (["1", "2"], [1, 3], ["1"], 1),
        ([1, 2], [2.0], [2], 0),
    ],
)
def test_members_are_found_however_their_ids_are_stored(
    tmp_path: Path, ids: list[object], members: str | list[object], sent: list[object], left_out: int
) -> None:
    folder = write_customers(tmp_path / "data")
    pq.write_table(pa.table({"customer_id": ids}), folder / "customer.parquet")
    if isinstance(members, str):
        (folder / "segments" / "listed.csv").write_text(members)
    else:
        pq.write_table(pa.table({"customer_id": members}), folder / "segments" / "listed.parquet")
    selection = Selection(Kind.SEGMENT, "listed", ("customer_id",))
    with DuckDBEngine(folder, Limits()) as engine:
        assert rows(engine, selection) == [(one,) for one in sent]
        counts = payload.count(engine, selection)
    assert counts == Counts(len(sent) + left_out, len(sent), {NO_PROFILE: left_out} if left_out else {})


def test_lists_groups_and_bytes_are_sent_as_text(tmp_path: Path) -> None:
    folder = write_customers(tmp_path / "data")
    table = pa.table(
        {
            "tags": [["a", 'b"c'], None],
            "address": pa.array([{"city": "Łódź", "zip": None}, None]),
            "picture": pa.array([b"\xff\x00", None]),
            "number": [1, 2],
        }
    )
    pq.write_table(table, folder / "tables" / "odd.parquet")
    selection = Selection(Kind.TABLE, "odd", ("number", "tags", "address", "picture"))
    with DuckDBEngine(folder, Limits()) as engine:
        assert [c.words for c in payload.columns(engine, selection)] == [
            "whole number",
            "list",
            "group of values",
            "binary",
        ]
        assert set(payload.schema(engine, selection).types[1:]) == {pa.string()}
        assert rows(engine, selection) == [
            (1, '["a","b\\"c"]', '{"city":"Łódź","zip":null}', "/wA="),
            (2, None, None, None),
        ]


def test_without_customers_it_is_they_who_are_missed(tmp_path: Path) -> None:
    folder = write_customers(tmp_path / "data")
    without = {name: values for name, values in CUSTOMERS.items() if name != "customer_id"}
    pq.write_table(pa.table(without), folder / "customer.parquet")
    loyal = Selection(Kind.SEGMENT, "loyal", ("email",))
    with DuckDBEngine(folder, Limits()) as engine, pytest.raises(PayloadError) as refused:
        payload.count(engine, loyal)
    assert refused.value.missing == ("customer_id",)
    (folder / "customer.parquet").unlink()
    with DuckDBEngine(folder, Limits()) as engine, pytest.raises(PayloadError, match="customer is not there"):
        payload.count(engine, loyal)


def test_trouble_while_reading_is_not_the_selections_fault(tmp_path: Path) -> None:
    """A file that is replaced in place, or memory that runs short: another attempt may succeed."""
    folder = write_customers(tmp_path / "data")
    with DuckDBEngine(folder, Limits()) as engine:
        (folder / "tables" / "orders.csv").unlink()
        with pytest.raises(CustomerDataError):
            list(payload.stream(engine, Selection(Kind.TABLE, "orders", ("order_id",))))
    (folder / "tables" / "orders.parquet").write_bytes(b"broken from the start")
    with DuckDBEngine(folder, Limits()) as engine:
        with pytest.raises(BrokenItem):
            engine.view(Kind.TABLE, "orders")
        with pytest.raises(PayloadError):
            payload.count(engine, Selection(Kind.TABLE, "orders", ("order_id",)))
