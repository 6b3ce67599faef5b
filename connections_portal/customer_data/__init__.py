"""Customer data, to read: the one door to the engine named by CUSTOMER_DATA_URL."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _

from connections_portal.customer_data import catalogue
from connections_portal.customer_data.catalogue import (
    CUSTOMER,
    CUSTOMER_ID,
    RUN_FOLDER,
    STAGED,
    TABLE_NAME,
    Identity,
    Item,
    Kind,
    Origin,
    current_run,
)
from connections_portal.customer_data.engine import Column, DuckDBEngine, Engine, Limits, quoted
from connections_portal.customer_data.errors import (
    BrokenItem,
    CustomerDataError,
    NotReached,
    TimedOut,
    Unavailable,
    UnknownItem,
)

__all__ = [
    "CUSTOMER",
    "CUSTOMER_ID",
    "RUN_FOLDER",
    "STAGED",
    "TABLE_NAME",
    "BrokenItem",
    "Column",
    "CustomerDataError",
    "Engine",
    "Identity",
    "Item",
    "Kind",
    "Listed",
    "NotReached",
    "Origin",
    "Sample",
    "TimedOut",
    "Unavailable",
    "UnknownItem",
    "count",
    "current_run",
    "list_items",
    "open_for_page",
    "open_for_run",
    "quoted",
    "sample",
    "source_tables",
    "write_sample_data",
]

SAMPLE_ROWS = 20

# scheme of CUSTOMER_DATA_URL → adapter
_ADAPTERS: dict[str, type[DuckDBEngine]] = {"duckdb": DuckDBEngine}

# rule S20: what one page may take for all its questions together, and how many pages ask at a time in one process;
# the others wait, but not long
PAGE_SECONDS = 10.0
PAGES_AT_A_TIME = 2
WAIT_SECONDS = 4.0
_places = threading.BoundedSemaphore(PAGES_AT_A_TIME)

# how long the count of a query holds (it may ask for today's date), and that a count took too long
RECOUNT_SECONDS = 600
# after how long an item for which a page had no time left is tried again
REACH_AGAIN_SECONDS = 60

# counts by item and identity, so that a file is counted once (a page asks for all of them), each with the moment
# until which it holds; None stands for one that took too long
_counts: dict[tuple[Kind, str, Identity], tuple[int | None, float]] = {}
_counts_lock = threading.Lock()


@dataclass(frozen=True)
class Listed:
    """An item with its number of rows and columns, or the sentence that says why there are none.

    Without a count and without an error it can be read, and counting it took longer than a page may wait.
    """

    item: Item
    count: int | None
    columns: tuple[Column, ...]
    error: str = ""


@dataclass(frozen=True)
class Sample:
    """The first rows that came: column names and values as Python objects."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def folder() -> Path:
    """The folder that CUSTOMER_DATA_URL names."""
    return Path(unquote(urlsplit(settings.CUSTOMER_DATA_URL).path))


def source_tables() -> list[str]:
    """The names of the tables in the customer data itself, those of enrichments not among them."""
    return [name for kind, name in catalogue.read(folder()) if kind is Kind.TABLE]


def _open(limits: Limits, staged: Path | None = None) -> DuckDBEngine:
    scheme = urlsplit(settings.CUSTOMER_DATA_URL).scheme
    if scheme not in _ADAPTERS:
        known = ", ".join(f"{name}://" for name in _ADAPTERS)
        raise ImproperlyConfigured(f"CUSTOMER_DATA_URL must start with one of: {known}")
    return _ADAPTERS[scheme](folder(), limits, results=settings.ENRICHMENTS_DIR, staged=staged)


@contextmanager
def open_for_page() -> Iterator[Engine]:
    """An engine for metadata, counts and samples: one thread, 256 MB, five seconds a question, ten for all of them.

    Raises Unavailable, also while others keep all places busy. It may spill too: the members of a large segment,
    each counted once, do not fit into its memory.
    """
    began = time.monotonic()
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise Unavailable(_("It is being read for others just now. Try again in a few seconds."))
    try:
        left = PAGE_SECONDS - (time.monotonic() - began)
        with _open(Limits(all_seconds=left, spill=settings.SPILL_DIR, spill_mb=2_048)) as engine:
            yield engine
    finally:
        _places.release()


