"""Cancel: wins before publishing, wherever the run stands, and leaves nothing at the destination."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.utils import timezone
from pytest_django import Settings

from connections_portal import runs
from connections_portal.errors import FinishingRun
from connections_portal.models import AuditEntry, RunState
from exports.models import ExportAttempt, ExportRun, TaskState
from exports.operations.run import cancel_run
from exports.story import task_lines
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    Delivery,
    carried_elsewhere,
    carry,
    folders,
    start,
    tree,
    write_events,
)

pytestmark = pytest.mark.both_databases


def test_a_queued_run_is_canceled_and_never_carried(delivery: Delivery) -> None:
    run = start(delivery.export())
    cancel_run(run=run, actor=delivery.admin)
    assert carry(run) == "not due"
    assert run.state == RunState.CANCELED
    assert run.finished_at is not None
    assert delivery.box.seen.requests == []
    entry = AuditEntry.objects.get(action="export.run_canceled")
    assert (entry.actor_id, entry.details) == (delivery.admin.pk, {"run": str(run.uuid)})


@pytest.mark.parametrize("noticed_by", ["heartbeat", "next write"])
def test_a_running_run_stops_and_deletes_what_it_wrote(
    delivery: Delivery, settings: Settings, noticed_by: str
) -> None:
    settings.RUN_BEAT_SECONDS = 0.05 if noticed_by == "heartbeat" else 15
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        assert run.state == RunState.RUNNING
        assert len(folders(delivery.at_server / export.folder_name)) == 1
        cancel_run(run=run, actor=delivery.admin)
        delivery.box.release()
        assert worker.result(20) == "lost"
    run.refresh_from_db()
    assert (run.state, run.lease_token) == (RunState.CANCELED, None)
    assert folders(delivery.at_server / export.folder_name) == []
    tasks = list(run.tasks.all())
    assert [task.state for task in tasks] == [TaskState.DONE, TaskState.FAILED]
    assert [line.state for line in task_lines(run, tasks, timezone.now())] == ["Done", "Not finished"]
    assert run.selected == sum(task.selected or 0 for task in tasks) > (tasks[0].selected or 0)
    assert run.attempts.get().outcome == ExportAttempt.Outcome.CANCELED
    # nothing is in the way of the next one
    assert carry(start(export)) == "successful"


def test_canceled_just_after_it_was_claimed_no_attempt_goes_on(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(delivery.export())
    keep = runs.keep

    @contextmanager
    def canceled_meanwhile(lease: runs.Lease) -> Iterator[None]:
        cancel_run(run=run, actor=delivery.admin)
        with keep(lease):
            yield

    monkeypatch.setattr(runs, "keep", canceled_meanwhile)
    assert carry(run) == "lost"
    assert run.state == RunState.CANCELED
    assert not run.attempts.exists()
    assert delivery.box.seen.requests == []


def test_while_publishing_it_is_too_late(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.hold_rename = True
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        assert run.state == RunState.PUBLISHING
        with pytest.raises(FinishingRun):
            cancel_run(run=run, actor=delivery.admin)
        delivery.box.release()
        assert worker.result(20) == "successful"
    assert len(tree(delivery.at_server / export.folder_name)) == 2
    assert not AuditEntry.objects.filter(action="export.run_canceled").exists()


def test_a_run_that_ended_stays_as_it_is(delivery: Delivery) -> None:
    run = start(delivery.export())
    carry(run)
    cancel_run(run=run, actor=delivery.admin)
    run.refresh_from_db()
    assert run.state == RunState.SUCCESSFUL
    assert not AuditEntry.objects.filter(action="export.run_canceled").exists()


def test_a_run_that_waits_for_its_next_attempt_is_canceled_and_its_files_go_with_the_next_run(
    delivery: Delivery,
) -> None:
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.cut_after = 1_000_000
    run = start(export)
    assert carry(run) == "retry"
    cancel_run(run=run, actor=delivery.admin)
    delivery.box.faults.cut_after = None
    following = start(export)
    assert carry(following) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [following.final_folder.rpartition("/")[2]]


def test_a_run_removed_with_its_export_deletes_what_it_wrote(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        cancel_run(run=run, actor=delivery.admin)
        export.delete()
        delivery.box.release()
        assert worker.result(20) == "lost"
    assert folders(delivery.at_server / export.folder_name) == []
    assert not ExportRun.objects.exists()
