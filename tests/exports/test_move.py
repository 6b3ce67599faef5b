"""*Move* what uses a connection to another one, outside any removal."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection, State
from connections.operations.move import move_dependents
from connections.operations.remove import impact_of
from connections_portal.errors import FinishingRun, OperationError, Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportSchedule, ScheduleKind
from exports.operations.edit import Timing
from tests.connections.filling import text_of
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
Make = Callable[..., Any]
HTMX = {"HX-Request": "true", "HX-Target": "dialog-body"}
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="Europe/Berlin")


@pytest.fixture
def url(connection: Connection) -> str:
    return reverse("connections:move", args=[connection.uuid])


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.fixture
def other(admin: User) -> Connection:
    return make_connection(actor=admin, name="Partner files, SFTP US")


@pytest.fixture
def three(make_export: Make) -> list[Export]:
    return [make_export(name, schedule=DAILY) for name in ("Alpha", "Beta", "Gamma")]


def sent(page: str) -> dict[str, str]:
    """What *Move* sends after the dialog has shown what will happen."""
    return dict(re.findall(r'type="hidden" name="(shown|impact)" value="([^"]*)"', page))


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_all_move_and_go_on(
    client: Client,
    url: str,
    three: list[Export],
    other: Connection,
    connection: Connection,
    admin: User,
    contributor: User,
    make_run: Make,
    headers: dict[str, str],
) -> None:
    run = make_run(three[0], RunState.RUNNING)
    due = set(ExportSchedule.objects.values_list("next_at", flat=True))
    first = client.get(url, headers=headers).content.decode()
    assert f'<option value="{other.uuid}">' in first
    page = client.get(url, {"to": str(other.uuid)}, headers=headers).content.decode()
    text = text_of(page)
    assert f"3 exports go on over {other.name}." in text
    assert f"{contributor} can no longer change them." in text
    answer = client.post(url, sent(page) | {"to": str(other.uuid)}, headers=headers)
    assert answer.status_code == (204 if headers else 303)
    assert Export.objects.filter(connection=other, version=2, responsible=admin).count() == 3
    assert Connection.objects.filter(pk=connection.pk).exists()
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert set(ExportSchedule.objects.values_list("next_at", flat=True)) == due
    moved = AuditEntry.objects.get(action="connection.dependents_moved")
    assert (moved.object_uuid, moved.details["settled"]) == (connection.uuid, {"exports": 3})
    assert AuditEntry.objects.filter(action="export.moved").count() == 3


def test_what_does_not_fit_stays_and_is_told(
    client: Client, url: str, three: list[Export], other: Connection, connection: Connection
) -> None:
    Export.objects.filter(pk=three[1].pk).update(options={"compression": "floppy"})
    page = client.get(url, {"to": str(other.uuid)}).content.decode()
    text = text_of(page)
    assert f"2 exports go on over {other.name}." in text
    assert "These stay where they are Beta Its settings do not fit any more. Edit it first." in text
    assert client.post(url, sent(page) | {"to": str(other.uuid)}).status_code == 303
    assert list(Export.objects.filter(connection=connection)) == [three[1]]
    # nothing more can move
    page = client.get(url, {"to": str(other.uuid)}).content.decode()
    assert "Nothing can move to this connection." in page
    assert client.post(url, sent(page) | {"to": str(other.uuid)}).status_code == 422


def test_nothing_moves_before_it_was_shown(
    client: Client, url: str, three: list[Export], other: Connection, admin: User
) -> None:
    """Without script the first press shows, the second one moves; another choice in between is shown again."""
    third = make_connection(actor=admin, name="Third", access=Access.CONTRIBUTORS)
    first = client.post(url, {"to": str(other.uuid)})
    assert first.status_code == 422
    changed = client.post(url, sent(first.content.decode()) | {"to": str(third.uuid)})
    assert changed.status_code == 422
    assert not Export.objects.exclude(version=1).exists()
    assert client.post(url, sent(changed.content.decode()) | {"to": str(third.uuid)}).status_code == 303
    assert Export.objects.filter(connection=third).count() == 3


@pytest.mark.parametrize("to", ["", "nowhere", "00000000-0000-0000-0000-000000000000"])
def test_nowhere_to_move(client: Client, url: str, three: list[Export], other: Connection, to: str) -> None:
    answer = client.post(url, {"to": to, "shown": to})
    assert answer.status_code == 422
    assert "Choose a connection from the list." in answer.content.decode()


def test_what_changes_meanwhile(
    client: Client, url: str, three: list[Export], other: Connection, make_export: Make
) -> None:
    values = sent(client.get(url, {"to": str(other.uuid)}).content.decode()) | {"to": str(other.uuid)}
    make_export("Late one")
    answer = client.post(url, values)
    assert answer.status_code == 409
    assert "This has changed since you opened this dialog" in answer.content.decode()
    assert client.post(url, sent(answer.content.decode()) | {"to": str(other.uuid)}).status_code == 303
    assert Export.objects.filter(connection=other).count() == 4


def test_the_other_one_is_not_usable_any_more(
    connection: Connection, three: list[Export], other: Connection, admin: User
) -> None:
    Connection.objects.filter(pk=other.pk).update(state=State.PAUSED)
    for target in (other, connection):
        with pytest.raises(OperationError) as refused:
            move_dependents(connection=connection, target=target, impact=impact_of(connection), actor=admin)
        assert set(refused.value.fields) == {"to"}
    Connection.objects.filter(pk=connection.pk).update(version=5)
    Connection.objects.filter(pk=other.pk).update(state=State.READY)
    with pytest.raises(Stale):
        move_dependents(connection=connection, target=other, impact=impact_of(connection)[::-1], actor=admin)


def test_a_run_that_is_just_finishing_has_to_wait(
    connection: Connection, three: list[Export], other: Connection, admin: User, make_run: Make
) -> None:
    make_run(three[2], RunState.PUBLISHING)
    with pytest.raises(FinishingRun):
        move_dependents(connection=connection, target=other, impact=impact_of(connection), actor=admin)
    assert Export.objects.filter(connection=connection, version=1).count() == 3


def test_the_page_of_the_connection_leads_there(
    client: Client, url: str, connection: Connection, make_export: Make
) -> None:
    detail = reverse("connections:detail", args=[connection.uuid])
    assert f'href="{url}"' in client.get(detail).content.decode()
    assert "Nothing uses it." in client.get(url).content.decode()
    make_export()
    assert "There is no other connection of this type that is ready." in client.get(url).content.decode()


@pytest.mark.parametrize("state", [State.PAUSED, State.NEEDS_ATTENTION, State.NOT_VERIFIED])
def test_the_state_of_a_connection(
    client: Client, url: str, three: list[Export], connection: Connection, other: Connection, state: State
) -> None:
    """One that runs nothing takes nothing, in no dialog; it lets everything go, and that is due again elsewhere."""
    removal = reverse("connections:remove", args=[connection.uuid])
    Connection.objects.filter(pk=other.pk).update(state=state)
    for dialog in (url, f"{removal}?see=1"):
        assert other.name not in client.get(dialog).content.decode()
    Connection.objects.filter(pk=other.pk).update(state=State.READY)
    Connection.objects.filter(pk=connection.pk).update(state=state)
    if state == State.PAUSED:
        ExportSchedule.objects.update(next_at=None)  # as a pause leaves them
    values = sent(client.get(url, {"to": str(other.uuid)}).content.decode()) | {"to": str(other.uuid)}
    assert client.post(url, values).status_code == 303
    assert Export.objects.filter(connection=other, schedule__next_at__isnull=False).count() == 3
    Export.objects.update(connection=connection)
    page = client.get(f"{removal}?see=1").content.decode()
    chosen = dict.fromkeys(re.findall(r'name="(choice-[^"]*)"', page), f"move:{other.uuid}")
    assert client.post(removal, sent(page) | chosen | {"action": "remove"}).status_code == 303
    assert Export.objects.filter(connection=other, schedule__next_at__isnull=False).count() == 3
