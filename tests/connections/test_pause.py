"""*Pause*, *Resume*, *Withdraw agreement* and *Save as not verified*."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from connections.models import Connection, Consent, State
from connections_portal.models import AuditEntry, RunState, Trigger, User
from connections_portal.sandbox.server import SandboxServer
from exports.models import ExportRun, ExportSchedule, ScheduleKind
from exports.operations.edit import Timing, is_ready_for
from exports.operations.tick import enqueue_due
from tests.connections.filling import ALL_OK, Edit, SetUp, error_at, hidden, steps, text_of, verify_error
from tests.connections.test_edit import facts
from tests.connectors.servers import SandboxFactory, Server, free_port
from tests.runs.helpers import carry, connect, make_export, start

pytestmark = pytest.mark.django_db(transaction=True)
Clients = Callable[[User | None], Client]
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="Europe/Madrid")


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    """An administrator's."""
    return client_of(admin)


def confirm(client: Client, connection: Connection, action: str, *, htmx: bool = False, **more: Any) -> Any:
    """Open the question and press its button."""
    url = f"/settings/connections/{connection.uuid}/{action}/"
    headers = {"HX-Request": "true"} if htmx else {}
    version = hidden(client.get(url, headers=headers).content.decode(), "version")
    return client.post(url, {"version": version} | more, headers=headers)


