"""Delimited files for file destinations, and the ``model.json`` that describes them.

The dialect (design: Files): UTF-8 without byte-order mark, CRLF, a header, header and strings quoted with ``"``
doubled inside, NULL as nothing at all and the empty string as ``""``, ``true`` and ``false``, dates and times as
ISO 8601 (``Z`` where the column knows its zone, no suffix where it does not), or nothing outside the years 1 to 9999,
"infinity" among them, for which ISO 8601 has no form. RFC 4180 otherwise.

On request text that a spreadsheet program would take for a formula gets an apostrophe before it (``spreadsheets``).
"""

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from isal import igzip

from connections_portal.spreadsheets import FORMULA, neutral

MAX_FILES = 5
ROWS_PER_FILE = 2_000_000
MODEL = "model.json"
# days since 1970 of 0001-01-01 and 9999-12-31
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
SECONDS_A_DAY = 86_400
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}


def split_rows(count: int, *, max_files: int = MAX_FILES, rows_per_file: int = ROWS_PER_FILE) -> list[int]:
    """How many rows go into each file of a table: at most ``max_files``, full ones first, at least one file.

    Up to ``max_files`` × ``rows_per_file`` rows each file takes ``rows_per_file``, beyond that an equal share.
    """
    files = max(1, min(max_files, -(-count // rows_per_file)))
    share = max(rows_per_file, -(-count // files))
    return [max(0, min(share, count - share * n)) for n in range(files)]


def table_names(sources: Sequence[str]) -> list[str]:
    """A file name for each table, safe everywhere and unique without case (rule S23)."""
    names: list[str] = []
    for source in sources:
        plain = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode().lower()
        base = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:80] or "table"
        name, number = base, 2
        while name in names:
            name, number = f"{base}_{number}", number + 1
        names.append(name)
    return names


def file_name(table: str, number: int, *, gzipped: bool) -> str:
    """``<table>_<n>.csv`` or ``.csv.gz``; ``number`` counts from 1."""
    return f"{table}_{number}.csv{'.gz' if gzipped else ''}"


class CsvEncoder:
    """Arrow batches in, the bytes of one file out, in pieces of some hundred kilobytes. Memory holds one batch.

    ``rows`` and ``size`` (bytes of the file, after compression) count what has come out so far, ``sha256`` is its
    digest in hex. With ``formulas_escaped`` text and names of columns that would be formulas get an apostrophe.
    """

    def __init__(
        self,
        schema: pa.Schema,
        *,
        delimiter: str = ",",
        gzipped: bool = False,
        formulas_escaped: bool = False,
    ) -> None:
        self.rows = 0
        self._escaped = formulas_escaped
        names = [neutral(name) if formulas_escaped else name for name in schema.names]
        self._schema = pa.schema(
            [pa.field(name, _written_type(kind)) for name, kind in zip(names, schema.types, strict=True)]
        )
        self._out = _Pieces()
        # mtime 0 and no name: the same rows give the same bytes
        self._gzip = (
            igzip.IGzipFile(  # type: ignore[no-untyped-call]
                filename="", fileobj=self._out, mode="wb", compresslevel=1, mtime=0
            )
            if gzipped
            else None
        )
        self._writer = pacsv.CSVWriter(
            self._gzip or self._out,
            self._schema,
            write_options=pacsv.WriteOptions(
                include_header=True, delimiter=delimiter, quoting_style="needed", eol="\r\n"
            ),
        )

    @property
    def size(self) -> int:
        """Bytes that came out."""
        return self._out.size

    @property
    def sha256(self) -> str:
        """SHA-256 of all bytes that came out."""
        return self._out.digest.hexdigest()

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """The next pieces of the file; none while the compressor still holds them."""
        columns = [self._written(column) for column in batch.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self.rows += batch.num_rows
        return self._out.take()

    def _written(self, column: pa.Array) -> pa.Array:
        """Times as ISO 8601, and everything that has no form of its own in CSV as text."""
        kind = column.type
        if pa.types.is_date32(kind) or pa.types.is_timestamp(kind):
            column = _with_a_form(column)
        if pa.types.is_timestamp(kind):
            utc = column.cast(pa.timestamp(kind.unit, tz="UTC")) if kind.tz else column
            # "2026-03-04 05:06:07Z": only the blank in the middle has to change, which is far quicker than strftime
            text = utc.cast(pa.string()).cast(pa.binary())
            return pc.binary_replace_slice(text, 10, 11, b"T").cast(pa.string())
        if _written_type(kind) != kind:
            column = column.cast(pa.string())
        return _escaped(column) if self._escaped and pa.types.is_string(column.type) else column

    def finish(self) -> list[bytes]:
        """The last pieces; nothing may be encoded afterwards."""
        self._writer.close()
        if self._gzip is not None:
            self._gzip.close()
        return self._out.take()


class _Pieces(io.RawIOBase):
    """Collects what a writer writes until it is taken. A piece is hashed while the processor still has it at hand."""

    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.digest.update(piece)
        self.size += len(piece)
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> list[bytes]:
        taken, self._pieces = self._pieces, []
        return taken


def _written_type(kind: pa.DataType) -> pa.DataType:
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return kind if plain or pa.types.is_boolean(kind) or pa.types.is_date(kind) else pa.string()


def _escaped(column: pa.Array) -> pa.Array:
    """Text with an apostrophe before what a spreadsheet would calculate; null stays null."""
    formulas = pc.match_substring_regex(column, FORMULA)
    if not pc.any(formulas).as_py():
        return column
    return pc.if_else(formulas, pc.binary_join_element_wise("'", column, ""), column)


def _with_a_form(column: pa.Array) -> pa.Array:
    """Dates or times with null in place of those outside the years 1 to 9999."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # years 1677 to 2262
        return column
    is_date = pa.types.is_date32(kind)
    a_day = 1 if is_date else SECONDS_A_DAY * {"s": 1, "ms": 10**3, "us": 10**6}[kind.unit]
    numbers = column.cast(pa.int32() if is_date else pa.int64())
    late = pc.greater_equal(numbers, (LAST_DAY + 1) * a_day)
    outside = pc.or_(late, pc.less(numbers, FIRST_DAY * a_day))
    return pc.if_else(outside, pa.scalar(None, kind), column)


def divide(batches: Iterable[pa.RecordBatch], shares: Sequence[int]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Deal rows out to files: ``(index of the file, batch)``, files in order; the last file takes all the rest."""
    index, room = 0, shares[0] if shares else 0
    for batch in batches:
        while batch.num_rows:
            last = index >= len(shares) - 1
            taken = batch.num_rows if last else min(room, batch.num_rows)
            if taken:
                yield index, batch.slice(0, taken)
            batch, room = batch.slice(taken), room - taken
            if not last and room <= 0:
                index += 1
                room = shares[index]


@dataclass(frozen=True)
class Described:
    """A table for ``model.json``: its columns as ``(name, CDM data type)`` and its files as ``(name, rows)``."""

    name: str
    columns: Sequence[tuple[str, str]]
    files: Sequence[tuple[str, int]]


def cdm_type(words: str) -> str:
    """The Common Data Model's data type for a column's type in words."""
    return {
        "text": "string",
        "whole number": "int64",
        "decimal number": "double",
        "yes or no": "boolean",
        "date": "date",
        "date and time": "dateTime",
        "time": "time",
    }.get(words, "string")


def model_json(name: str, tables: Sequence[Described], *, delimiter: str, modified: str) -> dict[str, Any]:
    """The description of a delivery in the Common Data Model's ``model.json`` form, version 1.0.

    ``modified`` is an ISO 8601 time. Partition locations are file names in the same folder: no host, no account.
    """
    csv_format: Mapping[str, Any] = {
        "$type": "CsvFormatSettings",
        "columnHeaders": True,
        "delimiter": delimiter,
        "quoteStyle": "QuoteStyle.Csv",
        "csvStyle": "CsvStyle.QuoteAlways",
        "encoding": "UTF-8",
    }
    return {
        "name": name,
        "version": "1.0",
        "culture": "en-US",
        "modifiedTime": modified,
        "entities": [
            {
                "$type": "LocalEntity",
                "name": table.name,
                "attributes": [{"name": column, "dataType": kind} for column, kind in table.columns],
                "partitions": [
                    {"name": file, "location": file, "rowCount": rows, "fileFormatSettings": csv_format}
                    for file, rows in table.files
                ],
            }
            for table in tables
        ],
    }
