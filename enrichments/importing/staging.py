"""From the bytes of a CSV file to a Parquet file with the same rows as text, in memory that does not grow with it.

The calling thread takes blocks from the server, looks at them and reports; a second one reads rows out of them and
writes. Columns are staged as ``c0``, ``c1`` … in the order of ``model.json``; what stands between separators unquoted
and empty is null, ``""`` is the empty string.
"""

import io
import queue
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from enrichments.importing import blocks
from enrichments.importing.model import MAX_COLUMNS, Model, name_of
from enrichments.importing.problems import ImportProblem, listed

# the longest row that is read, quoted line ends included
ROW_BYTES = 1_048_576
# what is held back of the rows before it is written: one row group
GROUP_BYTES = 16 * 1024 * 1024
QUEUED = 8
PATIENCE_SECONDS = 0.5


class Pulse(Protocol):
    """How the work says that it goes on, and hears that it must not."""

    def beat(self, bytes_read: int, rows_read: int) -> None:
        """Report progress; raises when the run is lost."""


@dataclass(frozen=True)
class Staged:
    """``rows`` were staged, ``wrong`` have more or fewer values than the file has columns; bytes as they came."""

    rows: int
    wrong: int
    bytes_read: int


class _Stopped(Exception):
    """The calling thread has given up."""


def stage(source: Iterable[bytes], model: Model, path: Path, *, gzipped: bool, pulse: Pulse) -> Staged:
    """Write the file's rows to ``path``. Raises ImportProblem, and what the source and the pulse raise."""
    counted = _Counted(source)
    feed = _Feed()
    reading = _Reading(feed, model, path)
    text: Iterator[bytes] = blocks.pieces(counted)
    if gzipped:
        text = blocks.pieces(blocks.unpacked(text))
    try:
        for block in blocks.checked(text, gzipped=gzipped):
            pulse.beat(counted.size, reading.rows + reading.wrong)
            while not feed.put(block):
                pulse.beat(counted.size, reading.rows + reading.wrong)
            if reading.error:
                break
        feed.end()
        while not reading.done(PATIENCE_SECONDS):
            pulse.beat(counted.size, reading.rows + reading.wrong)
    finally:
        feed.stop()
        reading.done(None)
    if reading.error:
        raise reading.error
    return Staged(reading.rows, reading.wrong, counted.size)


class _Counted:
    """The blocks of the source, and how many bytes they had so far."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self.size = 0
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        for block in self._source:
            self.size += len(block)
            yield block


class _Feed(io.RawIOBase):
    """Blocks handed from one thread to another, which reads them as a file; remembers what the last lines need.

    ``quotes`` counts quotation marks, ``begun`` says whether anything but line ends came.
    """

    def __init__(self) -> None:
        self.quotes = 0
        self.begun = False
        self._blocks: queue.Queue[bytes | None] = queue.Queue(QUEUED)
        self._stopped = threading.Event()
        self._rest = b""
        self._ended = False
        self._last = b""

    def put(self, block: bytes) -> bool:
        """Hand over a block; false when there was no room for it in time."""
        try:
            self._blocks.put(block, timeout=PATIENCE_SECONDS)
        except queue.Full:
            return self._stopped.is_set()
        return True

    def end(self) -> None:
        """There is nothing more."""
        while not self.put_end() and not self._stopped.is_set():
            pass

    def put_end(self) -> bool:
        try:
            self._blocks.put(None, timeout=PATIENCE_SECONDS)
        except queue.Full:
            return False
        return True

    def stop(self) -> None:
        """Whoever waits for a block, or for room for one, is let go."""
        self._stopped.set()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end of the file."""
        parts = [self._rest]
        length = len(self._rest)
        while length < size and not self._ended:
            part = self._take()
            parts.append(part)
            length += len(part)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]

    def _take(self) -> bytes:
        while not self._stopped.is_set():
            try:
                block = self._blocks.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                continue
            if block is None:
                self._ended = True
                # the reader wants an end of the last line too
                return b"" if self._last.endswith((b"\n", b"\r")) else b"\n"
            self.quotes += block.count(b'"')
            self.begun = self.begun or bool(block.strip())
            self._last = block[-1:]
            return block
        raise _Stopped


