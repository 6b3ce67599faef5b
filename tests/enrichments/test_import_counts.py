"""Whatever rows a file has: each is enriched, rejected or left out, for the reason that plain Python finds too."""

import csv
import io
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.enrichments.remote import Importing, model, source_of

CUSTOMERS = {"c1", "c2", "c3", "c4"}
LOYAL = {"c1", "c3"}
Row = tuple[str, ...]

IDS = st.sampled_from(["c1", "c2", "c3", "c4", "C1", "c1 ", "gone", "c99", "", " ", "Łódź", "007"])
SCORES = st.one_of(
    st.integers(-(2**70), 2**70).map(str), st.sampled_from(["", "7", "7.0", "7.5", "x", "1e3", " 7 "])
)
REMARKS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)
ROWS = st.one_of(
    st.tuples(IDS, SCORES, REMARKS),
    st.tuples(IDS, SCORES, REMARKS),
    st.tuples(IDS, SCORES, REMARKS),
    st.tuples(IDS, SCORES),
    st.tuples(IDS, SCORES, st.just("more"), st.just("values")),
)


def fits(score: str) -> bool:
    text = score.strip(" ").removesuffix(".0")
    return not text or (text.removeprefix("-").isdigit() and -(2**63) <= int(text) < 2**63)


def expected(rows: Sequence[Row], members: set[str]) -> Counter[str]:
    """The number of rows for each reason; the empty one stands for those that enrich."""
    whole = [row for row in rows if len(row) == 3]
    times = Counter(row[0] for row in whole)
    reasons = Counter({"wrong_columns": len(rows) - len(whole)})
    for key, score, _remark in whole:
        if not key.strip():
            reason = "no_customer_id"
        elif times[key] > 1:
            reason = "duplicate"
        elif not fits(score):
            reason = "bad_value"
        elif key not in CUSTOMERS:
            reason = "unknown_customer"
        else:
            reason = "" if key in members else "not_in_segment"
        reasons[reason] += 1
    return +reasons


# a failing import takes too long to be shrunk; thirty rows can be read
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
    phases=(Phase.generate,),
)
@given(
    st.lists(ROWS, max_size=30),
    st.booleans(),
    st.integers(1, 200),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_counts_always_add_up(
    importing: Importing, rows: list[Row], segment: bool, block: int, end: str, data: st.DataObject
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    # one row enriches for certain: a file in which none does is another matter
    rows = [row for row in rows if row[0] != "c1"]
    rows.insert(data.draw(st.integers(0, len(rows))), ("c1", "1", "here"))
    writer.writerows([("customer_id", "score", "remark"), *rows])
    description = model({"customer_id": "string", "score": "int64", "remark": "string"})
    source = source_of(text.getvalue().encode(), description, block=block)

    imported = importing(source, segment="loyal" if segment else "")

    found = Counter(imported.reasons) + Counter({"": imported.enriched})
    assert found == expected(rows, LOYAL if segment else CUSTOMERS)
    assert imported.read == len(rows) == imported.enriched + imported.rejected + imported.left_out
    assert [row["customer_id"] for row in importing.rows()] == sorted(
        row["customer_id"] for row in importing.rows()
    )
    remarks = {row[0]: row[2] for row in rows if len(row) == 3}
    assert all(row["remark"] == remarks[row["customer_id"]] for row in importing.rows())
    assert len({row["customer_id"] for row in importing.rows()}) == imported.enriched
