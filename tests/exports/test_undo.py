"""*Undo* after *Detach connection*: for ten seconds, once, for whoever detached, and only what still can be undone."""

import datetime as dt
import html
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import Access, Connection
from connections.sharing import set_grants
from connections_portal import undo
from connections_portal.errors import Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import attach_connection, detach_connection, to_undo, undo_detach
from exports.operations.edit import Timing
from exports.operations.remove import remove_export
from exports.operations.rename import rename_export
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LIST = "/data/exports/"
UNDO = "/data/exports/undo/"
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{LIST}"}
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="UTC")
Clients = Callable[[User | None], Client]


@pytest.fixture
def client(contributor: User, client_of: Clients) -> Client:
    return client_of(contributor)


@pytest.fixture
def scheduled(make_export: Callable[..., Export]) -> Export:
    """An export that runs every day, and has been due since."""
    return make_export(schedule=DAILY, now=timezone.now() - dt.timedelta(days=9))


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.unescape(answer.content.decode())))


def token_in(answer: Any) -> str:
    """The token of the button *Undo* in a page or fragment."""
    found = re.search(r'name="token" value="([^"]+)"', answer.content.decode())
    assert found, answer.content.decode()
    return found[1]


def detach(client: Client, export: Export) -> str:
    """Detach as a person does without script; the token of the button on the page that follows."""
    answer = client.post(reverse("exports:detach", args=[export.uuid]))
    assert answer.status_code == 303
    page = client.get(answer["Location"])
    assert f"{export.name} has no connection any more." in words(page)
    assert f'<form class="undo" method="post" action="{UNDO}"' in page.content.decode()
    return token_in(page)


def same(export: Export) -> tuple[object, ...]:
    """All of an export that *Undo* brings back."""
    export = Export.objects.select_related("schedule").get(pk=export.pk)
    return export.connection_id, export.responsible_id, export.options, export.schedule.kind


def test_undo_brings_back_what_was_and_catches_nothing_up(
    client: Client, scheduled: Export, contributor: User, admin: User
) -> None:
    Export.objects.update(responsible=admin)
    before = same(scheduled)
    token = detach(client, scheduled)
    answer = client.post(UNDO, {"token": token})
    assert answer.status_code == 303
    assert "uses Newsletter, SFTP EU again" in words(client.get(answer["Location"]))
    assert same(scheduled) == before
    due = Export.objects.get().schedule.next_at
    assert due is not None
    assert timezone.now() < due <= timezone.now() + dt.timedelta(days=1)
    assert not ExportRun.objects.exists()
    entry = AuditEntry.objects.get(action="export.detach_undone")
    assert (entry.actor_id, entry.details["connection"]) == (contributor.pk, "Newsletter, SFTP EU")


def test_a_run_that_was_canceled_stays_canceled(
    client: Client, scheduled: Export, make_run: Callable[..., ExportRun]
) -> None:
    run = make_run(scheduled, RunState.RUNNING)
    client.post(UNDO, {"token": detach(client, scheduled)})
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert Export.objects.get().connection is not None
    assert ExportRun.objects.count() == 1


@pytest.mark.parametrize(
    "late", [undo.SECONDS + undo.GRACE_SECONDS - 1, undo.SECONDS + undo.GRACE_SECONDS + 1]
)
def test_after_ten_seconds_and_a_little_it_is_too_late(
    client: Client, scheduled: Export, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = detach(client, scheduled)
    made = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: made + late)
    answer = client.post(UNDO, {"token": token})
    if late < undo.SECONDS + undo.GRACE_SECONDS:
        assert answer.status_code == 303
        return
    assert answer.status_code == 409
    assert "It is too late to undo this. Nothing was changed." in words(answer)
    assert Export.objects.get().connection is None


def test_it_works_once(client: Client, scheduled: Export) -> None:
    token = detach(client, scheduled)
    assert client.post(UNDO, {"token": token}).status_code == 303
    again = client.post(UNDO, {"token": token})
    assert again.status_code == 409
    assert "changed since" in words(again)
    # nor after the same thing was done again
    export = Export.objects.get()
    detach_connection(export=export, actor=export.responsible)  # type: ignore[arg-type]
    assert client.post(UNDO, {"token": token}).status_code == 409
    assert Export.objects.get().connection is None


def test_nobody_else_can_use_it_nor_can_it_be_changed(
    client: Client, scheduled: Export, admin: User, viewer: User, client_of: Clients
) -> None:
    token = detach(client, scheduled)
    for person in (admin, viewer):
        assert client_of(person).post(UNDO, {"token": token}).status_code == 403
    other = undo.offer("connections.share", actor=scheduled.responsible, url=UNDO, items=[])  # type: ignore[arg-type]
    for wrong in (f"{token}x", "", "x", f"x{token}", other.token):
        assert client.post(UNDO, {"token": wrong}).status_code == 403
    assert Export.objects.get().connection is None
    assert AuditEntry.objects.filter(action="access.refused").count() == 7
    assert client.post(UNDO, {"token": token}).status_code == 303


