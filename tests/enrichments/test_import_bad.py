"""Files and descriptions that cannot be brought in: a clear problem, nothing written, and no data in its words."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connections.connectors.errors import FileUnusable, TryLater
from connections_portal.customer_data import CustomerDataError
from enrichments.importing import ImportProblem, SourceChanged
from tests.enrichments.remote import Importing, MemorySource, model, source_of

COLUMNS = {"customer_id": "string", "score": "int64"}
SCORES = model(COLUMNS)
GOOD = b"customer_id,score\nc1,7\nc2,8\n"
CANARY = "canary-4711"


def problem_of(importing: Importing, source: MemorySource, **how: Any) -> ImportProblem:
    with pytest.raises(ImportProblem) as caught:
        importing(source, **how)
    problem = caught.value
    assert CANARY not in problem.cause + problem.remedy
    assert (problem.cause + problem.remedy).isprintable()
    assert max(len(problem.cause), len(problem.remedy)) <= 300
    assert importing.nothing_written()
    return problem


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
    problem = problem_of(importing, source_of(GOOD, description))
    assert problem.code == code
    assert words in problem.cause


def test_without_a_description(importing: Importing) -> None:
    source = source_of(GOOD, SCORES)
    del source.files["model.json"]
    assert problem_of(importing, source).code == "model_missing"


def test_a_description_of_more_than_a_megabyte(importing: Importing) -> None:
    description = json.dumps({**SCORES, "description": "x" * 1_000_000}).encode()
    assert problem_of(importing, source_of(GOOD, description)).code == "model_too_large"
    assert importing(source_of(GOOD, description[:-100_000] + b'"}')).enriched == 2


@pytest.mark.parametrize(("depth", "fits"), [(40, True), (60, False), (300_000, False)])
def test_how_deep_a_description_may_be(importing: Importing, depth: int, fits: bool) -> None:
    text = (
        json.dumps(SCORES)[:-1] + ', "deep": ' + '[{"x{": ' * (depth // 2) + "7" + "}]" * (depth // 2) + "}"
    )
    if fits:
        assert importing(source_of(GOOD, text.encode())).enriched == 2
    else:
        assert "too deeply" in problem_of(importing, source_of(GOOD, text.encode()[:1_000_000])).cause


def test_one_table_of_several_is_chosen_by_the_file(importing: Importing) -> None:
    wrong = entity(name="other", attributes=[{"name": "customer_id"}, {"name": "else"}])
    by_name = {"tables": [wrong, entity()]}
    by_partition = {"entities": [entity(name="x", partitions=[{"name": "scores.csv"}]), wrong]}
    for description in (by_name, by_partition):
        assert importing(source_of(GOOD, description)).enriched == 2


@pytest.mark.parametrize("location", ["https://example.com/x.csv", "../../etc/passwd", "other.csv", 7, None])
def test_where_a_partition_lies_is_never_looked_at(importing: Importing, location: Any) -> None:
    description = {"entities": [entity(partitions=[{"name": "part", "location": location}])]}
    source = source_of(GOOD, description)
    source.files["other.csv"] = b"customer_id,score\nc1,666\n"
    importing(source)
    assert [row["score"] for row in importing.rows()] == [7, 8]


# ---- the file


@pytest.mark.parametrize("name", ["scores.txt", "scores", "scores.csv.zip", "scores.parquet", ".gz", ""])
def test_other_kinds_of_files(importing: Importing, name: str) -> None:
    assert problem_of(importing, source_of(GOOD, SCORES, name=name), name=name).code == "file_type"


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
    problem = problem_of(importing, source, name=name)
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
    problem = problem_of(importing, source_of(content, SCORES))
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
    assert problem_of(importing, source).code == "wrong_columns"
    assert source.taken < 2_000


def test_without_a_header_the_number_of_columns_counts(importing: Importing) -> None:
    partitions = [{"fileFormatSettings": {"columnHeaders": False}}]
    problem = problem_of(importing, source_of(b"c1,7,x\n", model(COLUMNS, partitions=partitions)))
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
    problem = problem_of(importing, source_of(content, SCORES, block=block))
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
    assert problem_of(importing, source_of(b"customer_id,score\n" + rows, SCORES)).code == "quote_open"


def test_a_quotation_mark_inside_a_value_harms_nobody(importing: Importing) -> None:
    description = model({"customer_id": "string", "size": "string"})
    importing(source_of(b'customer_id,size\nc1,5"\nc2,6\n', description))
    assert [row["size"] for row in importing.rows()] == ['5"', "6"]


@pytest.mark.parametrize("block", [10_000, 300_000])
@pytest.mark.parametrize(("length", "fits"), [(900_000, True), (1_000_100, False), (3_000_000, False)])
def test_lines_of_more_than_a_megabyte(importing: Importing, length: int, fits: bool, block: int) -> None:
    description = model({"customer_id": "string", "text": "string"})
    content = b"customer_id,text\nc1," + b"x" * length + b"\nc2,y\n"
    if fits:
        assert importing(source_of(content, description, block=block)).enriched == 2
        return
    problem = problem_of(importing, source_of(content, description, block=block))
    assert problem.code == "line_too_long"
    assert "Line 2 " in problem.cause


def test_a_row_of_many_lines_has_an_end_too(importing: Importing) -> None:
    content = b'customer_id,score\nc1,"' + b"y\n" * 2_000_000 + b'"\n'
    assert problem_of(importing, source_of(content, SCORES)).code == "quote_open"


# ---- compressed


def test_a_compressed_file_that_becomes_far_too_much(importing: Importing) -> None:
    bomb = gzip.compress(b"customer_id,score\n" + b"c9,1\n" * 20_000_000, mtime=0)
    assert len(bomb) < 500_000
    source = source_of(bomb, SCORES, name="scores.csv.gz", block=10_000)
    assert problem_of(importing, source, name="scores.csv.gz").code == "gzip_ratio"
    assert source.taken * source.block < len(bomb)


@pytest.mark.parametrize("cut", [1, 8, 9, 100])
def test_a_compressed_file_that_is_cut_off(importing: Importing, cut: int) -> None:
    content = gzip.compress(b"customer_id,score\n" + os.urandom(500).hex().encode() + b",1\n")
    source = source_of(content[:-cut], SCORES, name="scores.csv.gz")
    assert problem_of(importing, source, name="scores.csv.gz").code == "gzip_cut_off"


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
    assert problem_of(importing, source, name="scores.csv.gz").code in ("gzip_broken", "gzip_cut_off")


def test_a_compressed_file_with_a_plain_name(importing: Importing) -> None:
    assert problem_of(importing, source_of(gzip.compress(GOOD), SCORES)).code == "compressed"


# ---- what changes meanwhile, and what is lost


LONG = b"customer_id,score\n" + b"c9,1\n" * 50_000


@pytest.mark.parametrize("path", ["scores.csv", "model.json"])
def test_a_file_that_changes_while_it_is_read(importing: Importing, path: str) -> None:
    source = source_of(LONG, SCORES)
    source.meanwhile = lambda source: source.replace(path, source.files[path])
    with pytest.raises(SourceChanged) as changed:
        importing(source)
    assert changed.value.code == "file_changed"
    assert importing.nothing_written()


def test_half_a_file_is_read_again_and_no_problem(importing: Importing) -> None:
    """What is wrong with it now may be right in a moment."""
    source = source_of(b"", SCORES)
    source.files["scores.csv"] = gzip.compress(LONG)[:-20]
    source.files["scores.csv.gz"] = source.files.pop("scores.csv")
    source.modified["scores.csv.gz"] = 1
    source.meanwhile = lambda source: source.replace("scores.csv.gz", gzip.compress(LONG))
    with pytest.raises(SourceChanged):
        importing(source, name="scores.csv.gz")


def test_a_server_that_gives_other_bytes_than_it_says(importing: Importing) -> None:
    class Short(MemorySource):
        def stream(self, path: str) -> Any:
            yield self.files[path][:-5]

    with pytest.raises(SourceChanged):
        importing(Short(source_of(GOOD, SCORES).files))


def test_a_file_that_goes_away(importing: Importing) -> None:
    source = source_of(LONG, SCORES)
    source.meanwhile = lambda source: source.files.clear()
    with pytest.raises(FileUnusable):
        importing(source)
    assert importing.nothing_written()


def test_customers_that_change_while_they_are_joined(importing: Importing, customers: Path) -> None:
    stamps = iter(range(1, 1_000_000))

    def check() -> None:
        # later at each step, of which one at least lies between the first look and the last
        stamp = next(stamps)
        os.utime(customers / "customer.parquet", (stamp, stamp))

    with pytest.raises(SourceChanged) as changed:
        importing(source_of(GOOD, SCORES), check=check)
    assert changed.value.code == "customers_changed"


def test_a_segment_that_is_gone(importing: Importing) -> None:
    problem = problem_of(importing, source_of(GOOD, SCORES), segment="nowhere")
    assert problem.code == "segment_gone"


def test_customers_that_cannot_be_read(importing: Importing, customers: Path) -> None:
    (customers / "customer.parquet").write_bytes(b"broken")
    with pytest.raises(CustomerDataError):
        importing(source_of(GOOD, SCORES))
    assert importing.nothing_written()


def test_a_line_that_breaks(importing: Importing) -> None:
    def cut(source: MemorySource) -> None:
        raise TryLater("The line was cut.", code="line_cut")

    source = source_of(LONG, SCORES)
    source.meanwhile = cut
    with pytest.raises(TryLater):
        importing(source)
    assert importing.nothing_written()


class Lost(Exception):
    """The run is somebody else's."""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_run_that_is_lost_ends_at_the_next_block(importing: Importing, after: int) -> None:
    calls = iter(range(1_000_000))

    def check() -> None:
        if next(calls) >= after:
            raise Lost

    source = source_of(LONG * 20, SCORES)
    with pytest.raises(Lost):
        importing(source, check=check)
    assert importing.nothing_written()
    assert source.taken <= 8 * (after + 1)
