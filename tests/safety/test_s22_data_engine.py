"""S22: the engine reads what the portal listed and nothing else, by single SELECTs, and cannot be reconfigured."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connections_portal.customer_data import CustomerDataError, Kind
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
        "COPY customer TO '{folder}/out.csv'",
        "COPY (SELECT 1) TO '/tmp/portal-out.csv'",
        "ATTACH '/tmp/portal-other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 8",
        "SET memory_limit = '64GB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
    ],
)
def test_the_engine_refuses(engine: DuckDBEngine, folder: Path, query: str) -> None:
    with pytest.raises(CustomerDataError):
        engine.rows(query.format(outside=folder.parent / "secret.csv", folder=folder))
    assert not (folder / "out.csv").exists()


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
