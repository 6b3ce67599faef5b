"""*3 exports wait for a connection*: the banner, and one connection for all of a type."""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import Connection, State
from connections.operations.pause import pause_connection
from connections_portal.models import AuditEntry, User
from exports.models import Export, ScheduleKind
from exports.operations.connection import attach_connection, detach_connection
from exports.operations.edit import Timing
from exports.operations.remove import remove_export
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LIST = "/data/exports/"
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{LIST}"}
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="UTC")
Clients = Callable[[User | None], Client]


@pytest.fixture
def detached(make_export: Callable[..., Export], admin: User) -> list[Export]:
    """Three exports that run every day and have lost their connection."""
    exports = [make_export(name=f"Export {number}", schedule=DAILY) for number in range(3)]
    for export in exports:
        detach_connection(export=export, actor=admin)
    return list(Export.objects.order_by("name"))


def words(answer: Any) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def post(client: Client, connection: Connection | str, exports: Sequence[Export], **extra: Any) -> Any:
    data = {
        "connection": str(getattr(connection, "uuid", connection)),
        "selected": [str(export.uuid) for export in exports],
        "confirmed": "1",
    }
    return client.post(reverse("exports:attach_waiting", args=["sftp"]), data, **extra)


def test_the_banner_is_there_only_while_something_waits(
    detached: list[Export], connection: Connection, contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    page = client.get(LIST)
    assert "3 exports wait for a connection They keep their settings and do not run." in words(page)
    assert reverse("exports:attach_waiting", args=["sftp"]) in page.content.decode()
    assert "status=inactive" in page.content.decode()
    for export in detached:
        attach_connection(export=export, connection=connection, actor=contributor)
    page = client.get(LIST)
    assert "for a connection" not in words(page)
    assert '<div class="waiting" id="waiting" hidden' in page.content.decode()


def test_the_banner_changes_with_the_list(
    detached: list[Export], contributor: User, client_of: Clients
) -> None:
    remove_export(export=detached[0], actor=contributor)
    fragment = client_of(contributor).get(LIST, headers=HTMX)
    assert "2 exports wait" in words(fragment)
    assert '<div class="waiting" id="waiting" hx-swap-oob="true">' in fragment.content.decode()


def test_a_person_is_told_first_of_those_they_can_help(
    detached: list[Export], contributor: User, outsider: User, viewer: User, client_of: Clients
) -> None:
    Export.objects.filter(pk=detached[0].pk).update(type_key="other")
    page = words(client_of(contributor).get(LIST))
    assert "2 exports wait" in page
    assert "1 more waits for a connection of a type that is not shared with you." in page
    for person, reason in (
        (outsider, "No connection of their type is shared with you."),
        (viewer, "A contributor or an administrator can add one."),
    ):
        answer = client_of(person).get(LIST)
        assert "3 exports wait" in words(answer)
        assert reason in words(answer)
        assert "/waiting/" not in answer.content.decode()


def test_several_types_have_a_dialog_each(detached: list[Export], admin: User, client_of: Clients) -> None:
    Export.objects.filter(pk=detached[0].pk).update(type_key="another")
    client = client_of(admin)
    assert reverse("exports:waiting") in client.get(LIST).content.decode()
    answer = client.get(reverse("exports:waiting"))
    assert "another 1 export waits for a connection SFTP 2 exports wait for a connection" in words(answer)
    none = client.get(reverse("exports:attach_waiting", args=["another"]))
    assert "There is no another connection ready. Set one up, or resume one." in words(none)
    nothing = client.get(reverse("exports:attach_waiting", args=["no-such-type"]))
    assert "No no-such-type export that you may change waits" in words(nothing)


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_one_connection_for_all_of_them_and_no_catch_up(
    detached: list[Export], connection: Connection, contributor: User, client_of: Clients, htmx: bool
) -> None:
    client = client_of(contributor)
    asked = client.get(reverse("exports:attach_waiting", args=["sftp"]))
    assert "Add connection (3)" in words(asked)
    assert "What was missed meanwhile is not made up for." in words(asked)
    assert f'<option value="{connection.uuid}">' in asked.content.decode()
    assert Export.objects.filter(connection=None).count() == 3
    answer = post(client, connection, detached, headers=HTMX if htmx else {})
    assert answer.status_code == (200 if htmx else 303)
    if htmx:
        assert "3 exports now use Newsletter, SFTP EU." in words(answer)
        assert "listChanged" in answer["HX-Trigger"]
    now = timezone.now()
    for export in Export.objects.select_related("schedule"):
        assert (export.connection, export.responsible) == (connection, contributor)
        assert export.schedule.next_at is not None
        assert now < export.schedule.next_at <= now + dt.timedelta(days=1)
        assert not export.runs.exists()
    assert AuditEntry.objects.filter(action="export.attached", actor_id=contributor.pk).count() == 3


def test_only_what_was_shown_gets_it_and_the_rest_is_told_with_its_reason(
    detached: list[Export], connection: Connection, contributor: User, admin: User, client_of: Clients
) -> None:
    shown, later = detached[:2], detached[2]
    attach_connection(export=shown[0], connection=connection, actor=admin)
    answer = post(client_of(contributor), connection, [*shown, Export(name="never was")])
    assert answer.status_code == 200
    page = words(answer)
    assert "1 export now uses Newsletter, SFTP EU." in page
    assert "2 are left out" in page
    assert "Export 0 It has a connection already." in page
    assert "Unknown export You cannot change it, or it was removed meanwhile." in page
    later.refresh_from_db()
    assert later.connection is None


def test_a_connection_that_may_not_be_chosen_is_not_taken(
    detached: list[Export],
    connection: Connection,
    hidden: Connection,
    contributor: User,
    outsider: User,
    client_of: Clients,
) -> None:
    client = client_of(contributor)
    for wanted in (hidden, "", "../x", "00000000-0000-0000-0000-000000000000"):
        answer = post(client, wanted, detached)
        assert answer.status_code == 422
        assert f'value="{detached[2].uuid}"' in answer.content.decode()
    assert post(client, connection, []).status_code == 422
    # somebody with another connection of the type, and none shared with them
    answer = post(client_of(outsider), connection, detached)
    assert "connection ready that you may use" in words(answer)
    assert Export.objects.filter(connection=None).count() == 3


def test_a_connection_that_is_paused_meanwhile_is_not_added(
    detached: list[Export], connection: Connection, admin: User, client_of: Clients
) -> None:
    other = make_connection(actor=admin, name="Another")
    pause_connection(connection=connection, version=connection.version, actor=admin)
    assert post(client_of(admin), connection, detached).status_code == 422
    assert post(client_of(admin), other, detached).status_code == 303
    assert set(Export.objects.values_list("connection__state", flat=True)) == {State.READY}