def resume(client: Client, connection: Connection, *, agree: bool = False) -> Edit:
    """Verify and press *Save and resume*."""
    page = Edit(client, connection)
    page.verify()
    assert steps(page.page) == ALL_OK
    if agree:
        page.typed["agree"] = "on"
    page.press("resume")
    return page


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_pausing_cancels_and_lets_schedules_wait(
    client: Client, connection: Connection, admin: User, customer_data: object, htmx: bool
) -> None:
    export = make_export(connection, actor=admin, schedule=DAILY)
    run = start(export)
    answer = confirm(client, connection, "pause", htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    connection.refresh_from_db()
    assert (connection.state, connection.epoch, connection.version) == (State.PAUSED, 2, 2)
    assert connection.consent is not None
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert ExportSchedule.objects.get().next_at is None
    assert not is_ready_for(connection, admin)
    assert enqueue_due(now=timezone.now() + dt.timedelta(days=3)) == 0
    late = start(export)
    carry(late)
    assert (late.state, late.code) == (RunState.FAILED, "paused")
    entry = AuditEntry.objects.get(action="connection.paused")
    assert (entry.actor_id, entry.details["canceled"]) == (admin.pk, 1)


def test_resuming_asks_for_a_verification_and_catches_nothing_up(
    client: Client, connection: Connection, admin: User, customer_data: object
) -> None:
    make_export(connection, actor=admin, schedule=DAILY, now=timezone.now() - dt.timedelta(days=9))
    confirm(client, connection, "pause")
    page = Edit(client, connection)
    assert page.press("resume").status_code == 422
    assert "Verify the connection first" in verify_error(page.page)
    assert resume(client, connection).answer.status_code == 303
    connection.refresh_from_db()
    assert (connection.state, connection.epoch) == (State.READY, 2)
    due = ExportSchedule.objects.get().next_at
    assert due is not None
    assert timezone.now() < due <= timezone.now() + dt.timedelta(days=1)
    assert enqueue_due(now=timezone.now()) == 0
    assert not ExportRun.objects.filter(trigger=Trigger.CATCH_UP).exists()


def test_a_paused_connection_stays_paused_when_it_is_edited(client: Client, connection: Connection) -> None:
    confirm(client, connection, "pause")
    page = Edit(client, connection)
    page.typed["export_folder"] = "elsewhere"
    page.verify()
    page.save()
    connection.refresh_from_db()
    assert (connection.state, connection.settings["export_folder"]) == (State.PAUSED, "elsewhere")


def test_withdrawing_the_agreement_stops_everything_until_somebody_agrees_again(
    client: Client, connection: Connection, admin: User, customer_data: object
) -> None:
    export = make_export(connection, actor=admin, schedule=DAILY)
    run = start(export)
    assert confirm(client, connection, "withdraw").status_code == 303
    given, withdrawn = Consent.objects.order_by("pk")
    assert (given.action, withdrawn.action) == ("given", "withdrawn")
    assert (withdrawn.person_id, withdrawn.connection_uuid) == (admin.pk, connection.uuid)
    assert (withdrawn.wording_hash, withdrawn.target_digest) == (given.wording_hash, given.target_digest)
    connection.refresh_from_db()
    assert (connection.state, connection.consent, connection.epoch) == (State.PAUSED, None, 2)
    assert connection.secrets.exists()
    run.refresh_from_db()
    assert run.state == RunState.CANCELED

    page = resume(client, connection)
    assert page.answer.status_code == 422
    assert error_at(page.page, "agree") == "Read the text and agree to it."
    assert resume(client, connection, agree=True).answer.status_code == 303
    connection.refresh_from_db()
    assert connection.state == State.READY
    assert connection.consent == Consent.objects.order_by("pk").last()
    assert carry(start(export)) == "successful"


def test_a_second_withdrawal_is_refused(client: Client, connection: Connection) -> None:
    confirm(client, connection, "withdraw")
    answer = confirm(client, connection, "withdraw")
    assert answer.status_code == 422
    assert "Nobody has agreed" in answer.content.decode()
    assert Consent.objects.count() == 2


@pytest.mark.parametrize("action", ["pause", "withdraw"])
def test_a_question_that_is_out_of_date_is_asked_afresh(
    client: Client, connection: Connection, action: str
) -> None:
    before = facts(connection)
    Connection.objects.update(version=7)
    answer = client.post(f"/settings/connections/{connection.uuid}/{action}/", {"version": "1"})
    assert answer.status_code == 409
    assert hidden(answer.content.decode(), "version") == "7"
    assert facts(connection) == before


@pytest.mark.parametrize("action", ["pause", "withdraw"])
def test_a_run_that_is_finishing_is_waited_for(
    client: Client, connection: Connection, admin: User, customer_data: object, action: str
) -> None:
    run = start(make_export(connection, actor=admin))
    ExportRun.objects.filter(pk=run.pk).update(
        state=RunState.PUBLISHING, lease_token=connection.uuid, lease_until=timezone.now()
    )
    before = facts(connection)
    answer = confirm(client, connection, action)
    assert answer.status_code == 409
    assert "just finishing" in answer.content.decode()
    assert facts(connection) == before
    assert Consent.objects.count() == 1


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_service_that_is_down_is_saved_as_not_verified(
    client: Client,
    server: Server,
    box: SandboxServer,
    admin: User,
    htmx: bool,
    allow_outgoing: Callable[..., None],
) -> None:
    port = free_port()
    allow_outgoing(port)
    page = SetUp(client, htmx=htmx).fill(server, hostname=f"127.0.0.1:{port}")
    page.verify()
    assert steps(page.page)[1] == "bad"
    assert "Save as not verified" in text_of(page.page)
    assert page.press("save_unverified").status_code == 422
    assert error_at(page.page, "agree")
    page.agree()
    assert page.press("save_unverified").status_code == (204 if htmx else 303)
    connection = Connection.objects.get()
    assert (connection.state, connection.verified_at, connection.host_key) == (State.NOT_VERIFIED, None, "")
    assert connection.secrets.count() == 1
    assert not is_ready_for(connection, admin)
    shown = text_of(client.get(f"/settings/connections/{connection.uuid}/").content.decode())
    assert "Nothing runs on it, and nobody is offered it." in shown

    edit = Edit(client, connection, htmx=htmx)
    edit.typed |= {"hostname": f"{server.host}:{server.port}", "password": server.password}
    edit.verify()
    edit.trust()
    assert steps(edit.page) == ALL_OK
    edit.agree().save()
    connection.refresh_from_db()
    assert (connection.state, connection.epoch) == (State.READY, 2)


def test_only_silence_may_be_saved_as_not_verified(client: Client, server: Server) -> None:
    page = SetUp(client).fill(server, password="not-the-right-one")
    page.verify()
    page.trust()
    assert steps(page.page)[3] == "bad"
    assert "Save as not verified" not in text_of(page.page)
    page.agree()
    assert page.press("save_unverified").status_code == 422
    assert not Connection.objects.exists()
    page.typed["hostname"] = "127.0.0.1:9"
    page.typed["password"] = server.password
    assert page.press("save_unverified").status_code == 422
    assert not Connection.objects.exists()


def test_an_edit_is_kept_while_the_server_is_down(
    client: Client,
    admin: User,
    sandbox_server: SandboxFactory,
    allow_outgoing: Callable[[int], None],
    customer_data: object,
) -> None:
    with sandbox_server() as (server, _box):
        allow_outgoing(server.port)
        connection = connect(server, actor=admin)
    before = facts(connection)
    export = make_export(connection, actor=admin)
    page = Edit(client, connection)
    page.typed["export_folder"] = "elsewhere"
    page.verify()
    assert steps(page.page)[1] == "bad"
    assert page.press("save_unverified").status_code == 303
    connection.refresh_from_db()
    assert (connection.state, connection.settings["export_folder"]) == (State.NOT_VERIFIED, "elsewhere")
    assert (connection.target_digest, connection.consent_id) == (before[1], before[3])
    run = start(export)
    carry(run)
    assert (run.state, run.code) == (RunState.FAILED, "not_verified")


def test_what_whoever_runs_the_service_needs(
    client: Client, server: Server, allow_outgoing: Callable[..., None]
) -> None:
    port = free_port()
    allow_outgoing(port)
    page = SetUp(client).fill(server, hostname=f"127.0.0.1:{port}")
    page.verify()
    words = text_of(page.page)
    assert "Copy for the operator" in words
    copied = hidden(page.page.replace("data-copy", 'name="copy" value'), "copy")
    assert copied is not None
    assert f"Target: sftp://127.0.0.1:{port}" in copied
    assert "Step: Server reached" in copied
    assert f"Time: {timezone.now():%Y-%m-%d}" in copied
    assert server.password not in copied
    assert server.username not in copied
