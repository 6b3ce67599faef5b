"""*Detach connection* and *Add connection* of an export."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from connections.operations.attention import mark_needs_attention
from connections_portal.errors import FinishingRun, NotAllowed, OperationError
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import attach_connection, detach_connection
from exports.operations.edit import Timing
from tests.exports.conftest import ORDERS

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="UTC")
Clients = Callable[[User | None], Client]


@pytest.fixture
def scheduled(make_export: Callable[..., Export]) -> Export:
    """An export that runs every day."""
    return make_export(schedule=DAILY, items=[ORDERS], options={"delimiter": "tab"}, now=NOON)


def test_detaching_keeps_everything_but_the_connection(scheduled: Export, contributor: User) -> None:
    detach_connection(export=scheduled, actor=contributor)
    export = Export.objects.get()
    assert export.connection is None
    assert (export.type_key, export.options["delimiter"], export.version) == ("sftp", "tab", 2)
    assert [item.source for item in export.items.all()] == ["orders"]
    assert (export.schedule.kind, export.schedule.next_at) == (ScheduleKind.DAY, None)
    assert AuditEntry.objects.get(action="export.detached").details["connection"] == "Newsletter, SFTP EU"
    with pytest.raises(OperationError):
        detach_connection(export=export, actor=contributor)


def test_detaching_cancels_the_run_under_way_but_not_one_that_is_finishing(
    scheduled: Export, contributor: User, make_run: Callable[..., ExportRun]
) -> None:
    run = make_run(scheduled, RunState.PUBLISHING)
    with pytest.raises(FinishingRun):
        detach_connection(export=scheduled, actor=contributor)
    assert Export.objects.get().connection is not None
    ExportRun.objects.update(state=RunState.SUCCESSFUL, lease_token=None)
    run = make_run(scheduled, RunState.RUNNING)
    detach_connection(export=scheduled, actor=contributor)
    run.refresh_from_db()
    assert run.state == RunState.CANCELED


def test_adding_a_connection_lets_the_schedule_apply_again_without_catch_up(
    scheduled: Export, connection: Connection, contributor: User, admin: User
) -> None:
    detach_connection(export=scheduled, actor=admin)
    later = NOON + dt.timedelta(days=30)
    attach_connection(export=Export.objects.get(), connection=connection, actor=contributor, now=later)
    export = Export.objects.get()
    assert export.connection == connection
    assert export.responsible == contributor
    assert export.schedule.next_at == dt.datetime(2026, 12, 24, 6, 0, tzinfo=dt.UTC)
    assert not export.runs.exists()
    assert AuditEntry.objects.filter(action="export.attached").count() == 1
    with pytest.raises(OperationError):
        attach_connection(export=export, connection=connection, actor=contributor)


def test_only_a_ready_connection_of_its_type_that_one_may_use_can_be_added(
    scheduled: Export, connection: Connection, hidden: Connection, contributor: User, admin: User
) -> None:
    detach_connection(export=scheduled, actor=contributor)
    with pytest.raises(OperationError) as refusal:
        attach_connection(export=scheduled, connection=hidden, actor=contributor)
    assert "connection" in refusal.value.fields
    mark_needs_attention(connection_id=connection.pk, cause="Refused", code="sign_in_refused")
    with pytest.raises(OperationError):
        attach_connection(export=scheduled, connection=connection, actor=contributor)
    Export.objects.update(type_key="another")
    with pytest.raises(OperationError):
        attach_connection(export=scheduled, connection=hidden, actor=admin)
    assert Export.objects.get().connection is None


def test_people_without_the_right_neither_detach_nor_add(
    scheduled: Export, connection: Connection, outsider: User, viewer: User, admin: User
) -> None:
    for person in (outsider, viewer):
        with pytest.raises(NotAllowed):
            detach_connection(export=scheduled, actor=person)
    detach_connection(export=scheduled, actor=admin)
    for person in (outsider, viewer):
        with pytest.raises(NotAllowed):
            attach_connection(export=scheduled, connection=connection, actor=person)


def test_the_pages_ask_first_and_then_do_it(
    scheduled: Export, connection: Connection, contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    url = reverse("exports:detach", args=[scheduled.uuid])
    page = client.get(url).content.decode()
    assert "<html" in page
    assert "does not run until it gets another connection" in page
    assert Export.objects.get().connection is not None
    assert client.post(url).status_code == 303
    assert Export.objects.get().connection is None

    url = reverse("exports:attach", args=[scheduled.uuid])
    fragment = client.get(url, HTTP_HX_REQUEST="true").content.decode()
    assert "<html" not in fragment
    assert str(connection.uuid) in fragment
    assert "Every day at 06:00" in fragment
    refused = client.post(url, {"connection": ""}, HTTP_HX_REQUEST="true")
    assert refused.status_code == 422
    assert "Choose a connection." in refused.content.decode()
    done = client.post(url, {"connection": str(connection.uuid)}, HTTP_HX_REQUEST="true")
    assert done.status_code == 204
    assert done["HX-Redirect"] == reverse("exports:detail", args=[scheduled.uuid])
    assert Export.objects.get().connection == connection
    again = client.get(url).content.decode()
    assert "has a connection already" in again


def test_an_unshared_connection_is_neither_offered_nor_taken(
    scheduled: Export, hidden: Connection, contributor: User, client_of: Clients
) -> None:
    detach_connection(export=scheduled, actor=contributor)
    client = client_of(contributor)
    url = reverse("exports:attach", args=[scheduled.uuid])
    assert str(hidden.uuid) not in client.get(url).content.decode()
    answers = {
        wanted: client.post(url, {"connection": wanted})
        for wanted in (str(hidden.uuid), "00000000-0000-0000-0000-000000000000", "../x")
    }
    for answer in answers.values():
        assert answer.status_code == 422
        assert "Choose a connection from the list." in answer.content.decode()
    assert Export.objects.get().connection is None


def test_a_run_that_is_finishing_is_said_in_the_dialog(
    scheduled: Export, contributor: User, client_of: Clients, make_run: Callable[..., ExportRun]
) -> None:
    make_run(scheduled, RunState.PUBLISHING)
    answer = client_of(contributor).post(reverse("exports:detach", args=[scheduled.uuid]))
    assert answer.status_code == 409
    assert "just finishing" in answer.content.decode()


def test_who_may_not_change_it_gets_403_and_the_refusal_is_recorded(
    scheduled: Export, outsider: User, viewer: User, client_of: Clients
) -> None:
    for name in ("detach", "attach", "remove"):
        url = reverse(f"exports:{name}", args=[scheduled.uuid])
        for person in (outsider, viewer):
            assert client_of(person).get(url).status_code == 403
            assert client_of(person).post(url).status_code == 403
    assert Export.objects.get().connection is not None
    assert AuditEntry.objects.filter(action="access.refused").count() == 12
