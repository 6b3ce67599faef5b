"""Reading customer data: what is listed, counted and shown, and what a broken file does to the others."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from connections_portal import customer_data
from connections_portal.customer_data import BrokenItem, Engine, Kind, TimedOut, Unavailable, UnknownItem
from connections_portal.customer_data.engine import DuckDBEngine, Limits
from tests.data import CUSTOMERS, write_customers


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    folder = write_customers(tmp_path / "customer-data")
    settings.CUSTOMER_DATA_URL = f"duckdb://{folder}"
    settings.SPILL_DIR = tmp_path / "spill"
    return folder


def listed(engine: Engine) -> dict[tuple[str, str], int | None]:
    return {(e.item.kind, e.item.name): e.count for e in customer_data.list_items(engine)}


def test_everything_is_listed_with_its_count(folder: Path) -> None:
    with customer_data.open_for_page() as engine:
        assert listed(engine) == {
            ("table", "customer"): 4,
            ("table", "orders"): 2,
            ("segment", "loyal"): 3,
            ("segment", "newsletter"): 2,
            ("segment", "rich"): 2,
        }


def test_columns_have_types_in_words(folder: Path) -> None:
    with customer_data.open_for_page() as engine:
        columns = {c.name: c.words for c in engine.columns(Kind.TABLE, "customer")}
    assert columns == {"customer_id": "text", "email": "text", "city": "text", "points": "whole number"}


def test_a_sample_of_a_segment_shows_its_profiles(folder: Path) -> None:
    with customer_data.open_for_page() as engine:
        sample = customer_data.sample(engine, Kind.SEGMENT, "newsletter")
    assert sample.columns == list(CUSTOMERS)
    assert sorted(row[0] for row in sample.rows) == ["c2", "c4"]


def test_a_broken_file_says_so_and_hides_nothing_else(folder: Path) -> None:
    (folder / "segments" / "broken.parquet").write_bytes(b"not parquet")
    (folder / "segments" / "nobody.csv").write_text("name\nx\n")
    with customer_data.open_for_page() as engine:
        found = {e.item.name: e.error for e in customer_data.list_items(engine)}
        assert found["broken"] == found["nobody"] == "The file cannot be read."
        assert found["loyal"] == found["orders"] == ""
        with pytest.raises(BrokenItem):
            engine.view(Kind.SEGMENT, "broken")
        with pytest.raises(UnknownItem):
            engine.view(Kind.SEGMENT, "never there")


@pytest.mark.parametrize("name", ['odd "name"', "semi;colon", "per%cent", "ünï", "DROP TABLE customer"])
def test_names_are_quoted(folder: Path, name: str) -> None:
    (folder / "segments" / "loyal.parquet").rename(folder / "segments" / f"{name}.parquet")
    with customer_data.open_for_page() as engine:
        assert listed(engine)["segment", name] == 3


def test_what_lies_outside_is_not_listed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("customer_id\nc1\n")
    (folder / "segments" / "linked.csv").symlink_to(outside)
    (folder / "tables" / "folder.csv").mkdir()
    with customer_data.open_for_page() as engine:
        assert ("segment", "linked") not in listed(engine)
        assert ("table", "folder") not in listed(engine)


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "segments" / "again.parquet").symlink_to(folder / "segments" / "loyal.parquet")
    with customer_data.open_for_page() as engine:
        counts = listed(engine)
    assert counts["segment", "again"] == counts["segment", "loyal"] == 3


def test_names_nobody_can_read_are_not_listed(folder: Path) -> None:
    before = set((folder / "segments").iterdir())
    members = (folder / "segments" / "loyal.parquet").read_bytes()
    for name in (".loyal.parquet", "a\nb.parquet", "gold\u202e.parquet", "no\u200bwidth.parquet"):
        (folder / "segments" / name).write_bytes(members)
    (folder / "segments" / os.fsdecode(b"no-utf8-\xff.parquet")).write_bytes(members)
    (folder / "segments" / "circle.csv").symlink_to("circle.csv")
    with customer_data.open_for_page() as engine:
        names = {item.name for item in engine.items() if item.kind is Kind.SEGMENT}
    assert names == {path.stem for path in before}


@pytest.mark.parametrize(
    ("taken", "added", "broken"),
    [
        ("tables/orders.csv", "tables/Customer.csv", ("table", "Customer")),
        ("segments/loyal.parquet", "segments/LOYAL.parquet", ("segment", "loyal")),
        ("tables/orders.csv", "tables/segment:newsletter.csv", ("segment", "newsletter")),
    ],
)
def test_a_name_in_other_letters_takes_nothing_from_the_first(
    folder: Path, taken: str, added: str, broken: tuple[str, str]
) -> None:
    (folder / added).write_bytes((folder / taken).read_bytes())
    with customer_data.open_for_page() as engine:
        found = {(e.item.kind, e.item.name): e for e in customer_data.list_items(engine)}
    assert [key for key, entry in found.items() if entry.error] == [broken]
    assert "capital letters" in found[broken].error  # type: ignore[index]
    assert found[Kind.TABLE, "customer"].count == 4


@pytest.mark.parametrize(
    ("there", "added", "item"),
    [
        ("segments/loyal.parquet", "segments/loyal.csv", ("segment", "loyal")),
        ("customer.parquet", "customer.csv", ("table", "customer")),
    ],
)
def test_two_files_of_one_name_are_none(folder: Path, there: str, added: str, item: tuple[str, str]) -> None:
    (folder / added).write_text("customer_id\nc1\n")
    with customer_data.open_for_page() as engine:
        found = {(e.item.kind, e.item.name): e.error for e in customer_data.list_items(engine)}
    assert "more than one file" in found[item]  # type: ignore[index]


def test_customers_may_come_in_parts(folder: Path) -> None:
    (folder / "customer").mkdir()
    (folder / "customer.parquet").rename(folder / "customer" / "part-1.parquet")
    (folder / "customer" / "part-2.parquet").write_bytes(
        (folder / "customer" / "part-1.parquet").read_bytes()
    )
    with customer_data.open_for_page() as engine:
        assert listed(engine)["table", "customer"] == 8


def test_a_changed_file_is_counted_again(folder: Path) -> None:
    with customer_data.open_for_page() as engine:
        assert customer_data.count(engine, Kind.SEGMENT, "newsletter") == 2
    (folder / "segments" / "newsletter.csv").write_text("customer_id\nc1\nc2\nc3\n")
    with customer_data.open_for_page() as engine:
        assert customer_data.count(engine, Kind.SEGMENT, "newsletter") == 3


def test_the_identity_of_a_query_covers_what_it_reads(folder: Path) -> None:
    with customer_data.open_for_page() as engine:
        before = engine.identity(Kind.SEGMENT, "rich")
    orders = folder / "tables" / "orders.csv"
    orders.write_text(orders.read_text() + "o3,c1,7.5\n")
    with customer_data.open_for_page() as engine:
        assert engine.identity(Kind.SEGMENT, "rich") != before
        before = engine.identity(Kind.SEGMENT, "rich")
    (folder / "segments" / "other.sql").write_text("SELECT customer_id FROM customer")
    with customer_data.open_for_page() as engine:
        assert engine.identity(Kind.SEGMENT, "rich") != before
        unchanged = engine.identity(Kind.SEGMENT, "newsletter")
    (folder / "tables" / "more.csv").write_text("a\n1\n")
    with customer_data.open_for_page() as engine:
        assert engine.identity(Kind.SEGMENT, "newsletter") == unchanged


def test_a_folder_that_is_not_there_is_an_operators_matter(tmp_path: Path, settings: Settings) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'nowhere'}"
    with pytest.raises(Unavailable), customer_data.open_for_page():
        pytest.fail("opened")


def test_a_question_that_takes_too_long_is_stopped(folder: Path) -> None:
    with DuckDBEngine(folder, Limits(seconds=0.2)) as engine, pytest.raises(TimedOut):
        engine.rows("SELECT count(*) FROM range(3000000) a, range(3000000) b")


def test_a_count_that_took_too_long_is_not_tried_again_on_the_next_page(folder: Path) -> None:
    (folder / "segments" / "slow.sql").write_text(
        "SELECT customer_id FROM customer, range(3000000) a, range(3000000) b WHERE a.range + b.range = points"
    )
    with DuckDBEngine(folder, Limits(seconds=0.2)) as engine, pytest.raises(TimedOut):
        customer_data.count(engine, Kind.SEGMENT, "slow")
    # without a limit it would run for hours
    with DuckDBEngine(folder, Limits(seconds=None)) as engine:
        with pytest.raises(TimedOut):
            customer_data.count(engine, Kind.SEGMENT, "slow")
        assert customer_data.count(engine, Kind.SEGMENT, "rich") == 2


def test_a_page_counts_more_members_than_fit_into_its_memory(folder: Path) -> None:
    ids = pa.array([f"customer-number-{number:030}" for number in range(700_000)])
    pq.write_table(pa.table({"customer_id": ids}), folder / "segments" / "everybody.parquet")
    spill = folder.parent / "spill"
    with DuckDBEngine(folder, Limits(memory_mb=48)) as engine, pytest.raises(Unavailable):
        customer_data.count(engine, Kind.SEGMENT, "everybody")
    with DuckDBEngine(folder, Limits(memory_mb=48, seconds=None, spill=spill)) as engine:
        assert customer_data.count(engine, Kind.SEGMENT, "everybody") == 700_000
    with customer_data.open_for_page() as engine:
        assert engine.rows("SELECT current_setting('temp_directory')") == [(str(spill),)]


def test_a_spill_folder_that_cannot_be_made_is_an_operators_matter(folder: Path, settings: Settings) -> None:
    (folder.parent / "file").write_text("")
    settings.SPILL_DIR = folder.parent / "file" / "spill"
    with pytest.raises(Unavailable), customer_data.open_for_page():
        pytest.fail("opened")


def test_an_unknown_scheme_names_the_known_ones(settings: Settings) -> None:
    settings.CUSTOMER_DATA_URL = "oracle://host/db"
    with pytest.raises(ImproperlyConfigured, match="duckdb://"), customer_data.open_for_page():
        pytest.fail("opened")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffSELECT customer_id FROM customer WHERE points > 5",
        "-- whoever has points\nSELECT customer_id FROM customer WHERE points > 5; -- more than five\n",
        "SELECT Customer_ID FROM customer WHERE points > 5",
        "WITH p AS (FROM customer WHERE points > 5) SELECT points, customer_id FROM p",
    ],
)
def test_a_query_may_be_written_as_people_write(folder: Path, text: str) -> None:
    (folder / "segments" / "rich.sql").write_text(text, encoding="utf-8")
    with customer_data.open_for_page() as engine:
        assert customer_data.count(engine, Kind.SEGMENT, "rich") == 2
        assert [column.name for column in engine.columns(Kind.SEGMENT, "rich")] == ["customer_id"]


def test_ids_and_codes_in_csv_files_stay_as_they_stand(folder: Path) -> None:
    (folder / "customer.parquet").unlink()
    (folder / "customer.csv").write_text("customer_id,postal_code\n1E5,04177\n2E5,09195\n")
    (folder / "segments" / "newsletter.csv").write_text("CUSTOMER_ID\n1E5\n")
    with customer_data.open_for_page() as engine:
        assert engine.rows("SELECT * FROM customer ORDER BY 1") == [("1E5", "04177"), ("2E5", "09195")]
        assert customer_data.sample(engine, Kind.SEGMENT, "newsletter").rows == [("1E5", "04177")]


def test_folders_names_are_no_columns(tmp_path: Path) -> None:
    folder = write_customers(tmp_path / "country=DE")
    with DuckDBEngine(folder, Limits()) as engine:
        assert [column.name for column in engine.columns(Kind.TABLE, "customer")] == list(CUSTOMERS)


def test_batches_are_never_larger_than_asked(folder: Path) -> None:
    with customer_data.open_for_run() as engine:
        sizes = [b.num_rows for b in engine.stream("SELECT * FROM range(25000)", 10_000)]
    assert sum(sizes) == 25_000
    assert max(sizes) <= 10_000


def test_sample_data_is_written_once_and_the_same_each_time(tmp_path: Path) -> None:
    from connections_portal.customer_data.sample_data import write_sample

    assert write_sample(tmp_path / "one", people=200)
    assert not write_sample(tmp_path / "one", people=200)
    assert write_sample(tmp_path / "two", people=200)
    for path in (tmp_path / "one").rglob("*.csv"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    with DuckDBEngine(tmp_path / "one", Limits()) as engine:
        assert all(entry.error == "" for entry in customer_data.list_items(engine))
        emails = engine.rows("SELECT email FROM customer WHERE email IS NOT NULL")
    assert all(email.isascii() and email.rsplit(".", 1)[0].endswith("@example") for (email,) in emails)
