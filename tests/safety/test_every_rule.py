"""Each safety rule has tests of its number, and docs/safety.md names them all."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE.parents[1] / "docs" / "safety.md").read_text(encoding="utf-8")
# It comes with operation.
NOT_BUILT = {29}


def listed() -> dict[int, set[str]]:
    rows = re.findall(r"^\| S(\d+) \|[^|]+\|([^|]+)\|$", TABLE, re.MULTILINE)
    return {int(number): set(re.findall(r"`(test_\w+\.py)`", files)) for number, files in rows}


def test_no_rule_is_without_a_test() -> None:
    assert set(listed()) == set(range(1, 33)) - NOT_BUILT
    assert all(listed().values())


def test_the_table_names_every_file_and_no_other() -> None:
    named = set().union(*listed().values())
    present = {path.name for path in HERE.glob("test_s[0-9]*.py")} | {"test_canary.py"}
    assert named == present
    for number, files in listed().items():
        for name in files - {"test_canary.py"}:
            assert name.startswith(f"test_s{number:02}_"), name


def test_every_file_says_its_rule_and_holds_tests() -> None:
    for path in HERE.glob("test_s[0-9]*.py"):
        text = path.read_text(encoding="utf-8")
        assert re.match(rf'"""(Rule )?S{int(path.name[6:8])}: ', text), path.name
        assert re.search(r"^def test_", text, re.MULTILINE), path.name
