"""Files and descriptions that cannot be brought in: a clear problem, nothing written, and no data in its words."""

import gzip
import os
from collections.abc import Iterator
from typing import Any

import pytest

from connections.connectors.errors import FileUnusable
from enrichments.importing import ImportProblem
from tests.enrichments.remote import CANARY, Importing, MemorySource, model, source_of

COLUMNS = {"customer_id": "string", "score": "int64"}
SCORES = model(COLUMNS)
GOOD = b"customer_id,score\nc1,7\nc2,8\n"

# ---- model.json


def entity(**changes: Any) -> dict[str, Any]:
    return {**SCORES["entities"][0], **changes}


def attributes(*entries: Any) -> dict[str, Any]:
    return {"entities": [entity(attributes=list(entries))]}


def named(*names: Any) -> dict[str, Any]:
    return attributes({"name": "customer_id"}, *({"name": name} for name in names))


@pytest.mark.parametrize(
    ("description", "code", "words"),
    [
        (b"", "model_malformed", "not JSON"),
        (b"{", "model_malformed", "not JSON"),
        (b'{"entities": [}', "model_malformed", "not JSON"),
        (b"[]", "model_malformed", "no list of entities"),
        (b"7", "model_malformed", "no list of entities"),
        (b"1" * 5000, "model_malformed", "not JSON"),
        (b"\xff\xfe{\0}\0", "model_malformed", "UTF-8"),
        (b'{"a": "\xff"}', "model_malformed", "UTF-8"),
        ({}, "model_malformed", "no list of entities"),
        ({"entities": []}, "model_malformed", "no list of entities"),
        ({"entities": {}}, "model_malformed", "entities is no list"),
        ({"entities": ["scores"]}, "model_malformed", "entities is no list"),
        ({"entities": [{}]}, "model_malformed", "no attributes"),
        ({"entities": [entity(attributes="customer_id")]}, "model_malformed", "attributes is no list"),
        ({"entities": [entity(attributes=[])]}, "model_malformed", "no attributes"),
        ({"entities": [entity(annotations=None)]}, "model_no_key", "which column holds"),
        (
            {"entities": [entity(annotations=[{"name": "other", "value": "x"}])]},
            "model_no_key",
            "which column",
        ),
        (model(COLUMNS, key=None), "model_no_key", "which column holds"),
        (model(COLUMNS, key=""), "model_no_key", "which column holds"),
        (model(COLUMNS, key="CUSTOMER"), "model_no_key", "names CUSTOMER"),
        (model(COLUMNS, key="customer_id,score"), "model_no_key", "no attribute"),
        (model({"customer_id": "string"}), "model_malformed", "beside the customer ID"),
        (model({"id": "string", "Customer_ID": "string"}, key="id"), "model_malformed", "another attribute"),
        (attributes({"dataType": "string"}), "model_malformed", "has no name"),
        (attributes({"name": 7}), "model_malformed", "has no name"),
        (named("a", "A"), "model_malformed", "twice (a, A)"),
        (named("a\u200bb"), "model_malformed", "cannot be seen"),
        (named("a\u202eb"), "model_malformed", "cannot be seen"),
        (named("a\0b"), "model_malformed", "cannot be seen"),
        (named(""), "model_malformed", "empty"),
        (named("x" * 101), "model_malformed", "too long"),
        (named(*(f"a{n}" for n in range(500))), "model_malformed", "more than 500"),
        (
            {"entities": [entity(partitions=[{"fileFormatSettings": {"delimiter": "x"}}])]},
            "model_malformed",
            "delimiter",
        ),
        (
            {"entities": [entity(partitions=[{"fileFormatSettings": {"delimiter": [","]}}])]},
            "model_malformed",
            "delimiter",
        ),
        ({"entities": [entity(name="a"), entity(name="b")]}, "model_no_table", "2 tables"),
        ({"entities": [entity(), entity()]}, "model_no_table", "2 tables"),
    ],
)
def test_descriptions_that_say_nothing_useful(
    importing: Importing, description: Any, code: str, words: str
) -> None:
    problem = importing.problem(source_of(GOOD, description))
    assert problem.code == code
    assert words in problem.cause


def test_without_a_description(importing: Importing) -> None:
    source = source_of(GOOD, SCORES)
    del source.files["model.json"]
    assert importing.problem(source).code == "model_missing"


def test_one_table_of_several_is_chosen_by_the_file(importing: Importing) -> None:
    wrong = entity(name="other", attributes=[{"name": "customer_id"}, {"name": "else"}])
    by_name = {"tables": [wrong, entity()]}
    by_partition = {"entities": [entity(name="x", partitions=[{"name": "scores.csv"}]), wrong]}
    for description in (by_name, by_partition):
        assert importing(source_of(GOOD, description)).enriched == 2


# ---- the file


@pytest.mark.parametrize("name", ["scores.txt", "scores", "scores.csv.zip", "scores.parquet", ".gz", ""])
def test_other_kinds_of_files(importing: Importing, name: str) -> None:
    assert importing.problem(source_of(GOOD, SCORES, name=name), name=name).code == "file_type"


