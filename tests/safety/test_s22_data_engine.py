"""S22: the engine reads what the portal listed and nothing else, by single SELECTs, and cannot be reconfigured."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connections_portal.customer_data import CustomerDataError, Kind, catalogue
from connections_portal.customer_data.engine import DuckDBEngine, Limits
from tests.data import write_customers

canary = [["a Python variable"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_customers(tmp_path / "data")
    (tmp_path / "secret.csv").write_text("customer_id\ncanary\n")
    (folder / "unlisted.csv").write_text("customer_id\ncanary\n")
    return folder


@pytest.fixture
def engine(folder: Path) -> Iterator[DuckDBEngine]:
    with DuckDBEngine(folder, Limits()) as engine:
        yield engine


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('{folder}/unlisted.csv')",
        "SELECT * FROM read_csv('{folder}/../secret.csv')",
        "SELECT * FROM read_csv('https://example.com/x.csv')",
        "SELECT * FROM canary",
        "SELECT * FROM sniff_csv('{outside}')",
        "SELECT * FROM parquet_metadata('{folder}/*.parquet')",
        "SELECT * FROM query($$COPY customer TO '{folder}/out.csv'$$)",
    ],
)
def test_a_query_reads_nothing_but_what_is_listed(engine: DuckDBEngine, folder: Path, query: str) -> None:
    with pytest.raises(CustomerDataError):
        engine.rows(query.format(outside=folder.parent / "secret.csv", folder=folder))
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "COPY customer TO '{folder}/out.csv'",
        "COPY (SELECT 'x' AS customer_id) TO '{folder}/segments/newsletter.csv'",
        "EXPORT DATABASE '{folder}/out.csv'",
        "ATTACH '{folder}/out.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 8",
        "SET memory_limit = '64GB'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET python_enable_replacements = true",
        "RESET lock_configuration",
        "CALL enable_logging(storage = 'file', storage_path = '{folder}/out.csv')",
        "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    ],
)
def test_what_is_no_select_is_refused_by_the_portal_and_by_the_lock(
    engine: DuckDBEngine, folder: Path, statement: str
) -> None:
    text = statement.format(folder=folder)
    before = (folder / "segments" / "newsletter.csv").read_bytes()
    with pytest.raises(CustomerDataError):
        engine.rows(text)
    with pytest.raises(duckdb.Error):  # the lock itself, behind the portal's own check
        engine._db.execute(text)
    assert not (folder / "out.csv").exists()
    assert (folder / "segments" / "newsletter.csv").read_bytes() == before


@pytest.mark.parametrize(
    "text", ["DROP VIEW customer", "SELECT 1; SELECT 2", "SET VARIABLE a = 1", "CHECKPOINT", ""]
)
def test_a_question_is_one_select(engine: DuckDBEngine, text: str) -> None:
    for ask in (engine.rows, engine.schema, lambda sql: list(engine.stream(sql))):
        with pytest.raises(CustomerDataError):
            ask(text)
    assert engine.rows("SELECT count(*) FROM customer") == [(4,)]


@pytest.mark.parametrize("name", ["lo*", "l?yal", "[l]oyal"])
def test_a_name_that_is_a_pattern_reads_no_other_file(folder: Path, name: str) -> None:
    pq.write_table(pa.table({"customer_id": ["c4"]}), folder / "segments" / f"{name}.parquet")
    with DuckDBEngine(folder, Limits()) as engine:
        with pytest.raises(CustomerDataError, match="other files"):
            engine.view(Kind.SEGMENT, name)
        assert engine.rows(f'SELECT count(*) FROM "{engine.view(Kind.SEGMENT, "loyal")}"') == [(4,)]


def test_spilling_has_a_limit(folder: Path, tmp_path: Path) -> None:
    large = "SELECT count(*) FROM (SELECT DISTINCT md5(i::VARCHAR) FROM range(2000000) t(i))"
    limits = Limits(memory_mb=40, seconds=None, spill=tmp_path / "spill")
    with DuckDBEngine(folder, limits) as engine:
        assert engine.rows(large) == [(2_000_000,)]
    with DuckDBEngine(folder, replace(limits, spill_mb=1)) as engine, pytest.raises(CustomerDataError):
        engine.rows(large)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT customer_id FROM customer; DROP VIEW customer",
        "CREATE TABLE t AS SELECT 'x' AS customer_id",
        "COPY (SELECT 1 AS customer_id) TO 'out.csv'",
        "SELECT customer_id FROM read_csv('/etc/passwd')",
        "SELECT customer_id FROM 'unlisted.csv'",
        "SELECT 1) AS x; SELECT ('y'",
        "",
        "not sql at all",
        "SELECT 'no such column' AS name",
        "PRAGMA database_list",
        "SELECT customer_id FROM customer -- " + "x" * 100_001,
    ],
)
def test_a_segments_query_is_one_select_over_what_is_listed(folder: Path, text: str) -> None:
    (folder / "segments" / "tricky.sql").write_text(text)
    with DuckDBEngine(folder, Limits()) as engine:
        with pytest.raises(CustomerDataError):
            engine.rows(f'SELECT * FROM "{engine.view(Kind.SEGMENT, "tricky")}"')
        assert engine.rows("SELECT count(*) FROM customer") == [(4,)]


def test_memory_is_limited(engine: DuckDBEngine) -> None:
    with pytest.raises(CustomerDataError):
        engine.rows("SELECT list(i) FROM range(200000000) t(i)")


def link_out(folder: Path, place: Path) -> None:
    place.symlink_to(folder.parent / "secret.csv")


def link_out_by_way(folder: Path, place: Path) -> None:
    """A link to a link."""
    between = folder / "between"
    between.symlink_to(folder.parent / "secret.csv")
    place.symlink_to(between)


def link_to_another_format(folder: Path, place: Path) -> None:
    place.symlink_to(folder / "customer.parquet")


def pipe(folder: Path, place: Path) -> None:
    os.mkfifo(place)


def link_to_a_pipe(folder: Path, place: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    place.symlink_to(folder / "pipe.csv")


def socket_file(folder: Path, place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(place.parent)  # the path of a socket is short
        try:
            server.bind(place.name)
        finally:
            os.chdir(here)


def device(folder: Path, place: Path) -> None:
    place.symlink_to("/dev/zero")


def subfolder(folder: Path, place: Path) -> None:
    place.mkdir()
    (place / "part.csv").write_text("customer_id\ncanary\n")


def nothing(folder: Path, place: Path) -> None:
    place.symlink_to(folder / "never-there.csv")


@pytest.mark.parametrize("place", ["segments/odd.csv", "tables/odd.csv"])
@pytest.mark.parametrize(
    "make",
    [
        link_out,
        link_out_by_way,
        link_to_another_format,
        pipe,
        link_to_a_pipe,
        socket_file,
        device,
        subfolder,
        nothing,
    ],
)
def test_what_is_no_regular_file_in_the_folder_is_not_given_to_the_engine(
    folder: Path, make: Callable[[Path, Path], None], place: str
) -> None:
    before = catalogue.read(folder)
    make(folder, folder / place)
    # asked first: whoever opens a pipe waits for ever
    assert catalogue.read(folder) == before
    with DuckDBEngine(folder, Limits()) as engine:
        allowed = str(engine.rows("SELECT current_setting('allowed_paths')")[0][0])
        assert "odd" not in allowed
        assert "secret" not in allowed
        for path in (folder / place, folder.parent / "secret.csv"):
            with pytest.raises(CustomerDataError):
                engine.rows(f"SELECT * FROM read_csv('{path}')")


@pytest.mark.parametrize("name", ["tables", "segments", "customer"])
def test_a_folder_that_leads_out_is_not_looked_into(tmp_path: Path, name: str) -> None:
    """Nor are the customers' parts."""
    outside = write_customers(tmp_path / "outside")
    (outside / "customer").mkdir()
    (outside / "customer.parquet").rename(outside / "customer" / "part.parquet")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / name).symlink_to(outside / name)
    assert catalogue.read(inside) == {}
    (inside / name).unlink()
    (inside / name).mkdir()
    for file in (outside / name).iterdir():
        (inside / name / file.name).symlink_to(file)
    assert catalogue.read(inside) == {}
    with DuckDBEngine(inside, Limits()) as engine:
        assert engine.rows("SELECT current_setting('allowed_paths')") == [([],)]


def test_regular_files_are_given_by_where_they_are(folder: Path) -> None:
    """Else the refusals above would say nothing; links inside the folder are resolved first."""
    (folder / "segments" / "again.parquet").symlink_to(folder / "segments" / "loyal.parquet")
    found = catalogue.read(folder)
    assert found[Kind.SEGMENT, "again"].files == found[Kind.SEGMENT, "loyal"].files
    with DuckDBEngine(folder, Limits()) as engine:
        allowed = engine.rows("SELECT current_setting('allowed_paths')")[0][0]
    assert set(allowed) == {
        str(folder.resolve() / path)
        for path in (
            "customer.parquet",
            "segments/loyal.parquet",
            "segments/newsletter.csv",
            "tables/orders.csv",
        )
    }
