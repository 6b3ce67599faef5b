"""``csv``: a segment's profiles to a CSV file on this machine, against DuckDB's own ``COPY`` of the same SQL.

Ours is the path of a run up to the destination: selection by Ibis, batches from the locked engine, the portal's
encoder with its SHA-256. ``rows`` are written, from twice as many profiles of 20 columns.
"""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
from django.conf import settings

from benchmarks.harness import Result, medians_in_turn
from benchmarks.profiles import FIELDS, write_profiles
from connections_portal import customer_data
from connections_portal.customer_data import Kind
from connections_portal.customer_data.engine import BATCH_ROWS, DuckDBEngine, Limits
from exports import payload
from exports.csv_files import CsvEncoder

ROWS = 1_000_000
SEGMENT = "members"


class Recorder(DuckDBEngine):
    """The run's engine, which also remembers what it was asked."""

    sql = ""

    def stream(self, sql: str, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """As the engine does."""
        self.sql = sql
        return super().stream(sql, batch_rows)


def measure(rows: int) -> Result:
    """The portal's rows per second as a share of ``COPY``'s. Raises AssertionError when they do not write the same."""
    data, outputs = customer_data.folder(), Path(settings.VAR_DIR)
    write_profiles(data, 2 * rows, segment=SEGMENT, one_of=2)
    ours, theirs = outputs / "portal.csv", outputs / "copy.csv"
    asked = write_csv(data, ours)
    seconds = medians_in_turn(
        {"portal": lambda: write_csv(data, ours), "copy": lambda: copy(data, asked, theirs)}
    )
    written = [sum(1 for _ in path.open("rb")) - 1 for path in (ours, theirs)]
    assert written == [rows, rows], f"portal and COPY wrote {written} rows of {rows}"
    rates = {name: rows / taken for name, taken in seconds.items()}
    return Result(
        name="csv",
        rows=rows,
        value=rates["portal"] / rates["copy"],
        unit="rows/s, as a share of COPY",
        goal=0.9,
        floor=0.7,
        compared_with=(
            f"DuckDB COPY of the same SQL in {seconds['copy']:.2f} s ({rates['copy']:,.0f} rows/s); "
            f"portal {seconds['portal']:.2f} s ({rates['portal']:,.0f} rows/s)"
        ),
    )


def write_csv(folder: Path, target: Path) -> str:
    """The portal's way; returns the SQL it asked the engine."""
    chosen = payload.Selection(Kind.SEGMENT, SEGMENT, FIELDS)
    with Recorder(folder, run_limits()) as engine, target.open("wb") as file:
        encoder: CsvEncoder | None = None
        for batch in payload.stream(engine, chosen):
            encoder = encoder or CsvEncoder(batch.schema)
            file.write(encoder.encode(batch))
        if encoder:
            file.write(encoder.finish())
        return engine.sql


def copy(folder: Path, sql: str, target: Path) -> None:
    """DuckDB's way, with the same limits and views of the same names."""
    limits = run_limits()
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": limits.threads,
        "memory_limit": f"{limits.memory_mb}MB",
        "temp_directory": str(limits.spill),
    }
    with duckdb.connect(config=config) as database:
        database.execute("SET preserve_insertion_order = false")
        for view, file in (("customer", "customer"), (f"segment:{SEGMENT}", f"segments/{SEGMENT}")):
            source = folder / f"{file}.parquet"
            database.execute(f"CREATE VIEW \"{view}\" AS SELECT * FROM read_parquet('{source}')")
        database.execute(f"COPY ({sql}) TO '{target}' (FORMAT csv, HEADER)")


def run_limits() -> Limits:
    """What a run's engine may take, from the settings."""
    return Limits(
        threads=settings.ENGINE_THREADS,
        memory_mb=settings.ENGINE_MEMORY_MB,
        seconds=None,
        spill=settings.SPILL_DIR,
    )
