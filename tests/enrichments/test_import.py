"""From a file to a table: values, types, who is enriched, and that every row is accounted for."""

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enrichments.importing import LEFT_OUT, REJECTED, Imported, ImportProblem
from enrichments.importing.selection import REASONS
from tests.enrichments.remote import Importing, model, source_of

SCORES = model({"customer_id": "string", "score": "int64", "remark": "string"})


def adds_up(imported: Imported) -> bool:
    return (
        imported.read == imported.enriched + imported.rejected + imported.left_out
        and imported.rejected + imported.left_out == sum(imported.reasons.values())
        and all(imported.reasons.values())
    )


def test_every_row_is_accounted_for(importing: Importing) -> None:
    lines = [
        b'"customer_id","score","remark"',
        b'"c1",7,"ok"',
        b'"c2",,""',
        b'"c3",12,"twice"',
        b'"c3",13,"twice"',
        b'"c4",x,"no number"',
        b'"c9",1,"nobody"',
        b',1,"no id"',
        b'"",1,"no id"',
        b'"  ",1,"no id"',
        b'"c1",1,"too","many"',
        b'"c1"',
    ]
    imported = importing(source_of(b"\r\n".join(lines), SCORES))
    assert imported == Imported(
        selected=4,
        read=11,
        enriched=2,
        rejected=8,
        left_out=1,
        reasons={
            "wrong_columns": 2,
            "no_customer_id": 3,
            "duplicate": 2,
            "bad_value": 1,
            "unknown_customer": 1,
        },
        coverage=[("score", "score", "whole number", 1), ("remark", "remark", "text", 1)],
        bytes_read=len(b"\r\n".join(lines)),
    )
    assert adds_up(imported)
    assert importing.rows() == [
        {"customer_id": "c1", "score": 7, "remark": "ok"},
        {"customer_id": "c2", "score": None, "remark": ""},
    ]
    assert importing.checks >= 2


def test_every_reason_is_told_as_rejected_or_left_out() -> None:
    assert set(REJECTED + LEFT_OUT) == {*REASONS[1:], "wrong_columns"}


def test_a_segment_limits_who_is_enriched(importing: Importing) -> None:
    content = b"customer_id,score,remark\nc1,1,a\nc2,2,b\nc3,3,c\nc4,4,d\ngone,5,e\n"
    imported = importing(source_of(content, SCORES), segment="loyal")
    assert [row["customer_id"] for row in importing.rows()] == ["c1", "c3"]
    assert imported.selected == 2
    assert imported.reasons == {"not_in_segment": 2, "unknown_customer": 1}
    assert adds_up(imported)
    imported = importing(source_of(content, SCORES), segment="rich")
    assert [row["customer_id"] for row in importing.rows()] == ["c1", "c4"]
    assert imported.selected == 2


def test_customers_whose_ids_are_numbers(importing: Importing, customers: Path) -> None:
    pq.write_table(pa.table({"customer_id": [7, 1_000_000, None]}), customers / "customer.parquet")
    content = b'customer_id,score,remark\n7,1,\n007,2,\n"1000000",3,\n1e6,4,\n1.0,5,\nx,6,\n'
    imported = importing(source_of(content, SCORES))
    assert [(row["customer_id"], row["score"]) for row in importing.rows()] == [(1_000_000, 3), (7, 1)]
    assert imported.selected == 2
    assert imported.reasons == {"unknown_customer": 4}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "x", "x"),
        ("string", '""', ""),
        ("string", "", None),
        ("string", " x ", " x "),
        ("string", "NULL", "NULL"),
        ("string", "NaN", "NaN"),
        ("string", '"a ""b"", c\r\nd"', 'a "b", c\r\nd'),
        ("somethingElse", "12", "12"),
        ("int64", "12", 12),
        ("Int64", "-9223372036854775808", -(2**63)),
        ("int64", "+7", 7),
        ("int64", " 7 ", 7),
        ("int64", '"7"', 7),
        ("int64", '""', None),
        ("int64", "1.0", 1),
        ("double", "1.5", 1.5),
        ("double", "-.5e2", -50.0),
        ("double", "3.", 3.0),
        ("double", "inf", float("inf")),
        ("decimal", "12.25", 12.25),
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
        ("boolean", "1", True),
        ("date", "2026-02-28", dt.date(2026, 2, 28)),
        ("date", "9999-12-31", dt.date(9999, 12, 31)),
        ("dateTime", "2026-02-28T10:11:12", dt.datetime(2026, 2, 28, 10, 11, 12)),
        ("dateTime", "2026-02-28T10:11:12Z", dt.datetime(2026, 2, 28, 10, 11, 12)),
        ("dateTimeOffset", "2026-02-28 10:11:12.5+02:00", dt.datetime(2026, 2, 28, 8, 11, 12, 500_000)),
        ("dateTime", "2026-02-28", dt.datetime(2026, 2, 28)),
        ("time", "10:11:12", dt.time(10, 11, 12)),
    ],
)
def test_values_that_fit(importing: Importing, kind: str, text: str, value: Any) -> None:
    content = f"customer_id,value\nc1,{text}\n".encode()
    imported = importing(source_of(content, model({"customer_id": "string", "value": kind})))
    assert importing.rows() == [{"customer_id": "c1", "value": value}]
    assert imported.coverage[0][3] == (value is not None and value != "")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int64", "1.7"),
        ("int64", "1e3"),
        ("int64", "12x"),
        ("int64", "9223372036854775808"),
        ("int64", "0x10"),
        ("int64", '"1,000"'),
        ("double", "1,5".join('""')),
        ("double", "abc"),
        ("double", "1e"),
        ("boolean", "maybe"),
        ("boolean", "2"),
        ("date", "28.02.2026"),
        ("date", "2026-2-8"),
        ("date", "2026-02-30"),
        ("date", "infinity"),
        ("date", "0000-01-01"),
        ("date", "today"),
        ("dateTime", "2026-02-28T25:00"),
        ("dateTime", "9999-12-31T23:00-10"),
        ("dateTime", "epoch"),
        ("time", "25:00"),
    ],
)
def test_values_that_do_not_fit(importing: Importing, kind: str, text: str) -> None:
    """The row is rejected: another value than the one in the file would be worse than none."""
    content = f"customer_id,value\nc1,{text}\nc2,\n".encode()
    imported = importing(source_of(content, model({"customer_id": "string", "value": kind})))
    assert imported.reasons == {"bad_value": 1}
    assert importing.rows() == [{"customer_id": "c2", "value": None}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [1, 5, 1_000_000])
