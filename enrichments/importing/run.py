"""One import from the file at the server to checked Parquet files, in memory that does not grow with it."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from connections.connectors.errors import FileUnusable
from connections.connectors.files import FileIdentity, RemoteSource
from connections_portal import customer_data
from connections_portal.customer_data import CUSTOMER, CUSTOMER_ID, Engine, Identity, Kind, UnknownItem
from enrichments import tables
from enrichments.importing import model as models
from enrichments.importing import selection, staging
from enrichments.importing.model import MODEL, Model
from enrichments.importing.problems import ImportProblem, customers_changed, file_changed, listed
from enrichments.importing.selection import REASONS

T = TypeVar("T")

BATCH_ROWS = 50_000
GROUP_ROWS = 100_000
WATCH_SECONDS = 0.5
REPORT_SECONDS = 1.0
TOUCH_SECONDS = 60.0
SUFFIXES = (".csv", ".csv.gz")

REJECTED = ("no_customer_id", "duplicate", "bad_value", "wrong_columns")
LEFT_OUT = ("unknown_customer", "not_in_segment")


@dataclass(frozen=True)
class Imported:
    """What came of an import: ``read = enriched + rejected + left_out`` rows.

    ``selected`` is the number of customers in the data set, ``reasons`` maps a code of ``REJECTED`` or ``LEFT_OUT`` to
    its number of rows, ``coverage`` lists the fields as ``[name, label, type in words, customers with a value]``,
    ``bytes_read`` are those of the file as it lies at the server.
    """

    selected: int
    read: int
    enriched: int
    rejected: int
    left_out: int
    reasons: dict[str, int]
    coverage: list[tuple[str, str, str, int]]
    bytes_read: int


def run_import(
    *,
    source: RemoteSource,
    options: dict[str, str],
    segment: str,
    folder: Path,
    report: Callable[[int, int], None],
    check: Callable[[], None],
) -> Imported:
    """Read the file that ``options`` (``path``, ``filename``) names, and write what enriches into ``folder``.

    ``segment`` limits the customers to its members; empty means all. ``report`` is called with bytes and rows read, at
    most once a second, from the calling thread; ``check`` at every block and batch, also from another thread, and
    whatever it raises ends the import. Raises ImportProblem, SourceChanged, ConnectorError and CustomerDataError.
    """
    pulse = _Pulse(folder, report, check)
    hidden = tables.staging_folder(folder)
    hidden.mkdir()
    try:
        path = hidden.resolve() / "staged.parquet"
        model, staged = _stage(source, options, path, pulse)
        if staged.rows + staged.wrong == 0:
            raise staging.empty()
        with customer_data.open_for_run(staged=path) as engine:
            return _enrich(engine, model, segment, folder, staged, pulse)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


class _Pulse:
    """Says that the work goes on: to whoever waits for it, and to whoever tidies old folders."""

    def __init__(self, folder: Path, report: Callable[[int, int], None], check: Callable[[], None]) -> None:
        self.check = check
        self._folders = (folder, tables.staging_folder(folder))
        self._report = report
        self._reported = self._touched = time.monotonic()

    def beat(self, bytes_read: int, rows_read: int) -> None:
        """See ``staging.Pulse``."""
        self.touch()
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(bytes_read, rows_read)

    def touch(self) -> None:
        """Keep the folders from looking left behind; raises when the run is lost."""
        self.check()
        now = time.monotonic()
        if now - self._touched >= TOUCH_SECONDS:
            self._touched = now
            for folder in self._folders:
                os.utime(folder)


def _stage(
    source: RemoteSource, options: dict[str, str], path: Path, pulse: _Pulse
) -> tuple[Model, staging.Staged]:
    """Read description and file, and see that both are what they were before (rule S28)."""
    name = options.get("filename", "")
    gzipped = name.lower().endswith(".gz")
    if not name.lower().endswith(SUFFIXES):
        raise ImportProblem(
            "file_type",
            _("The file's name ends in neither .csv nor .csv.gz."),
            _("Only CSV files are brought in, as they are or compressed by gzip. Edit the enrichment."),
        )
    place = [part for part in (options.get("path") or "").split("/") if part]
    file, described = "/".join([*place, name]), "/".join([*place, MODEL])
    before = _identities(source, file, described)
    try:
        if before[0].size == 0:
            raise staging.empty()
        model = models.parse(_description(source, described), name)
        with _closing(source.stream(file)) as blocks:
            staged = staging.stage(blocks, model, path, gzipped=gzipped, pulse=pulse)
    except ImportProblem:
        # half a file often is no file: then it only has to be read again
        if _identities(source, file, described) != before:
            raise file_changed() from None
        raise
    if _identities(source, file, described) != before or staged.bytes_read != before[0].size:
        raise file_changed()
    return model, staged


@contextmanager
def _closing(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Let go of what an iterator holds (an open file, a question under way) however it ends."""
    try:
        yield items
    finally:
        close = getattr(items, "close", None)
        if close:
            close()


def _identities(source: RemoteSource, file: str, described: str) -> tuple[FileIdentity, FileIdentity]:
    found = source.stat(file)
    try:
        return found, source.stat(described)
    except FileUnusable as error:
        if error.code != "file_missing":
            raise
        raise ImportProblem(
            "model_missing",
            _("There is no model.json in the folder of the file."),
            _("Put a model.json beside the file that describes its columns."),
        ) from None


def _description(source: RemoteSource, described: str) -> bytes:
    try:
        return source.read(described, most=models.MAX_BYTES)
    except FileUnusable as error:
        if error.code != "file_too_large":
            raise
        raise models.too_large() from None


