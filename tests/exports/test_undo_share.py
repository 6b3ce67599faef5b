"""*Undo* after a change of who can use a connection, with exports on it."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import Access, Connection
from connections.operations.share import share_connection
from connections_portal.models import AuditEntry, User
from exports.models import Export, ExportSchedule, ScheduleKind
from exports.operations.edit import Timing
from exports.operations.rename import rename_export
from exports.operations.responsible import take_over_export
from exports.operations.schedule import set_schedule
from tests.exports.test_undo import token_in, words

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

UNDO = "/settings/connections/undo/share/"
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="UTC")
Clients = Callable[[User | None], Client]
MakeExport = Callable[..., Export]


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


def share(client: Client, connection: Connection, access: Access, *people: User, **more: Any) -> Any:
    """Share as the form does, the second time with what was shown; the answer."""
    connection.refresh_from_db()
    data = {
        "version": connection.version,
        "access": access.value,
        "grantees": [f"person:{person.pk}" for person in people],
        "action": "save",
    } | more
    url = reverse("connections:share", args=[connection.uuid])
    answer = client.post(url, data)
    if answer.status_code == 422:
        found = re.search(r'name="impact" value="([^"]+)"', answer.content.decode())
        assert found
        answer = client.post(url, data | {"impact": found[1]})
    assert answer.status_code == 303, words(answer)
    return answer


def state(connection: Connection) -> tuple[object, ...]:
    connection.refresh_from_db()
    grants = sorted(connection.user_grants.values_list("user", flat=True))
    rows = Export.objects.order_by("pk").values_list("responsible", "schedule__kind", "connection")
    return connection.access, grants, list(rows)


@pytest.mark.parametrize("afterwards", ["keep", "off"])
def test_access_people_and_schedules_are_as_they_were(
    client: Client,
    connection: Connection,
    make_export: MakeExport,
    contributor: User,
    admin: User,
    afterwards: str,
) -> None:
    make_export(name="Scheduled", schedule=DAILY)
    make_export(name="By hand")
    make_export(name="Of the administrator", schedule=DAILY, actor=admin)
    before = state(connection)
    answer = share(client, connection, Access.ADMINISTRATORS, afterwards=afterwards)
    assert state(connection) != before
    shown = client.get(answer["Location"])
    assert "Undo" in words(shown)
    done = client.post(UNDO, {"token": token_in(shown)})
    assert done.status_code == 303
    assert state(connection) == before
    assert "is as it was." in words(client.get(done["Location"]))
    due = ExportSchedule.objects.exclude(kind=ScheduleKind.MANUAL).values_list("next_at", flat=True)
    assert all(at is not None and at > timezone.now() for at in due)
    entry = AuditEntry.objects.get(action="connection.share_undone")
    assert entry.details["gained"] == ["Ana Weber"]
    again = client.post(UNDO, {"token": token_in(shown)})
    assert again.status_code == 409
    assert state(connection) == before


def test_what_was_changed_since_stays(
    client: Client, connection: Connection, make_export: MakeExport, contributor: User, admin: User
) -> None:
    make_export(name="Scheduled", schedule=DAILY)
    touched = make_export(name="Touched", schedule=DAILY)
    answer = share(client, connection, Access.ADMINISTRATORS, afterwards="off")
    touched.refresh_from_db()
    rename_export(export=touched, version=touched.version, name="Renamed", actor=admin)
    done = client.post(UNDO, {"token": token_in(client.get(answer["Location"]))})
    told = words(client.get(done["Location"]))
    assert "1 item was changed since and stays as it is." in told
    kinds = dict(Export.objects.values_list("name", "schedule__kind"))
    assert kinds == {"Scheduled": "day", "Renamed": "manual"}


def test_what_was_left_alone_is_not_changed_by_undo_either(
    client: Client, connection: Connection, make_export: MakeExport, admin: User
) -> None:
    make_export(name="Scheduled", schedule=DAILY)
    by_hand = make_export(name="By hand")
    answer = share(client, connection, Access.ADMINISTRATORS, afterwards="off")
    by_hand.refresh_from_db()
    set_schedule(export=by_hand, schedule=DAILY, actor=admin)
    assert client.post(UNDO, {"token": token_in(client.get(answer["Location"]))}).status_code == 303
    by_hand.refresh_from_db()
    assert (by_hand.responsible, by_hand.schedule.kind) == (admin, ScheduleKind.DAY)


def test_nobody_loses_what_they_have_begun_since(
    client: Client, connection: Connection, make_export: MakeExport, outsider: User, contributor: User
) -> None:
    export = make_export(schedule=DAILY)
    answer = share(client, connection, Access.SPECIFIC, contributor, outsider)
    token = token_in(client.get(answer["Location"]))
    Export.objects.update(responsible=None)
    take_over_export(export=export, version=export.version, actor=outsider)
    before = state(connection)
    refused = client.post(UNDO, {"token": token})
    assert refused.status_code == 409
    assert "Share it anew to take the access away again." in words(refused)
    assert state(connection) == before


def test_not_by_another_administrator_nor_after_another_change(
    client: Client, connection: Connection, admin: User, contributor: User, outsider: User, client_of: Clients
) -> None:
    answer = share(client, connection, Access.ADMINISTRATORS)
    token = token_in(client.get(answer["Location"]))
    boss = User.objects.create_superuser("boss", password="x")
    assert client_of(boss).post(UNDO, {"token": token}).status_code == 403
    connection.refresh_from_db()
    share_connection(
        connection=connection,
        version=connection.version,
        access=Access.SPECIFIC,
        people=[outsider],
        actor=boss,
    )
    assert client.post(UNDO, {"token": token}).status_code == 409
    assert list(connection.user_grants.values_list("user", flat=True)) == [outsider.pk]
    # saved as it was: nothing to undo
    same = share(client, connection, Access.SPECIFIC, outsider)
    assert "Undo" not in words(client.get(same["Location"]))
    with pytest.raises(AssertionError):
        token_in(client.get(same["Location"]))
