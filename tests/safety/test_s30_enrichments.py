"""S30: without room no import begins, and one that fills the disk says so; a busy database makes none a failure."""

from typing import Any

import pyarrow.parquet as pq
import pytest
from django.db import OperationalError
from pytest_django import Settings

from connections.operations import carrying
from connections_portal.models import Attempt, RunState, WhoActs
from connections_portal.ticking import tick
from tests.enrichments.bringing import Bringing, carry, carry_again, lose_worker, shown
from tests.enrichments.test_runs import assert_nothing_is_left


def busy(*args: Any, **kwargs: Any) -> None:
    raise OperationalError("database is locked")


def test_without_room_nothing_is_claimed(bringing: Bringing, settings: Settings) -> None:
    run = bringing.start(bringing.enrichment())
    settings.MIN_FREE_BYTES = 2**62
    assert carry(run) == "no space"
    assert (run.state, run.attempt) == (RunState.QUEUED, 0)
    assert bringing.box.seen.requests == []
    settings.MIN_FREE_BYTES = 0
    assert carry(run) == "warnings"


def test_a_disk_that_is_full_meanwhile(bringing: Bringing, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bringing.start(bringing.enrichment())

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device: /var/somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        assert carry(run) == "retry"
    assert (run.code, run.attempts.get().outcome) == ("disk_full", Attempt.Outcome.FAILED)
    assert "no room left" in run.cause
    assert "somewhere" not in run.cause + run.remedy + run.detail
    assert run.who_acts in ("", WhoActs.OPERATOR)
    assert_nothing_is_left(keeps=0)
    assert carry_again(run) == "warnings"


@pytest.mark.parametrize("place", ["_Report.__call__", "_to_publishing"])
def test_progress_that_cannot_be_written_stops_the_worker_and_fails_nothing(
    bringing: Bringing, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    run = bringing.start(bringing.enrichment())
    with monkeypatch.context() as patch:
        patch.setattr("enrichments.importing.run.REPORT_SECONDS", 0)
        patch.setattr(f"enrichments.operations.execute.{place}", busy)
        with pytest.raises(OperationalError):
            carry(run)
    run.refresh_from_db()
    assert (run.state, run.cause, run.attempt) == (RunState.RUNNING, "", 1)
    lose_worker(run)
    assert tick()["leases"] == 1
    assert carry(run) == "warnings"
    assert [attempt.outcome for attempt in run.attempts.order_by("number")] == ["lost", "done"]


def test_a_success_that_cannot_be_written_is_found_by_the_next_worker(
    bringing: Bringing, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bringing.start(bringing.enrichment())
    with monkeypatch.context() as patch:
        patch.setattr(carrying, "clear_attention", busy)
        with pytest.raises(OperationalError):
            carry(run)
    run.refresh_from_db()
    assert run.state == RunState.PUBLISHING
    assert shown("Scores") is not None
    read = bringing.box.seen.bytes_read
    lose_worker(run)
    assert carry(run) == "warnings"
    assert bringing.box.seen.bytes_read == read
