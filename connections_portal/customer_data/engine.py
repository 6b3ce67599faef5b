"""The engine that reads customer data: a small interface, and DuckDB behind it. The only module that knows DuckDB.

A database in memory over the files; views are made first, then it is locked (rule S22): no file but those listed,
no extensions, no Python variables, configuration frozen. Every statement it runs afterwards is one SELECT.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import duckdb
import pyarrow as pa
from django.utils.translation import gettext as _

from connections_portal.customer_data import catalogue
from connections_portal.customer_data.catalogue import CUSTOMER, CUSTOMER_ID, STAGED, Identity, Item, Kind
from connections_portal.customer_data.errors import (
    BrokenItem,
    CustomerDataError,
    NotReached,
    TimedOut,
    Unavailable,
    UnknownItem,
)

BATCH_ROWS = 10_000
SQL_LIMIT = 100_000


@dataclass(frozen=True)
class Column:
    """One column: ``type`` is the engine's name of it, ``words`` what people read."""

    name: str
    type: str
    words: str


@dataclass(frozen=True)
class Limits:
    """What one engine may take: threads, megabytes of memory, seconds per question (None: no limit).

    ``all_seconds`` is the time for everything together, views included, counted from the opening (rule S20).
    ``spill`` is the folder it may fall back on when memory runs short, ``spill_mb`` how much it may put there.
    """

    threads: int = 1
    memory_mb: int = 256
    seconds: float | None = 5.0
    all_seconds: float | None = None
    spill: Path | None = None
    spill_mb: int = 8_192


