"""Files that are odd and not wrong, and some that are so wrong that they could keep a worker busy for ever."""

import io
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.enrichments.remote import Importing, model, source_of

SCORES = model({"customer_id": "string", "score": "int64"})
TEXTS = model({"customer_id": "string", "text": "string"})
GOOD = b"customer_id,score\nc1,7\nc2,8\n"


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"customer_id": ["c1"], "score": [7]}), file)
    return file.getvalue()


# ---- columns


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (",".join(f"a{n}" for n in range(2_000)), "a0, a1, a2, a3 and 1996 more"),
        (",".join(str(n) for n in range(2_000)), "0, 1, 2, 3 and 1996 more"),
        (",".join(["customer_id", "score", *["2026-02-28"] * 700]), "(not in model.json: 2026-02-28)"),
        (",".join(["customer_id", "score", *["true", "1.5", ""] * 200]), "true, 1.5, one without a name"),
        ("customer_id", "missing: score"),
        ("customer_id,score,", "(not in model.json: one without a name)"),
        ("Customer_ID,SCORE", "missing: customer_id, score; not in model.json: Customer_ID, SCORE"),
        ("sep=;", "not in model.json: sep=;"),
        ("# exported on Monday", "not in model.json: # exported on Monday"),
        ('{"customer_id": "c1"}', "missing: customer_id, score"),
        ("<html>", "missing: customer_id, score"),
        ("\0" * 100, "missing: customer_id, score"),
    ],
)
def test_headers_that_are_not_those_of_the_description(importing: Importing, header: str, words: str) -> None:
    row = header if "," in header else "1"
    problem = importing.problem(source_of(f"{header}\n{row}\n".encode(), SCORES))
    assert problem.code == "wrong_columns"
    assert words in problem.cause


def test_a_header_of_a_hundred_thousand_names_takes_no_time_to_speak_of(importing: Importing) -> None:
    names = ",".join(f"a{n}" for n in range(100_000))
    begun = time.monotonic()
    problem = importing.problem(source_of(f"{names}\n1\n".encode(), SCORES))
    assert "and 99996 more" in problem.cause
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    "header", ["customer_id , score", "\tcustomer_id,score\t", '"customer_id "," score"']
)
def test_blanks_around_names_do_not_count(importing: Importing, header: str) -> None:
    assert importing(source_of(f"{header}\nc1,7\n".encode(), SCORES)).enriched == 1


# ---- the description


@pytest.mark.parametrize("piece", [b'\\"', b"\\", b'"', b'""\\"', b'"\\'])
@pytest.mark.parametrize("before", [b'"', b'{"entities": "', b""])
def test_quotation_marks_without_end_take_no_time_to_speak_of(
    importing: Importing, before: bytes, piece: bytes
) -> None:
    """Looked at by what holds up the whole process, its heartbeat included."""
    description = (before + piece * 500_000)[:1_000_000]
    begun = time.monotonic()
    assert "not JSON" in importing.problem(source_of(GOOD, description)).cause
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb"])
def test_halves_of_characters_in_names(importing: Importing, name: str) -> None:
    described = model({"customer_id": "string", name: "int64"})
    assert "cannot be seen" in importing.problem(source_of(GOOD, described)).cause
    described = model({"customer_id": "string", "score": name}, partitions=[{"name": name}])
    described["entities"][0]["attributes"][1]["friendlyName"] = name
    assert importing(source_of(GOOD, described)).coverage == [("score", "score", "text", 2)]


