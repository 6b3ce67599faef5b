"""What changes, goes away or is lost while a file is brought in: the run ends or starts over, and keeps nothing."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from connections.connectors.errors import FileUnusable, TryLater
from connections_portal.customer_data import CustomerDataError
from enrichments.importing import SourceChanged
from tests.enrichments.remote import Importing, MemorySource, model, source_of

SCORES = model({"customer_id": "string", "score": "int64"})
GOOD = b"customer_id,score\nc1,7\nc2,8\n"


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
    problem = importing.problem(source_of(GOOD, SCORES), segment="nowhere")
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
