"""S31: removes only what it sent itself, never replaces an earlier delivery, and runs at most every 15 minutes."""

import datetime as dt
from itertools import pairwise

import pytest
from django.utils import timezone

from connections_portal.models import RunState
from exports.models import ExportRun, ScheduleKind, TemporaryFolder
from exports.operations.leftovers import connections_to_tidy, tidy
from exports.operations.run import cancel_run
from tests.exports.test_schedules import Plan, following, utc
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    Delivery,
    carry,
    claimed,
    folders,
    start,
    tree,
    write_events,
)

SHORTEST = dt.timedelta(minutes=15)
OFTEN = {
    ScheduleKind.DAY: {},
    ScheduleKind.WEEK: {"weekdays": list(range(7))},
    ScheduleKind.MONTH: {"days": list(range(1, 32))},
}


def test_tidying_up_deletes_the_portals_own_unfinished_files_and_nothing_else(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    assert carry(start(export)) == "successful"
    delivery.box.faults.cut_after = delivery.box.seen.bytes_written + 1_000_000
    run = start(export)
    assert carry(run) == "retry"
    delivery.box.faults.cut_after = None
    cancel_run(run=run, actor=delivery.admin)

    own = TemporaryFolder.objects.get().path
    theirs = delivery.at_server / export.folder_name / ".incoming-00000000-00000000"
    theirs.mkdir()
    (theirs / "theirs.csv").write_text("theirs")
    (delivery.server.files / "beside.csv").write_text("beside")
    before = tree(delivery.server.files)
    unfinished = {path for path in before if path.startswith(f"exports/{own}/")}
    assert unfinished
    ExportRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - dt.timedelta(minutes=2))
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert tree(delivery.server.files) == {
        path: content for path, content in before.items() if path not in unfinished
    }


def left_behind(delivery: Delivery) -> tuple[ExportRun, dict[str, bytes]]:
    """A run that was cut off and waits for its next attempt, and the files that it has at the server."""
    write_events(delivery.data)
    delivery.box.faults.cut_after = delivery.box.seen.bytes_written + 1_000_000
    run = start(delivery.export(LOYAL, EVENTS))
    assert carry(run) == "retry"
    delivery.box.faults.cut_after = None
    files = tree(delivery.at_server / TemporaryFolder.objects.get().path)
    assert files
    return run, files


def long_ago(run: ExportRun, **columns: object) -> None:
    """The run ended before any worker could still be deleting something."""
    ended = timezone.now() - dt.timedelta(hours=1)
    ExportRun.objects.filter(pk=run.pk).update(finished_at=ended, **columns)


def carry_another(delivery: Delivery) -> None:
    """A run of another export over the same connection, which deletes leftovers on its way."""
    assert carry(start(delivery.export(LOYAL, name="Another"))) == "successful"


def test_what_was_left_at_another_target_is_not_looked_for_at_this_one(delivery: Delivery) -> None:
    """The same path there may be anybody's."""
    run, files = left_behind(delivery)
    long_ago(run, state=RunState.CANCELED)
    folder = TemporaryFolder.objects.get()
    TemporaryFolder.objects.update(target_digest="0" * 64)
    assert connections_to_tidy() == []
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
    carry_another(delivery)
    assert tree(delivery.at_server / folder.path) == files
    # where it was left it is found: the target alone kept it
    TemporaryFolder.objects.filter(pk=folder.pk).update(target_digest=folder.target_digest)
    assert connections_to_tidy() == [delivery.connection.pk]
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert tree(delivery.at_server / folder.path) == {}


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.PUBLISHING])
def test_the_folder_of_a_run_under_way_is_no_leftover(delivery: Delivery, state: RunState) -> None:
    run, files = left_behind(delivery)
    if state != RunState.QUEUED:
        ExportRun.objects.update(not_before=timezone.now() - dt.timedelta(seconds=1))
        claimed(run)
    # a time of an end that it cannot have: the state alone decides
    long_ago(run, state=state)
    folder = TemporaryFolder.objects.get()
    assert connections_to_tidy() == []
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
    carry_another(delivery)
    assert tree(delivery.at_server / folder.path) == files
    assert TemporaryFolder.objects.get() == folder
    long_ago(run, state=RunState.CANCELED, lease_token=None, lease_until=None)
    assert connections_to_tidy() == [delivery.connection.pk]


def test_a_delivery_of_no_rows_replaces_nothing(delivery: Delivery) -> None:
    export = delivery.export(LOYAL)
    full = start(export)
    assert carry(full) == "successful"
    before = tree(delivery.at_server / full.final_folder)
    (delivery.data / "segments" / "loyal.parquet").unlink()
    (delivery.data / "segments" / "loyal.sql").write_text("SELECT customer_id FROM customer WHERE false")
    empty = start(export)
    assert carry(empty) == "successful"
    assert (empty.state, empty.sent) == (RunState.SUCCESSFUL, 0)
    assert tree(delivery.at_server / full.final_folder) == before
    assert len(folders(delivery.at_server / export.folder_name)) == 2


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo"]
)
# what follows the system refresh has no time of its own: for that one see tests/portal/test_refresh.py
@pytest.mark.parametrize(
    "kind", [kind for kind in ScheduleKind if kind not in (ScheduleKind.MANUAL, ScheduleKind.SYSTEM)]
)
def test_no_schedule_runs_more_often_than_every_15_minutes(kind: ScheduleKind, zone: str) -> None:
    """However often it is set to run, also around changes of the clock; a new kind has to be added here."""
    for local_time in (dt.time(0), dt.time(2), dt.time(2, 30), dt.time(3), dt.time(23, 59)):
        plan = Plan(kind=kind, local_time=local_time, zone=zone, **OFTEN[kind])
        moments = following(plan, utc(2026, 1, 1), 400)
        assert min(later - earlier for earlier, later in pairwise(moments)) >= SHORTEST