def test_forms_of_files(importing: Importing, delimiter: str, bom: bytes, end: str, block: int) -> None:
    """Other orders of columns and files without an end of the last line too, whatever blocks they come in."""
    partitions = [{"name": "scores.csv", "fileFormatSettings": {"delimiter": delimiter}}]
    lines = ['"remark","customer_id","score"', '"Łódź","c1",7', "é,c2,8"]
    content = bom + end.join(line.replace(",", delimiter) for line in lines).encode()
    description = {**SCORES, "entities": [{**SCORES["entities"][0], "partitions": partitions}]}
    importing(source_of(content, description, block=block))
    assert importing.rows() == [
        {"customer_id": "c1", "score": 7, "remark": "Łódź"},
        {"customer_id": "c2", "score": 8, "remark": "é"},
    ]


def test_a_file_without_a_header(importing: Importing) -> None:
    partitions = [{"name": "other.csv", "fileFormatSettings": {"columnHeaders": False}}]
    description = model({"customer_id": "string", "score": "int64"}, partitions=partitions)
    importing(source_of(b"c1,7\nc2,8\n", description))
    assert [row["score"] for row in importing.rows()] == [7, 8]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", ["scores.csv.gz", "SCORES.CSV.GZ"])
def test_compressed_files(importing: Importing, members: int, name: str) -> None:
    text = b"customer_id,score,remark\n" + b"c1,7,x\n" + b"c9,1,y\n" * 50_000 + b"c2,8,z\n"
    step = -(-len(text) // members)
    content = b"".join(gzip.compress(text[start : start + step]) for start in range(0, len(text), step))
    imported = importing(source_of(content + b"\0" * 512, SCORES, name=name, block=1_000), name=name)
    assert imported.read == 50_002
    assert imported.bytes_read == len(content) + 512
    assert [row["score"] for row in importing.rows()] == [7, 8]


def test_a_file_in_a_folder(importing: Importing) -> None:
    source = source_of(b"customer_id,score,remark\nc1,7,\n", SCORES)
    source.files = {f"in/2026/{name}": content for name, content in source.files.items()}
    source.modified = dict.fromkeys(source.files, 1)
    assert importing(source, path="in/2026").enriched == 1
    assert importing(source, path="/in/2026/").enriched == 1


def test_names_and_labels(importing: Importing) -> None:
    description = model(
        {"ID": "string", "Ünï": "int64", 'quo"te': "string", "portal:reason": "date"}, key="ID"
    )
    description["entities"][0]["attributes"][1]["friendlyName"] = "How much"
    content = 'ID,"quo""te",Ünï,portal:reason\nc1,x,7,\n'.encode()
    imported = importing(source_of(content, description))
    assert importing.rows() == [{"customer_id": "c1", "Ünï": 7, 'quo"te': "x", "portal:reason": None}]
    assert [entry[:3] for entry in imported.coverage] == [
        ("Ünï", "How much", "whole number"),
        ('quo"te', 'quo"te', "text"),
        ("portal:reason", "portal:reason", "date"),
    ]


def test_a_name_may_be_composed_in_another_way(importing: Importing) -> None:
    """U with a mark beside it is Ü."""
    description = model({"customer_id": "string", "U\u0308": "string"})
    importing(source_of("customer_id,\u00dc\nc1,007\n".encode(), description))
    assert importing.rows() == [{"customer_id": "c1", "\u00dc": "007"}]
    importing(source_of("customer_id,U\u0308\nc1,007\n".encode(), description))
    assert importing.rows() == [{"customer_id": "c1", "\u00dc": "007"}]


def test_nothing_is_left_beside_the_result(importing: Importing) -> None:
    importing(source_of(b"customer_id,score,remark\nc1,7,\n", SCORES))
    assert [path.name for path in importing.root.iterdir()] == [importing.folder.name]
    assert [path.name for path in importing.folder.iterdir()] == ["part-1.parquet"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"c7,1,\nc8,1,\nc1,x,\n", "those of nobody"),
        (b"c1,1,\nc1,2,\nc9,1,\n", "more than once"),
        (b"c1,x,\nc2,y,\n", "score (whole number)"),
        (b",1,\n", "customer_id is empty"),
        (b"c1\nc2\n", "more or fewer values"),
    ],
)
def test_a_file_that_enriches_nobody_replaces_nothing(
    importing: Importing, content: bytes, words: str
) -> None:
    with pytest.raises(ImportProblem) as problem:
        importing(source_of(b"customer_id,score,remark\n" + content, SCORES))
    assert problem.value.code == "nothing_enriched"
    assert words in problem.value.remedy
    assert importing.nothing_written()
