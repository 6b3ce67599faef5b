"""Delimited files: dialect, compression, digest, how rows are dealt out to files, and model.json."""

import csv
import datetime as dt
import gzip
import hashlib
import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from exports.csv_files import CsvEncoder, Described, divide, file_name, model_json, split_rows, table_names

ROWS: list[dict[str, Any]] = [
    {"name": 'says "hi", twice', "n": 1, "ok": True},
    {"name": "two\r\nlines;and|more\t", "n": None, "ok": False},
    {"name": "", "n": 3, "ok": None},
    {"name": None, "n": -4, "ok": True},
    {"name": "Łódź 💐", "n": 5, "ok": True},
]


def encode(table: pa.Table, *, batch: int = 2, **options: object) -> tuple[bytes, CsvEncoder]:
    encoder = CsvEncoder(table.schema, **options)  # type: ignore[arg-type]
    pieces = [piece for b in table.to_batches(max_chunksize=batch) for piece in encoder.encode(b)]
    return b"".join(pieces + encoder.finish()), encoder


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_what_was_written_is_what_is_read(delimiter: str) -> None:
    data, encoder = encode(pa.Table.from_pylist(ROWS), delimiter=delimiter)
    read = list(csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))
    expected = [
        {
            "name": row["name"] or "",
            "n": "" if row["n"] is None else str(row["n"]),
            "ok": "" if row["ok"] is None else str(row["ok"]).lower(),
        }
        for row in ROWS
    ]
    assert read == expected
    assert encoder.rows == len(ROWS)


