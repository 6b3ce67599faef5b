"""A CSV file on this machine, written the portal's way and by DuckDB's own ``COPY`` of the same SQL, in turn."""

from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
from django.conf import settings

from benchmarks.harness import Result, medians_in_turn
from connections_portal.customer_data.engine import DuckDBEngine, Limits
from exports.csv_files import CsvEncoder

Select = Callable[[DuckDBEngine], str]


def compare(
    name: str, rows: int, *, folder: Path, segment: str, select: Select, outputs: Path, **aims: float
) -> Result:
    """The portal's rows per second as a share of ``COPY``'s; ``select`` writes the SQL, every time anew.

    ``aims`` are ``goal`` and ``floor``. Raises AssertionError when the two do not write the same number of rows.
    """
    ours, theirs = outputs / f"{name}-portal.csv", outputs / f"{name}-copy.csv"
    with DuckDBEngine(folder, run_limits()) as engine:
        sql = select(engine)
    seconds = medians_in_turn(
        {
            "portal": lambda: write(folder, select, ours),
            "copy": lambda: copy(folder, segment, sql, theirs),
        }
    )
    written = [sum(1 for _ in path.open("rb")) - 1 for path in (ours, theirs)]
    assert written == [rows, rows], f"portal and COPY wrote {written} rows of {rows}"
    for path in (ours, theirs):
        path.unlink()
    rates = {case: rows / taken for case, taken in seconds.items()}
    return Result(
        name=name,
        rows=rows,
        value=rates["portal"] / rates["copy"],
        unit="rows/s, as a share of COPY",
        goal=aims["goal"],
        floor=aims["floor"],
        compared_with=(
            f"DuckDB COPY of the same SQL in {seconds['copy']:.2f} s ({rates['copy']:,.0f} rows/s); "
            f"portal {seconds['portal']:.2f} s ({rates['portal']:,.0f} rows/s)"
        ),
    )


def write(folder: Path, select: Select, target: Path) -> None:
    """The path of a run up to the destination: the locked engine, batches from it, the encoder with its SHA-256."""
    with DuckDBEngine(folder, run_limits()) as engine, target.open("wb") as file:
        for data in encoded(engine.stream(select(engine))):
            file.write(data)


def encoded(batches: Iterable[pa.RecordBatch]) -> Iterable[bytes]:
    """The batches as the bytes of one file."""
    encoder: CsvEncoder | None = None
    for batch in batches:
        encoder = encoder or CsvEncoder(batch.schema)
        yield from encoder.encode(batch)
    if encoder:
        yield from encoder.finish()


def copy(folder: Path, segment: str, sql: str, target: Path) -> None:
    """DuckDB's way, with the same limits and views of the same names."""
    limits = run_limits()
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": limits.threads,
        "memory_limit": f"{limits.memory_mb}MB",
        "temp_directory": str(limits.spill),
    }
    with duckdb.connect(config=config) as database:
        database.execute("SET preserve_insertion_order = false")
        for view, file in (("customer", "customer"), (f"segment:{segment}", f"segments/{segment}")):
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