# ---- rows


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"customer_id,text\r\nc1,a\nc2,b\r\n", {"c1": "a", "c2": "b"}),
        (b"customer_id,text\rc1,a\rc2,b\r", {"c1": "a", "c2": "b"}),
        (b"\n\r\ncustomer_id,text\n\n\nc1,a\n\n", {"c1": "a"}),
        (b'customer_id,text\r\nc1,"a\r\n\r\nb, ""c"""\r\nc2,"\n"\r\n', {"c1": 'a\r\n\r\nb, "c"', "c2": "\n"}),
        (b'\xef\xbb\xbf"customer_id","text"\nc1,\xef\xbb\xbfa\n', {"c1": "\ufeffa"}),
        (b"customer_id,text\nc1,a\0b\nc2\0,b\n", {"c1": "a\0b"}),
        (b"customer_id,text\nc1,=1+1\nc2,'; DROP TABLE x--\n", {"c1": "=1+1", "c2": "'; DROP TABLE x--"}),
        (b"customer_id,text\nc1 ,a\n\xc2\xa0c2,b\nc3,c\n", {"c3": "c"}),
        (GOOD.replace(b"score", b"text") + b"\x1a", {"c1": "7", "c2": "8"}),
    ],
)
def test_rows_in_odd_forms(importing: Importing, content: bytes, rows: dict[str, str]) -> None:
    importing(source_of(content, TEXTS))
    assert {row["customer_id"]: row["text"] for row in importing.rows()} == rows


def test_a_header_in_the_middle_is_a_row_of_nobody(importing: Importing) -> None:
    imported = importing(source_of(GOOD + b"customer_id,score\nc3,9\n", SCORES))
    assert (imported.enriched, imported.reasons) == (3, {"bad_value": 1})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (parquet(), "not_utf8"),
        (b"customer_id,score\nc1," + b"7" * 10_000_000 + b"\n", "line_too_long"),
        (b"x" * 10_000_000, "line_too_long"),
        (b"\0" * 2_000_000, "line_too_long"),
    ],
)
def test_what_is_no_csv_at_all(importing: Importing, content: bytes, code: str) -> None:
    assert importing.problem(source_of(content, SCORES)).code == code


# ---- customer IDs


@pytest.mark.parametrize(
    ("ids", "typed", "enriched"),
    [
        (["007", "7", "a"], ["007", "07", "A"], ["007"]),
        ([7, 8], ["7", "08", "8.0", "x", "c1"], [7]),
        ([2**63 - 1, -5], ["9223372036854775807", "-5", "9223372036854775808"], [-5, 2**63 - 1]),
        (["Ärger", "ß"], ["A\u0308rger", "ß", "SS"], ["ß"]),
        (["a,b", 'a"b', "a\nb"], ['"a,b"', '"a""b"', '"a\nb"'], ["a\nb", 'a"b', "a,b"]),
    ],
)
def test_ids_are_compared_as_they_are_written(
    importing: Importing, customers: Path, ids: list[Any], typed: list[str], enriched: list[Any]
) -> None:
    pq.write_table(pa.table({"customer_id": ids}), customers / "customer.parquet")
    content = "\n".join(["customer_id,score", *(f"{key},1" for key in typed)])
    imported = importing(source_of(content.encode(), SCORES))
    assert [row["customer_id"] for row in importing.rows()] == enriched
    assert imported.read == len(typed)
    assert imported.reasons.get("unknown_customer", 0) == len(typed) - len(enriched)


def test_members_kept_as_text_of_customers_whose_ids_are_numbers(
    importing: Importing, customers: Path
) -> None:
    pq.write_table(pa.table({"customer_id": [7, 8, 9]}), customers / "customer.parquet")
    pq.write_table(pa.table({"Customer_ID": ["7", "9"]}), customers / "segments" / "loyal.parquet")
    (customers / "segments" / "asked.sql").write_text(
        "SELECT customer_id FROM customer WHERE customer_id > 7 -- those\n"
    )
    content = b"customer_id,score\n7,1\n8,2\n"
    for segment, enriched in (("loyal", [7]), ("asked", [8])):
        imported = importing(source_of(content, SCORES), segment=segment)
        assert [row["customer_id"] for row in importing.rows()] == enriched
        assert (imported.selected, imported.reasons) == (2, {"not_in_segment": 1})
