"""*Stop everything* on a connection and *Usage* on its page, with exports on it."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from connections.models import Connection, State
from connections.operations.pause import pause_connection
from connections.operations.stop import stop_everything, who_used
from connections.views.stop import to_revoke
from connections_portal import audit, runs
from connections_portal.errors import Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun, ExportSchedule, ExportTask, ScheduleKind
from exports.operations.edit import Timing
from exports.operations.tick import enqueue_due
from tests.exports.test_undo import words
from tests.factories import make_connection
from tests.runs.helpers import claimed

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="UTC")
Clients = Callable[[User | None], Client]
MakeExport = Callable[..., Export]
MakeRun = Callable[..., ExportRun]


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


def page(client: Client, name: str, connection: Connection, **extra: Any) -> Any:
    return client.get(reverse(f"connections:{name}", args=[connection.uuid]), **extra)


# ---- Stop everything


def test_everything_stops_at_once_and_the_page_to_print_says_what(
    client: Client, connection: Connection, make_export: MakeExport, make_run: MakeRun
) -> None:
    queued = make_run(make_export(name="Newsletter", schedule=DAILY), RunState.QUEUED)
    running = make_run(make_export(name="Winter catalogue"), RunState.RUNNING)
    ended = make_run(make_export(name="Birthday cards"), RunState.SUCCESSFUL)
    asked = page(client, "stop", connection)
    for sentence in (
        "2 runs under way are canceled.",
        "It is used by 3 exports: all of it keeps its settings, and schedules wait.",
        "The connection is paused. Resuming it asks for a verification.",
        "Runs under way Newsletter Winter catalogue",
    ):
        assert sentence in words(asked), sentence
    connection.refresh_from_db()
    assert connection.state == State.READY
    answer = client.post(reverse("connections:stop", args=[connection.uuid]))
    assert answer.status_code == 303
    connection.refresh_from_db()
    assert (connection.state, connection.epoch, connection.version) == (State.PAUSED, 2, 2)
    for run, state in (
        (queued, RunState.CANCELED),
        (running, RunState.CANCELED),
        (ended, RunState.SUCCESSFUL),
    ):
        run.refresh_from_db()
        assert run.state == state
    assert not ExportSchedule.objects.filter(next_at__isnull=False).exists()
    assert enqueue_due(now=timezone.now() + dt.timedelta(days=3)) == 0
    entry = AuditEntry.objects.get(action="connection.stopped")
    assert (entry.details["canceled"], entry.details["runs"]) == (2, ["Newsletter", "Winter catalogue"])
    printed = words(client.get(answer["Location"]))
    for said in (
        "Lock the account portal on the server of sftp://files.example.com",
        "Change the password of portal there",
        "Look through the folder in and delete",
        "Runs canceled 2 Newsletter, Winter catalogue",
        "3 exports Birthday cards Newsletter Winter catalogue",
        "By Lena Hofmann",
    ):
        assert said in printed, said
    assert "authorized keys" not in printed
    assert "Show what to take back at the service" in words(page(client, "detail", connection))


def test_pressed_twice_it_leads_to_what_was_done(
    client: Client, connection: Connection, make_export: MakeExport, make_run: MakeRun, admin: User
) -> None:
    export = make_export()
    make_run(export, RunState.RUNNING)
    url = reverse("connections:stop", args=[connection.uuid])
    assert client.post(url).status_code == client.post(url, headers={"HX-Request": "true"}).status_code + 99
    connection.refresh_from_db()
    assert connection.epoch == 2
    assert AuditEntry.objects.filter(action="connection.stopped").count() == 1
    # what begins on a paused connection all the same is stopped anew
    make_run(export, RunState.QUEUED)
    stop_everything(connection=connection, actor=admin)
    connection.refresh_from_db()
    assert connection.epoch == 3
    assert AuditEntry.objects.filter(action="connection.stopped").count() == 2


def test_it_stops_a_connection_that_was_changed_meanwhile_or_is_paused(
    connection: Connection, make_export: MakeExport, make_run: MakeRun, admin: User
) -> None:
    export = make_export()
    pause_connection(connection=connection, version=connection.version, actor=admin)
    run = make_run(export, RunState.QUEUED)
    stop_everything(connection=connection, actor=admin)  # as an older page knows it
    run.refresh_from_db()
    assert run.state == RunState.CANCELED


def test_a_run_that_is_finishing_does_not_hold_up_the_rest(
    client: Client, connection: Connection, make_export: MakeExport, make_run: MakeRun
) -> None:
    other = make_run(make_export(name="Other", schedule=DAILY), RunState.RUNNING)
    last = make_run(make_export(name="Last steps"), RunState.PUBLISHING)
    asked = words(page(client, "stop", connection))
    assert "1 run under way is canceled. 1 run is just finishing: it cannot be called back" in asked
    url = reverse("connections:stop", args=[connection.uuid])
    answer = client.post(url)
    assert answer.status_code == 303
    connection.refresh_from_db()
    other.refresh_from_db()
    last.refresh_from_db()
    # the run that finishes needs the epoch it began with (rule S4); nothing else goes on or begins
    assert (connection.state, connection.epoch) == (State.PAUSED, 1)
    assert (other.state, last.state) == (RunState.CANCELED, RunState.PUBLISHING)
    assert not ExportSchedule.objects.filter(next_at__isnull=False).exists()
    entry = AuditEntry.objects.get(action="connection.stopped")
    assert (entry.details["runs"], entry.details["finishing"]) == (["Other"], ["Last steps"])
    printed = words(client.get(answer["Location"]))
    assert "Stopped, but for what is just finishing" in printed
    assert "Just finishing, and not to be called back: Last steps It ends by itself" in printed
    assert "Runs canceled 1 Other Not canceled Last steps" in printed
    # pressed again it leads to the same page; and it tells when the run has ended
    assert client.post(url)["Location"] == answer["Location"]
    assert AuditEntry.objects.filter(action="connection.stopped").count() == 1
    ExportRun.objects.filter(pk=last.pk).update(state=RunState.SUCCESSFUL, lease_token=None)
    assert "Last steps It has ended since" in words(client.get(answer["Location"]))


def test_a_run_that_is_finishing_ends_although_everything_is_stopped(
    connection: Connection, make_export: MakeExport, make_run: MakeRun, admin: User
) -> None:
    lease = claimed(make_run(make_export(), RunState.QUEUED))
    assert lease.update(RunState.RUNNING, state=RunState.PUBLISHING)
    stop_everything(connection=connection, actor=admin)
    lease.beat()
    assert runs.finish(lease, RunState.PUBLISHING, state=RunState.SUCCESSFUL)


def test_a_worker_that_hangs_finds_its_run_gone(
    connection: Connection, make_export: MakeExport, make_run: MakeRun, admin: User
) -> None:
    run = make_run(make_export(), RunState.QUEUED)
    lease = claimed(run)
    stop_everything(connection=connection, actor=admin)
    with pytest.raises(runs.LeaseLost):
        lease.write(RunState.RUNNING, sent=5)
    assert not lease.update(RunState.RUNNING, state=RunState.PUBLISHING)
    run.refresh_from_db()
    assert (run.state, run.sent) == (RunState.CANCELED, 0)


def test_a_removed_connection_is_said_and_what_never_stopped_has_no_page(
    client: Client, connection: Connection, admin: User
) -> None:
    assert page(client, "stopped", connection).status_code == 404
    kept = Connection.objects.get()
    connection.delete()
    with pytest.raises(Stale):
        stop_everything(connection=kept, actor=admin)


def test_contributors_cannot_stop_even_what_is_shared_with_them(
    connection: Connection, contributor: User, client_of: Clients
) -> None:
    with pytest.raises(Stale):
        stop_everything(connection=connection, actor=contributor)
    assert client_of(contributor).post(reverse("connections:stop", args=[connection.uuid])).status_code == 403
    connection.refresh_from_db()
    assert connection.state == State.READY


def test_what_to_take_back_depends_on_how_it_signs_in(connection: Connection, admin: User) -> None:
    connection.settings |= {"auth_method": "key", "export_folder": ""}
    told = " ".join(to_revoke(connection))
    assert "authorized keys" in told
    assert "password" not in told
    assert "folder" not in told
    connection.type_key = "gone"
    assert to_revoke(connection) == []


def test_who_used_it_comes_from_the_audit(connection: Connection, admin: User, contributor: User) -> None:
    for person, purpose in ((contributor, "run"), (contributor, "run"), (admin, "verify"), (None, "tidy")):
        audit.record("secret.used", actor=person, target=connection, purpose=purpose)
    audit.record("secret.used", actor=admin, target=make_connection(actor=admin, name="Other"), purpose="run")
    told = who_used(connection, timezone.now())
    assert [(entry["person"], entry["runs"], entry["others"]) for entry in told] == [
        ("Ana Weber", 2, 0),
        ("Lena Hofmann", 0, 1),
        ("system", 0, 1),
    ]
    assert who_used(connection, timezone.now() + dt.timedelta(days=31)) == []


@pytest.mark.django_db(transaction=True)
def test_two_stops_and_a_new_run_at_the_same_moment(
    connection: Connection, make_export: MakeExport, make_run: MakeRun, admin: User
) -> None:
    make_run(make_export(), RunState.RUNNING)
    begin, failed = threading.Barrier(2), []

    def press() -> None:
        try:
            begin.wait(10)
            stop_everything(connection=connection, actor=admin)
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            database.close()

    pressing = [threading.Thread(target=press) for _ in range(2)]
    for thread in pressing:
        thread.start()
    for thread in pressing:
        thread.join(30)
    assert not failed
    assert Connection.objects.get().epoch == 2
    assert AuditEntry.objects.filter(action="connection.stopped").count() == 1
    assert not ExportRun.objects.filter(state=RunState.RUNNING).exists()


@pytest.mark.django_db(transaction=True)
def test_stopping_or_publishing_whichever_is_first(
    connection: Connection, make_export: MakeExport, make_run: MakeRun, admin: User
) -> None:
    """Never both: a run that has begun to publish is not canceled, and a canceled one does not publish."""
    for number in range(6):
        run = make_run(make_export(name=f"Export {number}"), RunState.QUEUED)
        lease = claimed(run)
        begin = threading.Barrier(2)
        told: list[bool] = []

        def publish(lease: Any = lease, begin: Any = begin, told: Any = told) -> None:
            try:
                begin.wait(10)
                told.append(lease.update(RunState.RUNNING, state=RunState.PUBLISHING))
            finally:
                database.close()

        thread = threading.Thread(target=publish)
        thread.start()
        begin.wait(10)
        entry = stop_everything(connection=connection, actor=admin)
        stopped = entry.details["canceled"] == 1
        assert stopped != bool(entry.details["finishing"])
        thread.join(30)
        run.refresh_from_db()
        assert told == [not stopped]
        assert run.state == (RunState.CANCELED if stopped else RunState.PUBLISHING)
        ExportRun.objects.update(state=RunState.CANCELED, lease_token=None)
        Connection.objects.update(state=State.READY)


# ---- Usage


def test_usage_in_business_terms(
    client: Client, connection: Connection, make_export: MakeExport, make_run: MakeRun
) -> None:
    export = make_export(name="Newsletter", schedule=DAILY)
    assert "People Not known before each has run once" in words(page(client, "detail", connection))
    run = make_run(export, RunState.SUCCESSFUL, read=4, sent=3, left_out=1, selected=4)
    ExportTask.objects.filter(run=run).update(selected=4)
    old = make_run(export, RunState.SUCCESSFUL, read=90, sent=90, selected=9)
    ExportRun.objects.filter(pk=old.pk).update(
        finished_at=timezone.now() - dt.timedelta(days=31), queued_at=timezone.now() - dt.timedelta(days=31)
    )
    told = words(page(client, "detail", connection))
    for said in (
        "Used by 1 export Newsletter Every day at 06:00",
        "People 4",
        "Rows in 30 days 3 in 1 run",
        "Who can use it 2 people Administrators, Ana Weber",
    ):
        assert said in told, (said, told)


def test_the_page_asks_as_often_for_many_exports_as_for_one(
    client: Client, connection: Connection, make_export: MakeExport, make_run: MakeRun
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(database) as asked:
            assert page(client, "detail", connection).status_code == 200
        return len(asked)

    make_run(make_export(name="First", schedule=DAILY), RunState.SUCCESSFUL)
    page(client, "detail", connection)
    few = queries()
    for number in range(12):
        make_run(make_export(name=f"More {number}", schedule=DAILY), RunState.SUCCESSFUL)
    assert queries() == few
    assert "8 more" in words(page(client, "detail", connection))
