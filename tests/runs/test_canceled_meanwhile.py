"""A worker writes at the very moment that its run is canceled: the run stays canceled, and nobody waits for ever."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction

from connections.operations.pause import pause_connection
from connections_portal import runs
from connections_portal.models import AuditEntry, RunState, Trigger, User
from exports.models import ExportRun, TaskState, TemporaryFolder
from exports.operations import leftovers
from exports.operations.deliver import write_task, write_totals
from exports.operations.run import cancel_run, enqueue_run
from tests.factories import make_connection
from tests.runs.helpers import (
    Delivery,
    carried_elsewhere,
    claimed,
    in_a_session,
    make_export,
    somebody_waits,
    start,
    until,
)

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def running(admin: User) -> tuple[ExportRun, runs.Lease]:
    """A run and the lease of the worker that took it up."""
    export = make_export(make_connection(actor=admin), actor=admin)
    run = enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
    return run, claimed(run)


def meanwhile(
    work: Callable[[], Any], change: Callable[[], Any], then: Callable[[], Any] = lambda: None
) -> Any:
    """What comes of ``work`` (or its error) that begins after ``change``, which is committed only after ``then``."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change()
            future = pool.submit(in_a_session, work)
            until(lambda: future.done() or somebody_waits())
            then()
        return future.exception(30) or future.result()


def canceled_before(run: ExportRun, actor: User, work: Callable[[], Any]) -> Any:
    """What comes of the worker's ``work`` that begins while the cancellation is not committed yet."""
    outcome = meanwhile(work, lambda: cancel_run(run=run, actor=actor))
    run.refresh_from_db()
    return outcome


def test_it_is_not_queued_again(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running
    assert canceled_before(run, admin, lambda: runs.requeue(lease, delay=0)) is False
    assert (run.state, run.lease_token) == (RunState.CANCELED, None)


def test_nor_does_it_fail(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running

    def fail() -> bool:
        return runs.finish(lease, RunState.RUNNING, state=RunState.FAILED, code="line_cut")

    assert canceled_before(run, admin, fail) is False
    assert (run.state, run.code) == (RunState.CANCELED, "")


def test_the_beat_notices_it(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running
    canceled_before(run, admin, lease.beat)
    assert lease.is_lost()
    assert run.lease_until is None


def test_it_is_not_published(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running
    outcome = canceled_before(run, admin, lambda: lease.write(RunState.RUNNING, state=RunState.PUBLISHING))
    assert isinstance(outcome, runs.LeaseLost), repr(outcome)
    assert run.state == RunState.CANCELED


def test_its_counts_stay(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running
    outcome = canceled_before(run, admin, lambda: lease.write(RunState.RUNNING, read=7, sent=7))
    assert isinstance(outcome, runs.LeaseLost), repr(outcome)
    assert (run.read, run.sent) == (0, 0)


def test_none_of_its_tasks_goes_on(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running
    task = run.tasks.get()
    outcome = canceled_before(
        run, admin, lambda: write_task(lease, task, state=TaskState.RUNNING, selected=3)
    )
    assert isinstance(outcome, runs.LeaseLost), repr(outcome)
    assert run.tasks.get().state == TaskState.WAITING


def test_an_item_that_is_just_done_and_a_cancellation_do_not_wait_for_each_other(
    running: tuple[ExportRun, runs.Lease], admin: User
) -> None:
    run, lease = running
    task = run.tasks.get()
    write_task(lease, task, state=TaskState.RUNNING, selected=0)
    assert not meanwhile(
        lambda: cancel_run(run=run, actor=admin),
        lambda: write_task(lease, task, state=TaskState.DONE),
        lambda: write_totals(run, lease),
    )
    run.refresh_from_db()
    assert (run.state, run.tasks.get().state) == (RunState.CANCELED, TaskState.DONE)


def test_nor_do_a_noted_folder_and_a_pause(running: tuple[ExportRun, runs.Lease], admin: User) -> None:
    run, lease = running
    connection = run.export.connection
    assert connection is not None
    paused = meanwhile(
        lambda: pause_connection(connection=connection, version=connection.version, actor=admin),
        lambda: leftovers.note(run, lease, "x/.incoming-1-1"),
    )
    assert paused == connection, repr(paused)
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert TemporaryFolder.objects.get().path == "x/.incoming-1-1"


def test_what_failed_and_was_canceled_is_never_sent(delivery: Delivery) -> None:
    """The worker is about to queue it again when somebody cancels it."""
    export = delivery.export()
    delivery.box.faults.store_only = 1  # the attempt fails, to be tried again
    delivery.box.faults.hold_after = 0
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        with transaction.atomic():
            cancel_run(run=run, actor=delivery.admin)
            delivery.box.release()
            until(somebody_waits)
        assert worker.result(20) == "lost"
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert AuditEntry.objects.filter(action="export.run_canceled").count() == 1
