"""S26: lease times come from the database's clock; a worker's own deadline counts suspended time."""

import datetime as dt
import time

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections_portal import runs
from connections_portal.models import RunState
from connections_portal.ticking import tick
from exports.models import ExportRun
from exports.operations.run import cancel_run
from tests.runs.helpers import Delivery, carry, claimed, lose_worker, start

pytestmark = pytest.mark.both_databases


def seconds_left(run: ExportRun) -> float:
    """By the database's clock."""
    left = ExportRun.objects.annotate(now=Now()).get(pk=run.pk)
    assert left.lease_until is not None
    return float((left.lease_until - left.now).total_seconds())


def test_the_lease_is_counted_by_the_database(
    delivery: Delivery, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUN_LEASE_SECONDS = 60
    run = start(delivery.export())
    wrong = timezone.now() + dt.timedelta(hours=5)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    lease = claimed(run)
    assert 55 < seconds_left(run) <= 60
    ExportRun.objects.update(lease_until=Now())
    lease.beat()
    assert 55 < seconds_left(run) <= 60


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_tick_with_a_wrong_clock_takes_no_lease(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    run = start(delivery.export())
    lease = claimed(run)
    wrong = timezone.now() + dt.timedelta(hours=hours)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    assert tick(now=wrong)["leases"] == 0
    monkeypatch.undo()
    lease.write(RunState.RUNNING, read=0)
    # and one that is really over is taken whatever the clock of the machine says
    lose_worker(run)
    monkeypatch.setattr(timezone, "now", lambda: wrong)
    assert tick()["leases"] == 1


def test_a_worker_that_came_back_keeps_its_run(delivery: Delivery) -> None:
    """Between the clock's look and its write the heartbeat may arrive."""
    run = start(delivery.export())
    lease = claimed(run)
    lose_worker(run)
    [(_late, of_the_clock)] = runs.expired(ExportRun)
    lease.beat()
    assert not runs.requeue(of_the_clock, delay=0)
    lease.write(RunState.RUNNING, read=0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the machine was suspended, to be set by the test."""
    suspended = [0.0]
    real = time.clock_gettime

    def boottime(number: int) -> float:
        return real(number) + (suspended[0] if number == time.CLOCK_BOOTTIME else 0)

    monkeypatch.setattr(time, "clock_gettime", boottime)
    return suspended


def test_a_worker_that_slept_past_its_lease_writes_nothing(
    delivery: Delivery, settings: Settings, clock: list[float]
) -> None:
    settings.RUN_LEASE_SECONDS = 60
    run = start(delivery.export())
    lease = claimed(run)
    clock[0] = 59
    lease.write(RunState.RUNNING, read=0)
    clock[0] = 61
    with pytest.raises(runs.LeaseLost):
        lease.write(RunState.RUNNING, read=0)
    clock[0] = 0  # nothing gives it back
    with pytest.raises(runs.LeaseLost):
        lease.check()


def test_a_heartbeat_moves_the_deadline(delivery: Delivery, settings: Settings, clock: list[float]) -> None:
    settings.RUN_LEASE_SECONDS = 60
    lease = claimed(start(delivery.export()))
    clock[0] = 50
    lease.beat()
    clock[0] = 100
    lease.check()
    clock[0] = 111
    with pytest.raises(runs.LeaseLost):
        lease.check()


def test_a_late_heartbeat_does_not_undo_what_was_given_back(delivery: Delivery, settings: Settings) -> None:
    """The heartbeat goes on for a moment after the worker has said when the run is to be taken up again."""
    settings.RUN_LEASE_SECONDS = 60
    run = start(delivery.export())
    lease = claimed(run)
    ExportRun.objects.update(state=RunState.PUBLISHING)
    runs.publish_later(lease, delay=300)
    lease.beat()
    assert 290 < seconds_left(run) <= 300
    assert lease.is_lost()
    # the same where an attempt is repeated
    ExportRun.objects.update(state=RunState.QUEUED, lease_token=None, lease_until=None)
    lease = claimed(run)
    assert runs.requeue(lease, delay=300)
    lease.beat()
    run.refresh_from_db()
    assert (run.state, run.lease_until) == (RunState.QUEUED, None)


def test_a_token_is_good_for_one_hold(delivery: Delivery) -> None:
    """Whoever held the run before changes nothing after somebody else took it up."""
    run = start(delivery.export())
    first = claimed(run)
    lose_worker(run)
    tick()
    second = claimed(run)
    assert first.token != second.token
    with pytest.raises(runs.LeaseLost):
        first.write(RunState.RUNNING, read=7)
    assert not runs.requeue(first, delay=0)
    assert not runs.finish(first, RunState.RUNNING, state=RunState.FAILED)
    second.write(RunState.RUNNING, read=0)
    cancel_run(run=run, actor=delivery.admin)
    with pytest.raises(runs.LeaseLost):
        second.write(RunState.RUNNING, read=0)
    DBTaskResult.objects.all().delete()
    assert carry(run) == "not due"
