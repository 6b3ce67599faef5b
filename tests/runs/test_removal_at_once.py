"""What happens at the very moment that a connection is removed together with what uses it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction

from connections.models import Connection, RemovedConnection
from connections.operations.remove import (
    Decision,
    Decisions,
    impact_of,
    remove_connection,
)
from connections.operations.restore import restore_connection
from connections_portal.errors import OperationError, Stale
from connections_portal.models import RunState, Trigger, User
from exports.models import Export, ExportRun
from exports.operations.connection import attach_connection
from exports.operations.execute import execute_run
from exports.operations.rename import rename_export
from exports.operations.run import CannotRun, enqueue_run
from tests.factories import make_connection
from tests.runs.helpers import in_a_session, make_export, somebody_waits, until

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]

ALL = {"exports": Decisions(rest=Decision("detach"))}


def before_it_is_committed(change: Callable[[], Any], work: Callable[[], Any]) -> Any:
    """What comes of ``work`` that begins while ``change`` is done and not committed yet."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change()
            future = pool.submit(in_a_session, work)
            until(somebody_waits)
        return future.result(30)


def remover(connection: Connection, admin: User) -> Callable[[], None]:
    """Removes the connection as it is shown now, detaching everything."""
    shown = impact_of(connection)
    return lambda: remove_connection(connection=connection, impact=shown, choices=ALL, actor=admin)


def test_what_is_attached_at_that_moment_makes_the_removal_stale(admin: User) -> None:
    connection = make_connection(actor=admin)
    make_export(connection, actor=admin, name="Shown")
    late = make_export(connection, actor=admin, name="Late")
    Export.objects.filter(pk=late.pk).update(connection=None)
    late.refresh_from_db()
    remove = remover(connection, admin)
    with pytest.raises(Stale):
        before_it_is_committed(
            lambda: attach_connection(export=late, connection=connection, actor=admin), remove
        )
    assert Export.objects.filter(connection=connection).count() == 2
    assert not RemovedConnection.objects.exists()


def test_what_is_attached_a_moment_later_is_refused(admin: User) -> None:
    connection = make_connection(actor=admin)
    late = make_export(connection, actor=admin, name="Late")
    Export.objects.filter(pk=late.pk).update(connection=None)
    late.refresh_from_db()
    with pytest.raises(OperationError) as refused:
        before_it_is_committed(
            remover(connection, admin),
            lambda: attach_connection(export=late, connection=connection, actor=admin),
        )
    assert set(refused.value.fields) == {"connection"}
    late.refresh_from_db()
    assert late.connection is None


def test_an_export_that_is_saved_at_that_moment_makes_it_stale(admin: User) -> None:
    """Renaming locks the export and not its connection."""
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    remove = remover(connection, admin)
    with pytest.raises(Stale):
        before_it_is_committed(
            lambda: rename_export(export=export, version=export.version, name="Another", actor=admin), remove
        )
    export.refresh_from_db()
    assert (export.name, export.connection) == ("Another", connection)


def test_a_run_that_is_started_at_that_moment_is_refused(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    with pytest.raises(CannotRun):
        before_it_is_committed(
            remover(connection, admin),
            lambda: enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON),
        )
    assert not ExportRun.objects.exists()


def test_a_worker_that_takes_a_run_up_finds_it_canceled(admin: User) -> None:
    connection = make_connection(actor=admin)
    export = make_export(connection, actor=admin)
    run = enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
    outcome = before_it_is_committed(
        remover(connection, admin), lambda: execute_run(run_id=run.pk, worker="elsewhere")
    )
    assert outcome == "not due"
    run.refresh_from_db()
    assert run.state == RunState.CANCELED


def test_two_who_remove_at_once(admin: User) -> None:
    connection = make_connection(actor=admin)
    make_export(connection, actor=admin)
    remove = remover(connection, admin)
    together = threading.Barrier(2)

    def one() -> str:
        together.wait(10)
        try:
            remove()
        except Stale:
            return "stale"
        return "removed"

    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(in_a_session, one) for _number in range(2)]
    assert sorted(outcome.result(30) for outcome in outcomes) == ["removed", "stale"]
    assert RemovedConnection.objects.count() == 1
    assert Export.objects.get().version == 2


def test_two_who_restore_at_once(admin: User) -> None:
    connection = make_connection(actor=admin)
    remover(connection, admin)()
    kept = RemovedConnection.objects.get()
    together = threading.Barrier(2)

    def one() -> str:
        together.wait(10)
        try:
            restore_connection(removed=kept, name=kept.name, actor=admin)
        except Stale:
            return "stale"
        return "restored"

    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(in_a_session, one) for _number in range(2)]
    assert sorted(outcome.result(30) for outcome in outcomes) == ["restored", "stale"]
    assert Connection.objects.get().uuid == connection.uuid
