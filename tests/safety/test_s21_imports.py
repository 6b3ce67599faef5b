"""S21: limits on what is brought in: the description, its depth, lines, rows, and what a compressed file becomes."""

import gzip
import json
from typing import Any

import pytest

from tests.enrichments.remote import Importing, customers, importing, model, source_of

__all__ = ["customers", "importing"]

COLUMNS = {"customer_id": "string", "score": "int64"}
SCORES = model(COLUMNS)
GOOD = b"customer_id,score\nc1,7\nc2,8\n"


def test_a_description_of_more_than_a_megabyte(importing: Importing) -> None:
    description = json.dumps({**SCORES, "description": "x" * 1_000_000}).encode()
    assert importing.problem(source_of(GOOD, description)).code == "model_too_large"
    assert importing(source_of(GOOD, description[:-100_000] + b'"}')).enriched == 2


@pytest.mark.parametrize(("depth", "fits"), [(40, True), (60, False), (300_000, False)])
def test_how_deep_a_description_may_be(importing: Importing, depth: int, fits: bool) -> None:
    text = (
        json.dumps(SCORES)[:-1] + ', "deep": ' + '[{"x{": ' * (depth // 2) + "7" + "}]" * (depth // 2) + "}"
    )
    if fits:
        assert importing(source_of(GOOD, text.encode())).enriched == 2
    else:
        assert "too deeply" in importing.problem(source_of(GOOD, text.encode()[:1_000_000])).cause


@pytest.mark.parametrize("location", ["https://example.com/x.csv", "../../etc/passwd", "other.csv", 7, None])
def test_where_a_partition_lies_is_never_looked_at(importing: Importing, location: Any) -> None:
    description = {
        "entities": [{**SCORES["entities"][0], "partitions": [{"name": "part", "location": location}]}]
    }
    source = source_of(GOOD, description)
    source.files["other.csv"] = b"customer_id,score\nc1,666\n"
    importing(source)
    assert [row["score"] for row in importing.rows()] == [7, 8]


@pytest.mark.parametrize("block", [10_000, 300_000])
@pytest.mark.parametrize(("length", "fits"), [(900_000, True), (1_000_100, False), (3_000_000, False)])
def test_lines_of_more_than_a_megabyte(importing: Importing, length: int, fits: bool, block: int) -> None:
    description = model({"customer_id": "string", "text": "string"})
    content = b"customer_id,text\nc1," + b"x" * length + b"\nc2,y\n"
    if fits:
        assert importing(source_of(content, description, block=block)).enriched == 2
        return
    problem = importing.problem(source_of(content, description, block=block))
    assert problem.code == "line_too_long"
    assert "Line 2 " in problem.cause


def test_a_row_of_many_lines_has_an_end_too(importing: Importing) -> None:
    content = b'customer_id,score\nc1,"' + b"y\n" * 2_000_000 + b'"\n'
    assert importing.problem(source_of(content, SCORES)).code == "quote_open"


def test_a_compressed_file_that_becomes_far_too_much(importing: Importing) -> None:
    bomb = gzip.compress(b"customer_id,score\n" + b"c9,1\n" * 20_000_000, mtime=0)
    assert len(bomb) < 500_000
    source = source_of(bomb, SCORES, name="scores.csv.gz", block=10_000)
    assert importing.problem(source, name="scores.csv.gz").code == "gzip_ratio"
    assert source.taken * source.block < len(bomb)