@pytest.mark.parametrize("change", ["renamed", "attached", "removed"])
def test_not_after_another_change(
    client: Client, scheduled: Export, admin: User, connection: Connection, change: str
) -> None:
    token = detach(client, scheduled)
    export = Export.objects.get()
    other = make_connection(actor=admin, name="Another")
    if change == "renamed":
        rename_export(export=export, version=export.version, name="Other name", actor=admin)
    elif change == "attached":
        attach_connection(export=export, connection=other, actor=admin)
    else:
        remove_export(export=export, actor=admin)
    before = list(Export.objects.values())
    answer = client.post(UNDO, {"token": token}, headers=HTMX)
    assert answer.status_code == 409
    assert "removed meanwhile" in words(answer) if change == "removed" else "changed since" in words(answer)
    assert list(Export.objects.values()) == before


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_connection_that_is_gone_or_not_shared_any_more_is_said(
    client: Client, scheduled: Export, connection: Connection, admin: User, contributor: User, htmx: bool
) -> None:
    headers = HTMX if htmx else {}
    token = detach(client, scheduled)
    set_grants(connection, Access.ADMINISTRATORS, [], [])
    answer = client.post(UNDO, {"token": token}, headers=headers)
    assert answer.status_code == 409
    assert "You may not use the connection any more." in words(answer)
    connection.delete()
    make_connection(actor=admin, name="Another", access=Access.SPECIFIC, people=[contributor])
    answer = client.post(UNDO, {"token": token}, headers=headers)
    assert answer.status_code == 409
    assert "The connection was removed meanwhile." in words(answer)
    assert Export.objects.get().connection is None


def test_who_lost_the_right_meanwhile_answers_for_nothing(
    scheduled: Export, connection: Connection, admin: User
) -> None:
    """Withdrawing the access asked nothing about an export that was detached just then."""
    item = to_undo(scheduled, detach_connection(export=scheduled, actor=admin))
    assert item is not None
    set_grants(connection, Access.ADMINISTRATORS, [], [])
    assert undo_detach(item=item, actor=admin).responsible == admin


def test_several_are_undone_together_each_by_itself(
    client: Client, make_export: Callable[..., Export], admin: User
) -> None:
    exports = [make_export(name=f"Export {number}", schedule=DAILY) for number in range(3)]
    data = {"selected": [str(export.uuid) for export in exports], "confirmed": "1"}
    answer = client.post(reverse("exports:bulk_detach"), data, headers=HTMX)
    assert '<p data-toast="success">3 exports have no connection any more.</p>' in answer.content.decode()
    token = token_in(answer)
    first = Export.objects.get(name="Export 0")
    rename_export(export=first, version=first.version, name="Renamed", actor=admin)
    answer = client.post(UNDO, {"token": token}, headers=HTMX)
    assert answer.status_code == 200
    assert "2 exports have their connections again. 1 is left out Renamed" in words(answer)
    assert Export.objects.filter(connection=None).count() == 1
    # and none of them twice
    assert "3 are left out" in words(client.post(UNDO, {"token": token}, headers=HTMX))


def test_what_was_done_in_part_can_be_undone_from_its_dialog(
    client: Client, make_export: Callable[..., Export], contributor: User
) -> None:
    exports = [make_export(name=f"Export {number}") for number in range(2)]
    detach_connection(export=exports[0], actor=contributor)
    data = {"selected": [str(export.uuid) for export in exports], "confirmed": "1"}
    answer = client.post(reverse("exports:bulk_detach"), data, headers=HTMX)
    assert "1 is left out" in words(answer)
    assert client.post(UNDO, {"token": token_in(answer)}, headers=HTMX).status_code == 200
    assert Export.objects.filter(connection=None).count() == 1


def test_the_list_is_fetched_again_after_undo(client: Client, scheduled: Export) -> None:
    answer = client.post(reverse("exports:detach", args=[scheduled.uuid]), headers=HTMX)
    answer = client.post(UNDO, {"token": token_in(answer)}, headers=HTMX)
    assert answer.status_code == 200
    assert "listChanged" in answer["HX-Trigger"]
    assert answer["HX-Retarget"] == "#toast-inbox"


def test_the_button_is_protected_as_every_form_is(scheduled: Export, contributor: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(contributor, backend="django.contrib.auth.backends.ModelBackend")
    url = reverse("exports:detach", args=[scheduled.uuid])
    page = client.get(url)
    secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert secret
    answer = client.post(url, {"csrfmiddlewaretoken": secret[1]}, headers=HTMX)
    given = re.search(
        r'<form class="undo".*?name="csrfmiddlewaretoken" value="([^"]+)"', answer.content.decode(), re.DOTALL
    )
    assert given
    token = token_in(answer)
    assert client.post(UNDO, {"token": token}).status_code == 403
    assert client.post(UNDO, {"token": token, "csrfmiddlewaretoken": given[1]}).status_code == 303


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_the_same_moment_undo_it_once(scheduled: Export, contributor: User) -> None:
    """The second finds the version that the first has left behind, whoever waits for whom."""
    item = to_undo(scheduled, detach_connection(export=scheduled, actor=contributor))
    assert item
    begin, came = threading.Barrier(2), []

    def press() -> None:
        try:
            begin.wait(10)
            undo_detach(item=item, actor=contributor)
            came.append("undone")
        except Stale:
            came.append("stale")
        finally:
            database.close()

    pressing = [threading.Thread(target=press) for _ in range(2)]
    for thread in pressing:
        thread.start()
    for thread in pressing:
        thread.join(30)
    assert sorted(came) == ["stale", "undone"]
    assert AuditEntry.objects.filter(action="export.detach_undone").count() == 1
    assert Export.objects.get().version == 3
