"""What happens without anybody asking."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection as database
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.models import ConnectionDraft
from connections_portal.models import AuditEntry, RunState, Trigger, WhoActs
from connections_portal.ticking import tick
from exports.models import Export, ExportAttempt, ExportRun, ExportSchedule, ScheduleKind, TaskState
from exports.operations.edit import Timing
from exports.operations.tick import enqueue_due
from tests.exports.test_schedules import utc
from tests.factories import make_draft
from tests.runs.helpers import Delivery, carry, claimed, lose_worker, start

pytestmark = pytest.mark.both_databases

DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6))
NAMES = (
    "schedules", "leases", "messages", "dead", "leftovers", "pruned", "refused", "results", "refreshes",
    "refresh_stages", "drafts", "removed", "vaults", "vault_lists", "letters",
)  # fmt: skip
NOTHING = dict.fromkeys(NAMES, 0)


def due_again(export: Export) -> dt.datetime | None:
    return ExportSchedule.objects.get(export=export).next_at


def waiting() -> list[int]:
    """Run ids of the messages that wait for a worker."""
    ready = DBTaskResult.objects.filter(status=TaskResultStatus.READY)
    return sorted(message.args_kwargs["args"][0] for message in ready)


# ---- schedules


def test_a_due_schedule_queues_one_run_and_moves_on(delivery: Delivery) -> None:
    export = delivery.export(schedule=DAILY, now=utc(2026, 1, 1))
    assert tick(now=utc(2026, 1, 1, 5, 59))["schedules"] == 0
    assert tick(now=utc(2026, 1, 1, 6))["schedules"] == 1
    run = ExportRun.objects.get()
    assert (run.export, run.trigger, run.started_by) == (export, Trigger.SCHEDULE, None)
    assert due_again(export) == utc(2026, 1, 2, 6)
    assert waiting() == [run.pk]
    assert tick(now=utc(2026, 1, 1, 6, 1))["schedules"] == 0
    assert carry(run) == "successful"


def test_while_a_run_is_under_way_the_time_is_only_moved_on(delivery: Delivery) -> None:
    export = delivery.export(schedule=DAILY, now=utc(2026, 1, 1))
    start(export)
    assert tick(now=utc(2026, 1, 1, 6))["schedules"] == 0
    assert ExportRun.objects.count() == 1
    assert due_again(export) == utc(2026, 1, 2, 6)


def test_two_machines_queue_one_run(delivery: Delivery) -> None:
    delivery.export(schedule=DAILY, now=utc(2026, 1, 1))
    together = threading.Barrier(2)

    def machine() -> int:
        try:
            together.wait(10)
            return enqueue_due(now=utc(2026, 1, 1, 6))
        finally:
            database.close()

    with ThreadPoolExecutor(2) as pool:
        queued = [future.result(30) for future in [pool.submit(machine), pool.submit(machine)]]
    assert sorted(queued) == [0, 1]
    assert ExportRun.objects.count() == 1


def test_a_machine_that_read_the_schedule_too_early_queues_nothing(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the same due time; the one that writes second finds it moved."""
    from exports import schedules
    from exports.operations import tick as module

    export = delivery.export(schedule=DAILY, now=utc(2026, 1, 1))
    now = utc(2026, 1, 1, 6)

    def other_machine_first(schedule: ExportSchedule, after: dt.datetime) -> dt.datetime | None:
        monkeypatch.setattr(module, "next_run_at", schedules.next_run_at)
        assert module.enqueue_due(now=now) == 1
        ExportRun.objects.update(state=RunState.SUCCESSFUL)  # so that the time alone decides
        return schedules.next_run_at(schedule, after)

    monkeypatch.setattr(module, "next_run_at", other_machine_first)
    assert module.enqueue_due(now=now) == 0
    assert ExportRun.objects.filter(export=export).count() == 1