class _WrongRows:
    """Counts rows with more or fewer values than columns, and has them left out; ``split``: one has several lines.

    Apart from what reads the rows: the library keeps hold of it where no collector of garbage looks.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.split = False

    def __call__(self, row: Any) -> str:
        self.rows += 1
        self.split = self.split or "\n" in row.text.strip("\r\n")
        return "skip"


class _Reading:
    """The second thread: rows out of the feed into Parquet. ``error`` is why it ended early."""

    def __init__(self, feed: _Feed, model: Model, path: Path) -> None:
        self.rows = 0
        self.error: Exception | None = None
        self._feed, self._model, self._path = feed, model, path
        self._wrong = _WrongRows()
        self._schema = pa.schema([(f"c{n}", pa.string()) for n in range(len(model.attributes))])
        self._thread = threading.Thread(target=self._work, daemon=True, name="import")
        self._thread.start()

    @property
    def wrong(self) -> int:
        """How many rows have more or fewer values than there are columns."""
        return self._wrong.rows

    def done(self, seconds: float | None) -> bool:
        """Whether it has ended; waits that long for it (None: until it has)."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._read()
        except _Stopped:
            pass
        except pa.ArrowInvalid as error:
            self.error = self._in_words(error)
        except Exception as error:  # noqa: BLE001  # raised again in the thread that waits for it
            self.error = error
        finally:
            self._feed.stop()

    def _read(self) -> None:
        # the header is read as a row: its names are not known as they are written, and nothing may be guessed at
        kinds = {f"f{n}": pa.string() for n in range(MAX_COLUMNS)}
        with pacsv.open_csv(
            self._feed,
            read_options=pacsv.ReadOptions(block_size=ROW_BYTES, autogenerate_column_names=True),
            parse_options=pacsv.ParseOptions(
                delimiter=self._model.delimiter,
                newlines_in_values=True,
                invalid_row_handler=self._wrong,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=kinds,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        ) as reader:
            self._write(self._rows(reader))

    def _rows(self, reader: pacsv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
        """The rows below the header, their columns in the order of the model."""
        wanted = [attribute.name for attribute in self._model.attributes]
        columns: list[int] | None = None
        for batch in reader:
            self._stop_at_torn_rows()
            if not batch.num_rows:
                continue
            if columns is None:
                # beyond the known columns the library guesses at what a header is
                header = ["" if column[0].as_py() is None else str(column[0]) for column in batch.columns]
                columns = _places(header, wanted) if self._model.has_header else _all(header, wanted)
                batch = batch.slice(1 if self._model.has_header else 0)
            yield pa.RecordBatch.from_arrays([batch.column(n) for n in columns], schema=self._schema)
        self._stop_at_torn_rows()

    def _write(self, batches: Iterator[pa.RecordBatch]) -> None:
        held: list[pa.RecordBatch] = []
        with pq.ParquetWriter(self._path, self._schema, compression="snappy", use_dictionary=False) as writer:
            for batch in batches:
                if batch.num_rows:
                    held.append(batch)
                    self.rows += batch.num_rows
                if sum(part.nbytes for part in held) > GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(held))
                    held = []
            if held:
                writer.write_table(pa.Table.from_batches(held))
        if self._feed.quotes % 2 and _holds_line_ends(self._path):
            raise _torn()

    def _stop_at_torn_rows(self) -> None:
        """A wrong row of several lines is what a quotation mark makes that nothing closes; it swallows others."""
        if self._wrong.split:
            raise _torn()

    def _in_words(self, error: pa.ArrowInvalid) -> ImportProblem:
        """The engine's words may quote a row; they are not passed on."""
        if not self._feed.begun:
            return empty()
        if "straddl" in str(error):
            return _torn()
        return ImportProblem(
            "csv_malformed",
            _("The file cannot be read as CSV."),
            _("Look at how the file is written: values apart by the delimiter, one row a line."),
        )


def _places(found: list[str], wanted: list[str]) -> list[int]:
    """Where each attribute stands in the file. Raises ImportProblem unless the header names each of them once."""
    header = [name_of(name) for name in found]
    # a header may have hundreds of thousands of names
    times, known = Counter(header), set(wanted)
    missing = [name for name in wanted if name not in times]
    more = [name or _("one without a name") for name in times if name not in known]
    doubled = [name for name in wanted if times[name] > 1]
    parts = [
        words % {"names": listed(names)}
        for words, names in (
            (_("missing: %(names)s"), missing),
            (_("not in model.json: %(names)s"), more),
            (_("more than once: %(names)s"), doubled),
        )
        if names
    ]
    if parts:
        raise ImportProblem(
            "wrong_columns",
            _("The columns of the file are not those of model.json (%(what)s).") % {"what": "; ".join(parts)},
            _(
                "Let the first line of the file name each attribute of model.json once, apart by its delimiter."
            ),
        )
    return [header.index(name) for name in wanted]


def _all(found: list[str], wanted: list[str]) -> list[int]:
    if len(found) != len(wanted):
        raise ImportProblem(
            "wrong_columns",
            _("The file has %(found)d columns and model.json names %(wanted)d.")
            % {"found": len(found), "wanted": len(wanted)},
            _("Let the rows of the file have a value for each attribute of model.json, in its order."),
        )
    return list(range(len(wanted)))


def _holds_line_ends(path: Path) -> bool:
    """Whether a value has several lines: beside an odd number of quotation marks, what one of them swallowed."""
    batches = pq.ParquetFile(path).iter_batches(10_000)
    return any(pc.any(pc.match_substring(c, "\n")).as_py() for batch in batches for c in batch.columns)


def _torn() -> ImportProblem:
    return ImportProblem(
        "quote_open",
        _("A quotation mark in the file is not closed, or a row has more than 1 MB."),
        _('Close the quotation mark, and write one inside a value twice (""). Then run again.'),
    )


def empty() -> ImportProblem:
    """There is nothing to bring in; the table stays as it is."""
    return ImportProblem(
        "empty",
        _("The file has no rows. The output table stays as it was."),
        _("Bring a file with a first line of column names and at least one row."),
    )
