"""S30: without room nothing is claimed; a database that is busy makes no run a success or a failure."""

import datetime as dt
import os
import shutil
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.operations import carrying
from connections_portal import settings as portal_settings
from connections_portal.models import RunState
from connections_portal.runs import Lease
from connections_portal.ticking import tick
from exports.models import ExportAttempt, ExportRun
from tests.runs.helpers import Delivery, carry, claimed, folders, lose_worker, start


def busy(*args: Any, **kwargs: Any) -> None:
    raise OperationalError("database is locked")


def test_without_room_nothing_is_claimed(delivery: Delivery, settings: Settings) -> None:
    run = start(delivery.export())
    settings.MIN_FREE_BYTES = 2**62
    assert carry(run) == "no space"
    assert (run.state, run.attempt) == (RunState.QUEUED, 0)
    assert delivery.box.seen.requests == []
    settings.MIN_FREE_BYTES = 0
    assert carry(run) == "successful"


def test_the_room_that_is_kept_is_a_gigabyte_and_the_run_is_looked_at_again(
    delivery: Delivery, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(settings.VAR_DIR)
    run = start(delivery.export())
    DBTaskResult.objects.all().delete()  # the message was read
    settings.MIN_FREE_BYTES = 1024**3
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda folder: free._replace(free=1024**3 - 1))
        assert carry(run) == "no space"
        patch.setattr("shutil.disk_usage", lambda folder: free._replace(free=1024**3))
        ExportRun.objects.update(not_before=timezone.now() - dt.timedelta(minutes=1))
        assert tick()["messages"] == 1
        assert carry(run) == "successful"


@pytest.mark.skipif("MIN_FREE_MB" in os.environ, reason="the operator of this machine says otherwise")
def test_a_gigabyte_is_the_default() -> None:
    assert portal_settings.MIN_FREE_BYTES == 1024**3


def test_a_heartbeat_that_finds_no_database_is_left_to_the_deadline(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = claimed(start(delivery.export()))
    with monkeypatch.context() as patch:
        patch.setattr(Lease, "rows", busy)
        lease.beat()
    lease.check()


def test_progress_that_cannot_be_written_stops_the_worker_and_fails_nothing(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(delivery.export())
    with monkeypatch.context() as patch:
        patch.setattr("exports.operations.deliver.write_totals", busy)
        with pytest.raises(OperationalError):
            carry(run)
    run.refresh_from_db()
    assert (run.state, run.cause, run.attempt) == (RunState.RUNNING, "", 1)
    lose_worker(run)
    assert tick()["leases"] == 1
    assert carry(run) == "successful"
    assert [a.outcome for a in run.attempts.all()] == [ExportAttempt.Outcome.DONE, ExportAttempt.Outcome.LOST]


def test_a_success_that_cannot_be_written_is_found_by_the_next_worker(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = delivery.export()
    run = start(export)
    with monkeypatch.context() as patch:
        patch.setattr(carrying, "clear_attention", busy)
        with pytest.raises(OperationalError):
            carry(run)
    run.refresh_from_db()
    assert run.state == RunState.PUBLISHING
    written = delivery.box.seen.bytes_written
    lose_worker(run)
    assert carry(run) == "successful"
    assert delivery.box.seen.bytes_written == written
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