def test_the_dialect_to_the_byte() -> None:
    table = pa.table(
        {
            "text": ["a", "", None],
            "when": pa.array([dt.datetime(2026, 3, 4, 5, 6, 7, 89_000)] * 2 + [None], pa.timestamp("us")),
            "at": pa.array(
                [dt.datetime(2026, 3, 4, 5, 6, 7)] * 2 + [None], pa.timestamp("s", tz="Europe/Berlin")
            ),
            "day": [dt.date(2026, 3, 4), None, None],
            "amount": [Decimal("1.50"), None, None],
        }
    )
    data, _encoder = encode(table)
    assert data == (
        b'"text","when","at","day","amount"\r\n'
        b'"a","2026-03-04T05:06:07.089000","2026-03-04T05:06:07Z",2026-03-04,1.50\r\n'
        b'"","2026-03-04T05:06:07.089000","2026-03-04T05:06:07Z",,\r\n'
        b",,,,\r\n"
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_times_without_an_iso_form_are_left_empty(unit: str) -> None:
    a_second = {"s": 1, "ms": 10**3, "us": 10**6}[unit]
    first, last = -62_135_596_800, 253_402_300_799
    seconds = [first - 1, first, last, last + 1, None]
    endless = 9_223_372_036_854_775_807
    table = pa.table(
        {
            "at": pa.array([None if s is None else s * a_second for s in seconds] + [endless]).cast(
                pa.timestamp(unit)
            ),
            "day": pa.array([-719_163, -719_162, 2_932_896, 2_932_897, None, 2_147_483_647], pa.int32()).cast(
                pa.date32()
            ),
        }
    )
    data, encoder = encode(table)
    fraction = {"s": "", "ms": ".000", "us": ".000000"}[unit]
    assert data.decode().split("\r\n") == [
        '"at","day"',
        ",",
        f'"0001-01-01T00:00:00{fraction}",0001-01-01',
        f'"9999-12-31T23:59:59{fraction}",9999-12-31',
        ",",
        ",",
        ",",
        "",
    ]
    assert encoder.rows == 6


def test_names_of_columns_are_quoted_too() -> None:
    data, _encoder = encode(pa.table({'a"b,c': ["x"], "two\nlines": [1]}))
    assert next(csv.reader(io.StringIO(data.decode(), newline=""))) == ['a"b,c', "two\nlines"]


FORMULAS = ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-", "=\n="]
NO_FORMULAS: list[str | None] = ["a=1", " =1", "'=1", "a\n=1", "1-1", "Łódź", "", None]


def test_formulas_get_an_apostrophe_where_that_is_asked_for() -> None:
    """Text and names of columns only: numbers, dates and times that begin with a sign are values."""
    table = pa.table(
        {
            "=name": [*FORMULAS, *NO_FORMULAS],
            "n": [-1] * len(FORMULAS) + [None] * len(NO_FORMULAS),
            "-amount": [Decimal("-1.50")] * (len(FORMULAS) + len(NO_FORMULAS)),
            "rate": [-0.5] * (len(FORMULAS) + len(NO_FORMULAS)),
            "kind": pa.array([*FORMULAS, *NO_FORMULAS]).dictionary_encode(),
            "at": [dt.datetime(2026, 3, 4, 5, 6, 7)] * (len(FORMULAS) + len(NO_FORMULAS)),
        }
    )
    data, encoder = encode(table, formulas_escaped=True)
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    assert header == ["'=name", "n", "'-amount", "rate", "kind", "at"]
    for row, value in zip(rows, FORMULAS, strict=False):
        assert row == [f"'{value}", "-1", "-1.50", "-0.5", f"'{value}", "2026-03-04T05:06:07.000000"]
    for row, kept in zip(rows[len(FORMULAS) :], NO_FORMULAS, strict=True):
        assert row == [kept or "", "", "-1.50", "-0.5", kept or "", "2026-03-04T05:06:07.000000"]
    # null and the empty string still differ
    assert b'\r\n"",,-1.50,-0.5,"",' in data
    assert b"\r\n,,-1.50,-0.5,," in data
    assert encoder.rows == len(rows)

    untouched, _encoder = encode(table)
    header, *rows = csv.reader(io.StringIO(untouched.decode(), newline=""))
    assert (header[0], [row[0] for row in rows]) == (
        "=name",
        [*FORMULAS, *(kept or "" for kept in NO_FORMULAS)],
    )


def test_formulas_in_no_rows_at_all() -> None:
    data, _encoder = encode(pa.table({"@a": ["x"]}).slice(0, 0), formulas_escaped=True)
    assert data == b'"\'@a"\r\n'


@pytest.mark.parametrize("gzipped", [False, True])
def test_size_and_digest_are_those_of_the_file(gzipped: bool) -> None:
    data, encoder = encode(pa.Table.from_pylist(ROWS * 500), batch=100, gzipped=gzipped)
    assert encoder.size == len(data)
    assert encoder.sha256 == hashlib.sha256(data).hexdigest()
    plain = gzip.decompress(data) if gzipped else data
    assert plain.count(b"\r\n") >= 2_500
    again, _other = encode(pa.Table.from_pylist(ROWS * 500), batch=100, gzipped=gzipped)
    assert again == data


def test_no_rows_make_a_header() -> None:
    data, encoder = encode(pa.Table.from_pylist(ROWS).slice(0, 0))
    assert (data, encoder.rows) == (b'"name","n","ok"\r\n', 0)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, [0]),
        (1, [1]),
        (10, [10]),
        (11, [10, 1]),
        (50, [10, 10, 10, 10, 10]),
        (51, [11, 11, 11, 11, 7]),
        (5_000, [1_000] * 5),
    ],
)
def test_rows_are_split_over_at_most_five_files(count: int, expected: list[int]) -> None:
    assert split_rows(count, rows_per_file=10) == expected


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_rows_are_dealt_out_in_these_shares(batch: int) -> None:
    table = pa.table({"n": list(range(25))})
    dealt: dict[int, list[int]] = {}
    for index, part in divide(table.to_batches(max_chunksize=batch), [10, 10, 5]):
        dealt.setdefault(index, []).extend(part.column(0).to_pylist())
    assert dealt == {0: list(range(10)), 1: list(range(10, 20)), 2: list(range(20, 25))}


def test_more_rows_than_counted_end_in_the_last_file() -> None:
    parts = [(i, p.num_rows) for i, p in divide(pa.table({"n": list(range(9))}).to_batches(), [3, 3])]
    assert parts == [(0, 3), (1, 6)]


def test_names_are_safe_and_unique_without_case() -> None:
    sources = ["Loyalty Gold", "loyalty_gold", "../../etc/passwd", "Łódź & Co", "💐", ".."]
    names = table_names(sources)
    assert names[:3] == ["loyalty_gold", "loyalty_gold_2", "etc_passwd"]
    assert len({name.lower() for name in names}) == len(names)
    assert all(name.replace("_", "").isalnum() and name.isascii() for name in names)
    assert file_name("loyal", 1, gzipped=True) == "loyal_1.csv.gz"


def test_model_json_names_tables_columns_and_files() -> None:
    model = model_json(
        "Loyalty mailing",
        [Described("loyal", [("email", "string"), ("points", "int64")], [("loyal_1.csv", 7)])],
        delimiter=";",
        modified="2026-11-24T08:00:00Z",
    )
    assert model["version"] == "1.0"
    (entity,) = model["entities"]
    assert entity["attributes"] == [
        {"name": "email", "dataType": "string"},
        {"name": "points", "dataType": "int64"},
    ]
    (partition,) = entity["partitions"]
    assert (partition["location"], partition["rowCount"]) == ("loyal_1.csv", 7)
    assert partition["fileFormatSettings"]["delimiter"] == ";"