@contextmanager
def open_for_run(*, staged: Path | None = None) -> Iterator[Engine]:
    """An engine for one run, with the operator's threads and memory and a spill folder. Raises Unavailable.

    ``staged`` is a Parquet file inside ENRICHMENTS_DIR that this run put there: the engine reads it, as the view
    ``STAGED``, and nothing else beside the items (rule S22).
    """
    limits = Limits(
        threads=settings.ENGINE_THREADS,
        memory_mb=settings.ENGINE_MEMORY_MB,
        seconds=settings.ENGINE_SECONDS,
        spill=settings.SPILL_DIR,
    )
    with _open(limits, staged) as engine:
        yield engine


def count(engine: Engine, kind: Kind, name: str) -> int:
    """Rows of a table, members of a segment (each once). Raises CustomerDataError.

    TimedOut means that it could be read and not be counted in time; it is not tried again on the next page.
    """
    key = (kind, name, engine.identity(kind, name))
    is_query = any(item.is_sql for item in engine.items() if (item.kind, item.name) == (kind, name))
    with _counts_lock:
        number, until = _counts.get(key, (None, 0.0))
    if time.monotonic() < until:
        if number is None:
            raise TimedOut(_("It took too long to answer."))
        return number
    what = f"count(DISTINCT {CUSTOMER_ID})" if kind is Kind.SEGMENT else "count(*)"
    try:
        number = int(engine.rows(f"SELECT {what} FROM {quoted(engine.view(kind, name))}")[0][0])
    except TimedOut as late:
        _remember(key, None, REACH_AGAIN_SECONDS if isinstance(late, NotReached) else RECOUNT_SECONDS)
        raise
    _remember(key, number, RECOUNT_SECONDS if is_query else math.inf)
    return number


def _remember(key: tuple[Kind, str, Identity], number: int | None, seconds: float) -> None:
    with _counts_lock:
        if len(_counts) > 10_000:
            _counts.clear()
        _counts[key] = (number, time.monotonic() + seconds)


def list_items(engine: Engine) -> list[Listed]:
    """Every segment and table with its counts; one that cannot be read says so and does not hide the others.

    One that cannot be counted in time has no count. Raises NotReached if there is no time to look at the customers.
    """
    listed = [_described(engine, item) for item in engine.items()]
    # queries last: they may be slow, and whatever is left over stays without a count
    counts: dict[Item, int | CustomerDataError | None] = {}
    for entry in sorted(listed, key=lambda entry: entry.item.is_sql):
        if entry.error:
            continue
        try:
            counts[entry.item] = count(engine, entry.item.kind, entry.item.name)
        except TimedOut:
            counts[entry.item] = None
        except CustomerDataError as error:
            counts[entry.item] = error
    return [_counted(entry, counts.get(entry.item)) for entry in listed]


def _described(engine: Engine, item: Item) -> Listed:
    try:
        return Listed(item, None, tuple(engine.columns(item.kind, item.name)))
    except CustomerDataError as error:
        if isinstance(error, NotReached) and (item.kind, item.name) == (Kind.TABLE, CUSTOMER):
            raise  # without them every field of theirs would look as if it had vanished
        return Listed(item, None, (), error.message)


def _counted(entry: Listed, answer: int | CustomerDataError | None) -> Listed:
    if isinstance(answer, CustomerDataError):
        return replace(entry, columns=(), error=answer.message)
    return replace(entry, count=answer)


def sample(engine: Engine, kind: Kind, name: str, rows: int = SAMPLE_ROWS) -> Sample:
    """A few rows; of a segment those of its members' profiles. Raises CustomerDataError."""
    view = quoted(engine.view(kind, name))
    if kind is Kind.SEGMENT and any(i.name == CUSTOMER and i.kind is Kind.TABLE for i in engine.items()):
        columns = [c.name for c in engine.columns(Kind.TABLE, CUSTOMER)]
        # compared as text: a list kept as text may belong to customers whose ids are numbers
        members = f"SELECT CAST({CUSTOMER_ID} AS VARCHAR) FROM {view}"
        query = f"SELECT * FROM {quoted(CUSTOMER)} WHERE CAST({CUSTOMER_ID} AS VARCHAR) IN ({members})"
    else:
        columns = [c.name for c in engine.columns(kind, name)]
        query = f"SELECT * FROM {view}"
    return Sample(columns, engine.rows(f"{query} LIMIT {int(rows)}"))


def write_sample_data() -> None:
    """Write the invented customers of ``make run``, unless there is customer data already."""
    from connections_portal.customer_data.sample_data import write_sample

    write_sample(folder())