def test_a_file_that_is_not_there(importing: Importing) -> None:
    source = source_of(GOOD, SCORES)
    del source.files["scores.csv"]
    with pytest.raises(FileUnusable) as missing:
        importing(source)
    assert missing.value.code == "file_missing"
    assert importing.nothing_written()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\r\n\r\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\r\n",
        b"customer_id,score",
        b"customer_id,score\n",
        b"\xef\xbb\xbfcustomer_id,score\r\n\r\n\r\n",
    ],
)
@pytest.mark.parametrize("gzipped", [False, True])
def test_files_without_rows(importing: Importing, content: bytes, gzipped: bool) -> None:
    name = "scores.csv.gz" if gzipped else "scores.csv"
    source = source_of(gzip.compress(content) if gzipped else content, SCORES, name=name)
    problem = importing.problem(source, name=name)
    assert problem.code == "empty"
    assert "stays as it was" in problem.cause


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"customer_id\nc1\n", "missing: score"),
        (b"customer_id,score,more\nc1,7,x\n", "not in model.json: more"),
        (b"customer_id,Score\nc1,7\n", "missing: score; not in model.json: Score"),
        (b"customer_id,score,score\nc1,7,8\n", "more than once: score"),
        (b"customer_id;score\nc1;7\n", "missing: customer_id, score; not in model.json: customer_id;score"),
        (b"c1,7\nc2,8\n", "missing: customer_id, score; not in model.json: c1, 7"),
        (b"customer_id,score,\nc1,7,\n", "not in model.json: "),
        (b"a,b,c,d,e,f,g\n1,2,3,4,5,6,7\n", "a, b, c, d and 3 more"),
        (b"customer_id,score,\x1b[31m\xe2\x80\xae\n", "\ufffd[31m\ufffd"),
        (b"customer_id,score," + b"x" * 900_000 + b"\n", "x" * 39 + "…"),
    ],
)
def test_wrong_columns_are_named(importing: Importing, content: bytes, words: str) -> None:
    problem = importing.problem(source_of(content, SCORES))
    assert problem.code == "wrong_columns"
    assert words in problem.cause


def test_a_wrong_header_is_told_without_reading_the_rest(importing: Importing) -> None:
    class Endless(MemorySource):
        def stream(self, path: str) -> Iterator[bytes]:
            yield b"nothing,fits\n"
            while self.taken < 100_000:
                self.taken += 1
                yield b"a,b\n" * 20_000

    source = Endless(source_of(GOOD, SCORES).files)
    assert importing.problem(source).code == "wrong_columns"
    assert source.taken < 2_000


def test_without_a_header_the_number_of_columns_counts(importing: Importing) -> None:
    partitions = [{"fileFormatSettings": {"columnHeaders": False}}]
    problem = importing.problem(source_of(b"c1,7,x\n", model(COLUMNS, partitions=partitions)))
    assert (problem.code, problem.cause) == (
        "wrong_columns",
        "The file has 3 columns and model.json names 2.",
    )


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (b"\xff", 3),
        (b"caf\xe9", 3),
        (b"\xc3", 3),
        (b"\xed\xa0\x80", 3),
        (b"\xf8\x88\x80\x80\x80", 3),
        (b"\xc0\x80", 3),
        (b'"two\nlines \xff"', 4),
    ],
)
@pytest.mark.parametrize("block", [3, 7, 100_000])
def test_bytes_that_are_no_utf8(importing: Importing, bad: bytes, line: int, block: int) -> None:
    content = b"customer_id,score\nc1," + b"7" * 20 + b"\n" + CANARY.encode() + b"," + bad + b"\nc2,8\n"
    problem = importing.problem(source_of(content, SCORES, block=block))
    assert problem.code == "not_utf8"
    assert f"line {line} " in problem.cause


def test_other_encodings(importing: Importing) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        source = source_of(GOOD.decode().encode(encoding), SCORES)
        with pytest.raises(ImportProblem) as problem:
            importing(source)
        assert problem.value.code in ("not_utf8", "wrong_columns")


@pytest.mark.parametrize(
    "rows",
    [
        b'c1,"7\nc2,8\nc3,9\n',
        b'c1,7\nc2,"8\nc3,9\nc4,10',
        b'c1,7\n"c2,8\nc3,9\n',
        b'"c1,7\n"c2",8\nc3,9\n',
        b'c1,7\nc2,"8\n' + b"c3,9\n" * 300_000,
    ],
)
def test_a_quotation_mark_that_nothing_closes(importing: Importing, rows: bytes) -> None:
    """It would swallow other rows without a word."""
    assert importing.problem(source_of(b"customer_id,score\n" + rows, SCORES)).code == "quote_open"


def test_a_quotation_mark_inside_a_value_harms_nobody(importing: Importing) -> None:
    description = model({"customer_id": "string", "size": "string"})
    importing(source_of(b'customer_id,size\nc1,5"\nc2,6\n', description))
    assert [row["size"] for row in importing.rows()] == ['5"', "6"]


# ---- compressed


@pytest.mark.parametrize("cut", [1, 8, 9, 100])
def test_a_compressed_file_that_is_cut_off(importing: Importing, cut: int) -> None:
    content = gzip.compress(b"customer_id,score\n" + os.urandom(500).hex().encode() + b",1\n")
    source = source_of(content[:-cut], SCORES, name="scores.csv.gz")
    assert importing.problem(source, name="scores.csv.gz").code == "gzip_cut_off"


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"PK\x03\x04" + b"x" * 100,
        gzip.compress(GOOD)[:10] + b"\xff" * 50,
        gzip.compress(GOOD)[:-8] + b"\0" * 8,
        gzip.compress(GOOD) + b"rubbish",
    ],
    ids=["plain", "zip", "damaged", "wrong sum", "rubbish behind"],
)
def test_what_gzip_did_not_write(importing: Importing, content: bytes) -> None:
    source = source_of(content, SCORES, name="scores.csv.gz")
    assert importing.problem(source, name="scores.csv.gz").code in ("gzip_broken", "gzip_cut_off")


def test_a_compressed_file_with_a_plain_name(importing: Importing) -> None:
    assert importing.problem(source_of(gzip.compress(GOOD), SCORES)).code == "compressed"
