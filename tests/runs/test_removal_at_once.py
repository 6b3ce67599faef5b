"""What happens at the very moment that a connection is removed together with what uses it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from connections.models import Connection, RemovedConnection
from connections.operations import attempts, carrying
from connections.operations.connector import open_connector
from connections.operations.remove import (
    Decision,
    Decisions,
    impact_of,
    remove_connection,
)
from connections.operations.restore import restore_connection
from connections_portal import runs
from connections_portal.errors import OperationError, Stale
from connections_portal.models import RunState, Trigger, User
from connections_portal.runs import Lease, LeaseLost
from enrichments.models import EnrichmentRun
from enrichments.operations.execute import execute_run as execute_enrichment
from enrichments.operations.state import NeedsConnection, activate, deactivate
from exports.models import Export, ExportAttempt, ExportRun
from exports.operations.connection import attach_connection
from exports.operations.execute import execute_run
from exports.operations.rename import rename_export
from exports.operations.run import CannotRun, enqueue_run
from tests.enrichments.bringing import Bringing, bringing
from tests.enrichments.bringing import claimed as claimed_enrichment
from tests.factories import make_connection
from tests.runs.helpers import (
    Delivery,
    claimed,
    customer_data,
    delivery,
    in_a_session,
    make_export,
    somebody_waits,
    start,
    until,
)

__all__ = ["bringing", "customer_data", "delivery"]

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]

ALL = {
    "exports": Decisions(rest=Decision("detach")),
    "enrichments": Decisions(rest=Decision("deactivate")),
}


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


def taken_up(connection: Connection, run: Any) -> Lease:
    """As a worker takes a run up: its connection is locked first."""
    Connection.objects.select_for_update().get(pk=connection.pk)
    return claimed(run) if isinstance(run, ExportRun) else claimed_enrichment(run)


@pytest.mark.parametrize("choice", ["detach", "remove"])
def test_a_run_that_a_worker_has_just_taken_up_is_lost_to_it(admin: User, choice: str) -> None:
    connection = make_connection(actor=admin)
    run = enqueue_run(export=make_export(connection, actor=admin), actor=admin, trigger=Trigger.PERSON)
    shown, leases = impact_of(connection), []
    before_it_is_committed(
        lambda: leases.append(taken_up(connection, run)),
        lambda: remove_connection(
            connection=connection,
            impact=shown,
            choices={"exports": Decisions(rest=Decision(choice))},
            actor=admin,
        ),
    )
    with pytest.raises(LeaseLost):
        attempts.begin(run, leases[0])
    assert not ExportAttempt.objects.exists()
    states = list(ExportRun.objects.values_list("state", flat=True))
    assert states == ([RunState.CANCELED] if choice == "detach" else [])


GO = {"exports": Decisions(rest=Decision("remove")), "enrichments": Decisions(rest=Decision("delete"))}
MOMENTS = pytest.mark.parametrize("moment", ["claim", "begin"])


def removed_after(moment: str, connection: Connection, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connection go with all that uses it once a worker took a run up, or before it read anything of it."""
    shown, where = impact_of(connection), {"claim": runs, "begin": attempts}[moment]
    step = getattr(where, moment)

    def and_then_removed(*arguments: Any, **more: Any) -> Any:
        result = step(*arguments, **more)
        remove_connection(connection=connection, impact=shown, choices=GO, actor=admin)
        return result

    monkeypatch.setattr(where, moment, and_then_removed)


@MOMENTS
def test_a_run_that_goes_with_its_export_is_lost_and_no_fault(
    delivery: Delivery, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run = start(delivery.export())
    removed_after(moment, delivery.connection, delivery.admin, monkeypatch)
    assert execute_run(run_id=run.pk, worker="elsewhere") == "lost"
    assert not caplog.records
    assert not ExportRun.objects.exists()


@MOMENTS
def test_a_run_that_goes_with_its_enrichment_is_lost_and_no_fault(
    bringing: Bringing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run = bringing.start(bringing.enrichment())
    removed_after(moment, bringing.connection, bringing.admin, monkeypatch)
    assert execute_enrichment(run_id=run.pk, worker="elsewhere") == "lost"
    assert not caplog.records
    assert not EnrichmentRun.objects.exists()


def test_a_worker_that_loses_its_export_while_the_line_fails(
    customer_data: Path, admin: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = make_connection(actor=admin)  # to a host that nothing here may call
    run = start(make_export(connection, actor=admin))
    shown = impact_of(connection)

    @contextmanager
    def and_then_removed(*arguments: Any, **more: Any) -> Iterator[Any]:
        with open_connector(*arguments, **more) as connector:
            try:
                yield connector
            finally:
                remove_connection(connection=connection, impact=shown, choices=GO, actor=admin)

    monkeypatch.setattr(carrying, "open_connector", and_then_removed)
    assert execute_run(run_id=run.pk, worker="elsewhere") == "lost"
    assert not caplog.records


def test_a_worker_that_takes_an_enrichment_up_finds_it_canceled(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    outcome = before_it_is_committed(
        remover(bringing.connection, bringing.admin),
        lambda: execute_enrichment(run_id=run.pk, worker="other"),
    )
    assert outcome == "not due"
    run.refresh_from_db()
    enrichment.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert (enrichment.connection, enrichment.active) == (None, False)


def test_an_enrichment_that_a_worker_has_just_taken_up_is_lost_to_it(bringing: Bringing) -> None:
    run = bringing.start(bringing.enrichment())
    remove, leases = remover(bringing.connection, bringing.admin), []
    before_it_is_committed(lambda: leases.append(taken_up(bringing.connection, run)), remove)
    with pytest.raises(LeaseLost):
        attempts.begin(run, leases[0])
    run.refresh_from_db()
    assert run.state == RunState.CANCELED


def test_one_that_is_activated_at_that_moment_makes_it_stale(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    deactivate(enrichment=enrichment, actor=bringing.admin)
    remove = remover(bringing.connection, bringing.admin)
    with pytest.raises(Stale):
        before_it_is_committed(
            lambda: activate(enrichment=enrichment, connection=None, actor=bringing.admin), remove
        )
    enrichment.refresh_from_db()
    assert (enrichment.connection, enrichment.active) == (bringing.connection, True)


def test_one_that_is_activated_a_moment_later_asks_for_a_connection(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    deactivate(enrichment=enrichment, actor=bringing.admin)
    with pytest.raises(NeedsConnection):
        before_it_is_committed(
            remover(bringing.connection, bringing.admin),
            lambda: activate(enrichment=enrichment, connection=None, actor=bringing.admin),
        )
    enrichment.refresh_from_db()
    assert (enrichment.connection, enrichment.active) == (None, False)


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