def _enrich(
    engine: Engine, model: Model, segment: str, folder: Path, staged: staging.Staged, pulse: _Pulse
) -> Imported:
    """Join the staged rows with the customers of the data set, and write those that fit."""
    with _watched(engine, pulse):
        before = _identity(engine, segment)
        selected = int(engine.rows(selection.selected_sql(engine, segment))[0][0])
        output = _Output(model, {"wrong_columns": staged.wrong} if staged.wrong else {})
        with _closing(engine.stream(selection.rows_sql(engine, model, segment), BATCH_ROWS)) as batches:
            output.write(batches, folder, lambda: pulse.beat(staged.bytes_read, staged.rows + staged.wrong))
        try:
            after = _identity(engine, segment)
        except (ImportProblem, UnknownItem):
            after = ()
        if after != before:
            raise customers_changed()
        if not output.enriched:
            raise _nothing(engine, model, output)
    rejected, left_out = (
        sum(output.reasons.get(code, 0) for code in codes) for codes in (REJECTED, LEFT_OUT)
    )
    return Imported(
        selected=selected,
        read=staged.rows + staged.wrong,
        enriched=output.enriched,
        rejected=rejected,
        left_out=left_out,
        reasons=output.reasons,
        coverage=[
            (a.name, a.label, a.type.words, covered)
            for a, covered in zip(model.values, output.covered, strict=True)
        ],
        bytes_read=staged.bytes_read,
    )


def _identity(engine: Engine, segment: str) -> Identity:
    try:
        return engine.identity(*((Kind.SEGMENT, segment) if segment else (Kind.TABLE, CUSTOMER)))
    except UnknownItem:
        if not segment:
            raise
        raise ImportProblem(
            "segment_gone",
            _("The segment of the customer data set is not there any more."),
            _("Choose another customer data set for the enrichment."),
        ) from None


@contextmanager
def _watched(engine: Engine, pulse: _Pulse) -> Iterator[None]:
    """Interrupt the engine once the run is lost, and raise what said so."""
    done = threading.Event()
    lost: list[Exception] = []

    def watch() -> None:
        while not done.wait(WATCH_SECONDS):
            try:
                pulse.touch()
            except Exception as error:  # noqa: BLE001  # raised again below
                lost.append(error)
                engine.interrupt()

    watcher = threading.Thread(target=watch, daemon=True, name="import-watch")
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        if lost:
            raise lost[0]


@dataclass
class _Output:
    """Writes what enriches and counts everything on its way."""

    model: Model
    reasons: dict[str, int]
    enriched: int = 0
    covered: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.covered = [0] * len(self.model.values)

    def write(self, batches: Iterator[pa.RecordBatch], folder: Path, beat: Callable[[], None]) -> None:
        """Write one Parquet file into ``folder``; none without a row to write."""
        writer: pq.ParquetWriter | None = None
        path = folder / "part-1.parquet"
        held: list[pa.RecordBatch] = []
        try:
            for batch in batches:
                beat()
                good = self._counted(batch)
                if not good.num_rows:
                    continue
                writer = writer or pq.ParquetWriter(path, good.schema, compression="zstd")
                held.append(good)
                if sum(part.num_rows for part in held) >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(held))
                    held = []
            if writer and held:
                writer.write_table(pa.Table.from_batches(held))
        finally:
            if writer:
                writer.close()
        if writer:
            _to_disk(path)
            _to_disk(folder)

    def _counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that enrich, without their reason; the others are counted by theirs."""
        reason = batch.column(0)
        for entry in pc.value_counts(reason).to_pylist():
            code = REASONS[entry["values"]]
            if code:
                self.reasons[code] = self.reasons.get(code, 0) + entry["counts"]
        names = [CUSTOMER_ID, *(attribute.name for attribute in self.model.values)]
        values = pa.RecordBatch.from_arrays(batch.columns[1:], names=names)
        good = values.filter(pc.equal(reason, 0))
        self.enriched += good.num_rows
        for number, column in enumerate(good.columns[1:]):
            self.covered[number] += _values(column)
        return good


def _values(column: pa.Array) -> int:
    """How many values there are; the empty text is none."""
    if pa.types.is_string(column.type):
        return int(pc.sum(pc.not_equal(column, "")).as_py() or 0)
    return len(column) - int(column.null_count)


def _nothing(engine: Engine, model: Model, output: _Output) -> ImportProblem:
    """Why no row enriches anybody, by what most rows lack."""
    read = sum(output.reasons.values())
    most = max(output.reasons, key=lambda code: output.reasons[code])
    remedy = {
        "no_customer_id": _("The column %(key)s is empty in most rows.") % {"key": listed([model.key])},
        "duplicate": _("Most customer IDs are in the file more than once; each may be there once."),
        "wrong_columns": _("Most rows have more or fewer values than there are columns."),
        "unknown_customer": _("Most customer IDs are those of nobody; upper and lower case and zeros count."),
        "not_in_segment": _("Most customers are not members of the segment."),
    }.get(most) or _("Most rows hold values that do not fit: %(columns)s.") % {
        "columns": listed(_worst(engine, model))
    }
    return ImportProblem(
        "nothing_enriched",
        _("None of the %(n)s rows can enrich a customer. The output table stays as it was.")
        % {"n": f"{read:,}"},
        remedy,
    )


def _worst(engine: Engine, model: Model) -> list[str]:
    """The columns with values that do not fit, and what they should be, those with most of them first."""
    counts = engine.rows(selection.bad_values_sql(engine, model))[0]
    bad = sorted(zip(counts, model.values, strict=True), key=lambda pair: -int(pair[0] or 0))
    return [f"{a.name} ({_(a.type.words)})" for number, a in bad if number]


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