class Engine(Protocol):
    """What the portal asks of any engine; queries are SQL of the engine's ``dialect`` (an Ibis backend's name)."""

    dialect: str

    def items(self) -> Sequence[Item]:
        """Every segment and table there is, readable or not."""

    def view(self, kind: Kind, name: str) -> str:
        """The name under which queries read the item. Raises UnknownItem, BrokenItem, TimedOut."""

    def columns(self, kind: Kind, name: str) -> list[Column]:
        """The item's columns in order; those of the customers for a segment's members are not among them."""

    def identity(self, kind: Kind, name: str) -> Identity:
        """What tells that the item's inputs are still the same (rule S28)."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small answer."""

    def stream(self, sql: str, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The answer in batches of at most ``batch_rows`` rows, in no particular order, in constant memory."""

    def schema(self, sql: str) -> pa.Schema:
        """The Arrow schema of the answer."""

    def interrupt(self) -> None:
        """Stop the question under way, from another thread; it raises TimedOut. Nothing happens without one."""

    def close(self) -> None:
        """Let go of everything."""


class DuckDBEngine:
    """DuckDB over a folder of Parquet and CSV files. A context manager; use it in one thread."""

    dialect = "duckdb"

    def __init__(
        self, folder: Path, limits: Limits, *, results: Path | None = None, staged: Path | None = None
    ) -> None:
        """Open ``folder``, the outputs of enrichments in ``results``, and a file that a run ``staged`` there."""
        if not folder.is_dir():
            raise Unavailable(
                _("The folder of customer data is not there (%(name)s).") % {"name": folder.name}
            )
        self._limits = limits
        self._end = time.monotonic() + limits.all_seconds if limits.all_seconds else None
        self._items = catalogue.read(folder)
        if results is not None:
            source = [name for kind, name in self._items if kind is Kind.TABLE]
            for item in catalogue.read_results(results, source):
                # an odd file of the source that has even that name stays what is listed
                self._items.setdefault((Kind.TABLE, item.name), item)
        self._staged = catalogue.staged(staged, results) if staged and results else None
        self._views: dict[tuple[Kind, str], str] = {}
        self._taken: set[str] = set()
        self._broken: dict[tuple[Kind, str], CustomerDataError] = {}
        config: dict[str, Any] = {"threads": limits.threads, "memory_limit": f"{limits.memory_mb}MB"}
        if limits.spill:
            try:
                limits.spill.mkdir(parents=True, exist_ok=True)
            except OSError:
                raise Unavailable(_("The spill folder (SPILL_DIR) cannot be made.")) from None
            config["temp_directory"] = str(limits.spill)
        self._db = duckdb.connect(":memory:", config=config)
        try:
            self._open()
        except Exception:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """See ``Engine.close``."""
        self._db.close()

    def _open(self) -> None:
        read = [*self._items.values(), *([self._staged] if self._staged else [])]
        paths = [str(path) for item in read for path in item.files if not (item.is_sql or item.problem)]
        if self._limits.spill is None:
            self._db.execute("SET temp_directory = ''")
        else:
            # given to connect() it would be shown and not obeyed
            self._db.execute(f"SET max_temp_directory_size = '{self._limits.spill_mb}MB'")
        listed = ", ".join(_text(path) for path in paths)
        for statement in (
            "SET autoinstall_known_extensions = false",
            "SET autoload_known_extensions = false",
            "SET allow_persistent_secrets = false",
            "SET python_enable_replacements = false",
            "SET preserve_insertion_order = false",
            f"SET allowed_paths = [{listed}]",
            "SET enable_external_access = false",
        ):
            self._db.execute(statement)
        if self._staged:
            self._make_view((Kind.TABLE, STAGED), self._staged)
        # tables first: one of them may not take the name of the customers; queries last: they read the others
        for key, item in sorted(self._items.items(), key=lambda pair: pair[1].is_sql):
            self._make_view(key, item)
        self._db.execute("SET lock_configuration = true")

    def _make_view(self, key: tuple[Kind, str], item: Item) -> None:
        view = item.name if item.kind is Kind.TABLE else f"segment:{item.name}"
        try:
            if item.problem:
                raise BrokenItem(item.problem)
            # to make a view the engine looks into the files
            with self._watched(self._limits.seconds):
                if item.kind is Kind.SEGMENT:
                    # the members and nothing else, under the one name whatever its case in the file
                    source = self._query(item) if item.is_sql else _reader(item)
                    whole = self._define(f"source of {view}", source)
                    self._define(view, f"SELECT {CUSTOMER_ID} AS {CUSTOMER_ID} FROM {_name(whole)}")
                else:
                    self._define(view, self._table(item))
        except CustomerDataError as error:
            self._broken[key] = error
        except (duckdb.Error, OSError, UnicodeError):
            self._broken[key] = BrokenItem(_("The file cannot be read."))
        else:
            self._views[key] = view

    def _define(self, view: str, source: str) -> str:
        """Make a view; returns its name. The engine does not tell capital from small letters in names."""
        if view.casefold() in self._taken:
            raise BrokenItem(_("Another file has this name, or one that differs in capital letters only."))
        self._db.execute(f"CREATE VIEW {_name(view)} AS {source}")
        self._taken.add(view.casefold())
        return view

    def _table(self, item: Item) -> str:
        """How a table is read. Customers' ids are text or whole numbers, never what else a CSV file looks like."""
        source = _reader(item)
        if item.name != CUSTOMER or item.files[0].suffix != ".csv":
            return source
        types = {row[0]: str(row[1]) for row in self._db.execute(f"DESCRIBE {source}").fetchall()}
        exact = words_for(types.get(CUSTOMER_ID, "VARCHAR")) in ("text", "whole number")
        return source if exact else _reader(item, f"types = {{'{CUSTOMER_ID}': 'VARCHAR'}}")

    def _query(self, item: Item) -> str:
        """The one SELECT of a segment written as a query."""
        if item.files[0].stat().st_size > SQL_LIMIT:
            raise BrokenItem(_("The query is too long."))
        text = item.files[0].read_text(encoding="utf-8")
        statements = self._db.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BrokenItem(_("A segment is one SELECT and nothing else."))
        return text.removeprefix("\ufeff")

    def items(self) -> list[Item]:
        """See ``Engine.items``."""
        return list(self._items.values())

    def view(self, kind: Kind, name: str) -> str:
        """See ``Engine.view``."""
        key = (kind, name)
        if key in self._broken:
            problem = self._broken[key]
            raise type(problem)(problem.message)
        if key not in self._views:
            raise UnknownItem(_("It is not there any more."))
        return self._views[key]

    def columns(self, kind: Kind, name: str) -> list[Column]:
        """See ``Engine.columns``."""
        described = self.rows(f"DESCRIBE SELECT * FROM {_name(self.view(kind, name))}")
        return [Column(row[0], str(row[1]), words_for(str(row[1]))) for row in described]

    def identity(self, kind: Kind, name: str) -> Identity:
        """See ``Engine.identity``. A segment also depends on the customers, a query on every file there is."""
        self.view(kind, name)
        item = self._items[kind, name]
        parts = [item]
        if item.is_sql:
            parts += [other for other in self._items.values() if other is not item]
        elif kind is Kind.SEGMENT and (Kind.TABLE, CUSTOMER) in self._items:
            parts.append(self._items[Kind.TABLE, CUSTOMER])
        try:
            return tuple(entry for part in parts for entry in part.identity())
        except OSError:
            raise UnknownItem(_("It is not there any more.")) from None

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """See ``Engine.rows``."""
        with self._limited(self._limits.seconds):
            # over Arrow: DuckDB's own conversion of times with a zone needs one more package
            answer = self._select(sql).to_arrow_table()
        return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))

    def stream(self, sql: str, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """See ``Engine.stream``."""
        # no time limit: how long it takes is up to whoever takes the batches
        with self._limited(None):
            # the relation, not execute(): the latter would copy every row once more on the way to Arrow
            yield from self._select(sql).to_arrow_reader(batch_rows)

    def schema(self, sql: str) -> pa.Schema:
        """See ``Engine.schema``."""
        with self._limited(self._limits.seconds):
            return self._select(sql).to_arrow_table().schema

    def interrupt(self) -> None:
        """See ``Engine.interrupt``."""
        with suppress(duckdb.ConnectionException):  # closed meanwhile: nothing is under way
            self._db.interrupt()

    def _select(self, sql: str) -> duckdb.DuckDBPyRelation:
        """The relation of one SELECT (or DESCRIBE, which the parser counts among them); refuses all else."""
        statements = self._db.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BrokenItem(_("The engine answers one SELECT at a time."))
        return self._db.sql(sql)

    @contextmanager
    def _limited(self, seconds: float | None) -> Iterator[None]:
        """Interrupt a question that takes too long; say what failed without quoting data."""
        try:
            with self._watched(seconds):
                yield
        except duckdb.OutOfMemoryException:
            raise Unavailable(_("The engine has too little memory or spill space.")) from None
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise BrokenItem(
                _("The data cannot be read (%(error)s).") % {"error": type(error).__name__}
            ) from None

    @contextmanager
    def _watched(self, seconds: float | None) -> Iterator[None]:
        """Let what runs inside have ``seconds``, and no more than is left for all. Raises TimedOut, NotReached."""
        left = None if self._end is None else self._end - time.monotonic()
        late = NotReached if left is not None and (seconds is None or left < seconds) else TimedOut
        time_given = left if late is NotReached else seconds
        if time_given is not None and time_given <= 0:
            raise NotReached(_("There was no time left for it."))
        try:
            with _interrupting(self._db, time_given):
                yield
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            # while rows stream, the engine's errors arrive as Arrow's; their text may quote a line of the data
            if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in str(error):
                raise late(_("It took too long to answer.")) from None
            raise


@contextmanager
def _interrupting(db: duckdb.DuckDBPyConnection, seconds: float | None) -> Iterator[None]:
    """Interrupt what ``db`` does after ``seconds`` (None: never)."""
    if seconds is None:
        yield
        return
    done = threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            # again and again: an interruption between two steps of one question is forgotten by the engine
            db.interrupt()
            while not done.wait(0.05):
                db.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def quoted(name: str) -> str:
    """A name as SQL reads it, whatever characters it has."""
    return _name(name)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _reader(item: Item, *options: str) -> str:
    # no columns out of the folders' names; members' ids as they stand in the file: "1E5" is no number
    paths = ", ".join(_text(str(path)) for path in item.files)
    options = (f"[{paths}]", "hive_partitioning = false", *options)
    if item.files[0].suffix != ".csv":
        return f"SELECT * FROM read_parquet({', '.join(options)})"
    options += ("header = true", "auto_detect = true", "max_line_size = 1000000")
    if item.kind is Kind.SEGMENT:
        options += ("all_varchar = true",)
    return f"SELECT * FROM read_csv({', '.join(options)})"


_WORDS = (
    ("BOOLEAN", "yes or no"),
    ("DATE", "date"),
    ("TIMESTAMP", "date and time"),
    ("TIME", "time"),
    ("DECIMAL", "decimal number"),
    ("DOUBLE", "decimal number"),
    ("FLOAT", "decimal number"),
    ("VARCHAR", "text"),
    ("UUID", "text"),
    ("ENUM", "text"),
    ("JSON", "text"),
    ("BLOB", "binary"),
    ("STRUCT", "group of values"),
    ("MAP", "group of values"),
    ("VARIANT", "group of values"),
    ("INTERVAL", "duration"),
)


def words_for(type_name: str) -> str:
    """The engine's type in words for people."""
    if type_name.endswith("]"):
        return "list"
    if type_name.endswith(("INT", "INTEGER")):
        return "whole number"
    return next((words for prefix, words in _WORDS if type_name.startswith(prefix)), type_name.lower())