def test_one_schedule_that_cannot_be_read_stops_no_other(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    broken = delivery.export(name="Broken", schedule=DAILY, now=utc(2026, 1, 1))
    ExportSchedule.objects.filter(export=broken).update(zone="Nowhere/At_All")
    sound = delivery.export(name="Sound", schedule=DAILY, now=utc(2026, 1, 1))
    assert tick(now=utc(2026, 1, 1, 6))["schedules"] == 1
    assert ExportRun.objects.get().export == sound
    assert f"export {broken.pk} cannot be read" in caplog.text


# ---- workers and messages


def test_the_run_of_a_lost_worker_gets_its_next_attempt(delivery: Delivery) -> None:
    run = start(delivery.export())
    claimed(run)
    run.tasks.update(state=TaskState.RUNNING)
    ExportAttempt.objects.create(run=run, number=1, started_at=timezone.now())
    DBTaskResult.objects.all().delete()
    assert tick() == NOTHING
    lose_worker(run)
    assert tick()["leases"] == 1
    run.refresh_from_db()
    assert (run.state, run.code, run.attempt, run.lease_token) == (RunState.QUEUED, "worker_lost", 1, None)
    attempt = run.attempts.get()
    assert (attempt.outcome, attempt.code) == (ExportAttempt.Outcome.LOST, "worker_lost")
    assert run.tasks.get().state == TaskState.WAITING
    assert waiting() == [run.pk]
    assert carry(run) == "successful"
    assert run.attempt == 2


def test_a_run_that_has_lost_all_its_workers_fails(delivery: Delivery) -> None:
    run = start(delivery.export())
    claimed(run)
    ExportRun.objects.update(attempt=run.max_attempts)
    run.tasks.update(state=TaskState.RUNNING)
    lose_worker(run)
    assert tick()["leases"] == 1
    run.refresh_from_db()
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, "worker_lost", WhoActs.OPERATOR)
    assert run.tasks.get().state == TaskState.FAILED
    ended = AuditEntry.objects.get(action="export.run_finished")
    assert (ended.details["state"], ended.details["code"]) == ("failed", "worker_lost")


def test_a_run_left_publishing_is_woken_once(delivery: Delivery) -> None:
    run = start(delivery.export())
    claimed(run)
    ExportRun.objects.update(state=RunState.PUBLISHING)
    DBTaskResult.objects.all().delete()
    assert tick()["leases"] == 0
    lose_worker(run)
    assert tick()["leases"] == 1
    assert waiting() == [run.pk]
    assert tick()["leases"] == 0
    assert waiting() == [run.pk]


def test_a_lost_message_is_renewed(delivery: Delivery) -> None:
    run = start(delivery.export())
    DBTaskResult.objects.all().delete()
    assert tick()["messages"] == 0  # it may be on its way
    ExportRun.objects.update(not_before=timezone.now() - dt.timedelta(seconds=11))
    assert tick()["messages"] == 1
    assert waiting() == [run.pk]
    assert tick()["messages"] == 0


def test_a_run_that_is_not_due_needs_no_message(delivery: Delivery) -> None:
    start(delivery.export())
    DBTaskResult.objects.all().delete()
    ExportRun.objects.update(not_before=timezone.now() + dt.timedelta(minutes=1))
    assert tick()["messages"] == 0


def test_the_message_of_a_killed_worker_is_closed(delivery: Delivery) -> None:
    run = start(delivery.export())
    claimed(run)
    DBTaskResult.objects.update(
        status=TaskResultStatus.RUNNING, started_at=timezone.now() - dt.timedelta(minutes=5)
    )
    assert tick()["dead"] == 0  # somebody holds the run
    lose_worker(run)
    assert tick()["dead"] == 1
    states = DBTaskResult.objects.order_by("enqueued_at").values_list("status", flat=True)
    assert list(states) == [TaskResultStatus.FAILED, TaskResultStatus.READY]


# ---- pruning


def test_old_drafts_and_old_messages_go(delivery: Delivery) -> None:
    draft = make_draft(actor=delivery.admin)
    run = start(delivery.export())
    now = timezone.now()
    DBTaskResult.objects.update(status=TaskResultStatus.SUCCESSFUL, finished_at=now - dt.timedelta(hours=23))
    counts = tick()
    assert (counts["drafts"], counts["pruned"]) == (0, 0)
    DBTaskResult.objects.update(finished_at=now - dt.timedelta(hours=25))
    counts = tick(now=draft.expires_at + dt.timedelta(seconds=1))
    assert (counts["drafts"], counts["pruned"]) == (1, 1)
    assert not ConnectionDraft.objects.exists()
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


# ---- the command


def test_the_command_does_everything_once_and_tells(delivery: Delivery, settings: Settings) -> None:
    delivery.export(schedule=DAILY, now=utc(2026, 1, 1))
    output = StringIO()
    call_command("tick", "--once", stdout=output)
    expected = NOTHING | {"schedules": 1}
    assert output.getvalue().splitlines() == [f"{name}: {number}" for name, number in expected.items()]
