"""What happens when a connection is removed, or changed, at the very moment that something is built or run on it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from connections import dependents
from connections.models import Connection, State
from connections.operations.pause import pause_connection
from connections_portal.errors import OperationError
from connections_portal.models import RunState, Trigger, User
from exports.models import Export, ExportRun, ExportSchedule
from exports.operations.connection import attach_connection, detach_connection
from exports.operations.duplicate import duplicate_export
from exports.operations.edit import Timing, edit_export
from exports.operations.execute import execute_run
from exports.operations.run import CannotRun, cancel_active_runs, enqueue_run
from exports.operations.schedule import set_schedule
from tests.factories import make_connection
from tests.runs.helpers import DAILY, LOYAL, in_a_session, make_export, somebody_waits, until

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]


def removed_meanwhile(connection: Connection, work: Callable[[], Any]) -> Any:
    """What comes of ``work`` that begins while the connection's removal is not committed yet."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Connection.objects.select_for_update().get(pk=connection.pk).delete()
            future = pool.submit(in_a_session, work)
            until(somebody_waits)
        return future.result(30)


def test_a_connection_that_is_just_removed_is_not_attached(admin: User) -> None:
    export = make_export(make_connection(actor=admin, name="First"), actor=admin)
    Export.objects.update(connection=None)
    export.refresh_from_db()
    going = make_connection(actor=admin, name="Going")
    with pytest.raises(OperationError) as refused:
        removed_meanwhile(going, lambda: attach_connection(export=export, connection=going, actor=admin))
    assert set(refused.value.fields) == {"connection"}
    export.refresh_from_db()
    assert (export.connection, export.version) == (None, 1)


def test_nor_is_an_export_built_on_it(admin: User) -> None:
    going = make_connection(actor=admin, name="Going")
    with pytest.raises(OperationError) as refused:
        removed_meanwhile(going, lambda: make_export(going, actor=admin))
    assert set(refused.value.fields) == {"connection"}  # and not: this name is taken
    assert not Export.objects.exists()


def test_nor_is_one_moved_to_it(admin: User) -> None:
    first = make_connection(actor=admin, name="First")
    export = make_export(first, actor=admin)
    going = make_connection(actor=admin, name="Going")

    def move() -> Export:
        return edit_export(
            export=export,
            version=export.version,
            name=export.name,
            connection=going,
            options=export.options,
            items=[LOYAL],
            schedule=Timing(),
            actor=admin,
        )

    with pytest.raises(OperationError) as refused:
        removed_meanwhile(going, move)
    assert set(refused.value.fields) == {"connection"}
    export.refresh_from_db()
    assert export.connection == first


def changing(connection: Connection, work: Callable[[], Any], change: Callable[[], Any]) -> Any:
    """What comes of ``work`` that begins while somebody holds the connection and goes on to change what is on it."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Connection.objects.select_for_update().get(pk=connection.pk)
            future = pool.submit(in_a_session, work)
            until(somebody_waits)
            change()
        return future.result(30)


def test_a_worker_and_whoever_changes_the_connection_do_not_wait_for_each_other(admin: User) -> None:
    """Both lock the connection first; the other way round one of them would be thrown out by PostgreSQL."""
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    run = enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
    outcome = changing(
        connection,
        lambda: execute_run(run_id=run.pk, worker="elsewhere"),
        lambda: cancel_active_runs(export=export, actor=admin),
    )
    assert outcome == "not due"
    run.refresh_from_db()
    assert run.state == RunState.CANCELED


def test_nor_do_whoever_starts_a_run_and_whoever_detaches_everything(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    with pytest.raises(CannotRun, match="waits for a connection"):
        changing(
            connection,
            lambda: enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON),
            lambda: Export.objects.filter(connection=connection).update(connection=None),
        )
    assert not ExportRun.objects.exists()


def test_nor_do_whoever_duplicates_an_export_and_whoever_runs_it(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    copy = changing(
        connection,
        lambda: duplicate_export(export=export, actor=admin),
        lambda: enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON),
    )
    assert copy.connection == connection
    assert ExportRun.objects.get().export == export


def test_a_schedule_that_is_set_during_a_pause_waits_for_its_end(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    changing(
        connection,
        lambda: set_schedule(export=export, schedule=DAILY, actor=admin),
        lambda: pause_connection(connection=connection, version=connection.version, actor=admin),
    )
    assert ExportSchedule.objects.get(export=export).next_at is None


def resume(connection: Connection) -> None:
    """What the end of a pause does to the connection and what is built on it."""
    connection.state = State.READY
    connection.save()
    dependents.go_on_all(connection, timezone.now())


def test_one_that_is_set_while_the_pause_ends_counts(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    connection = pause_connection(connection=connection, version=connection.version, actor=admin)
    changing(
        connection,
        lambda: set_schedule(export=export, schedule=DAILY, actor=admin),
        lambda: resume(connection),
    )
    assert ExportSchedule.objects.get(export=export).next_at is not None


def test_one_that_is_detached_while_the_pause_ends_does_not(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin, schedule=DAILY)
    connection = pause_connection(connection=connection, version=connection.version, actor=admin)
    changing(connection, lambda: detach_connection(export=export, actor=admin), lambda: resume(connection))
    assert ExportSchedule.objects.get(export=export).next_at is None


def test_an_added_connection_counts_as_it_is_now_and_not_as_it_was_read(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin, schedule=DAILY)
    detach_connection(export=export, actor=admin)
    read_before = pause_connection(connection=connection, version=connection.version, actor=admin)
    resume(Connection.objects.get(pk=connection.pk))
    attach_connection(export=export, connection=read_before, actor=admin)
    assert ExportSchedule.objects.get(export=export).next_at is not None


def test_a_run_is_started_once_however_many_press_at_once(admin: User) -> None:
    export = make_export(make_connection(actor=admin), actor=admin)
    together = threading.Barrier(4)

    def press() -> str:
        together.wait(10)
        try:
            enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
        except CannotRun as refused:
            return refused.message
        return "started"

    with ThreadPoolExecutor(4) as pool:
        said = [future.result(30) for future in [pool.submit(in_a_session, press) for _ in range(4)]]
    assert sorted(said) == ["A run of this export is under way already."] * 3 + ["started"]
    assert ExportRun.objects.count() == 1
