"""*Rename*, *Schedule* and *Create duplicate* of one export."""

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection, State
from connections_portal.errors import NotAllowed
from connections_portal.models import AuditEntry, User
from connections_portal.names import MAX_LENGTH
from exports.models import Export, ScheduleKind
from exports.operations.connection import detach_connection
from exports.operations.duplicate import duplicate_export
from exports.operations.edit import Timing
from tests.exports.conftest import LOYAL, ORDERS

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
Make = Callable[..., Export]
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/data/exports/?page=2"}
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


def url(action: str, export: Export) -> str:
    return reverse(f"exports:{action}", args=[export.uuid])


def rename(client: Client, export: Export, name: str, version: Any = None, **headers: str) -> Any:
    data = {"name": name, "version": export.version if version is None else version}
    return client.post(url("rename", export), data, headers=headers)


def test_rename_changes_the_name_and_not_the_folder(
    client_of: Clients, contributor: User, admin: User, make_export: Make
) -> None:
    export = make_export("Loyalty mailing", actor=admin)
    folder = export.folder_name
    client = client_of(contributor)
    assert 'value="Loyalty mailing"' in client.get(url("rename", export)).content.decode()
    answer = rename(client, export, "  Loyalty  Münster ")
    assert answer.status_code == 303
    assert answer["Location"] == url("detail", export)
    export.refresh_from_db()
    assert export.name == "Loyalty  Münster"
    assert export.folder_name == folder
    assert export.version == 2
    assert export.updated_by == export.responsible == contributor
    entry = AuditEntry.objects.get(action="export.renamed")
    assert (entry.object_label, entry.details["before"]) == ("Loyalty  Münster", "Loyalty mailing")


def test_rename_in_the_list_leaves_the_list_as_it_is(
    client_of: Clients, contributor: User, export: Export
) -> None:
    answer = rename(client_of(contributor), export, "New", **HTMX)
    events = json.loads(answer["HX-Trigger"])
    assert events["closeDialogs"]
    assert events["listChanged"]
    elsewhere = HTMX | {"HX-Current-URL": f"http://testserver{url('detail', export)}"}
    answer = rename(client_of(contributor), export, "Newer", 2, **elsewhere)
    assert answer["HX-Redirect"] == url("detail", export)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "Enter a name."),
        ("   ", "Enter a name."),
        ("x" * 101, "The name has 101 characters; 100 are allowed."),
        ("a\u202eb", "contains a character that cannot be seen"),
        ("TAKEN already", "An export already has this name."),
    ],
)
def test_a_name_that_cannot_be_is_said_at_the_field_and_kept(
    client_of: Clients, contributor: User, make_export: Make, name: str, words: str
) -> None:
    make_export("Taken already")
    export = make_export("Mine")
    answer = rename(client_of(contributor), export, name)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert words in page
    assert 'aria-invalid="true"' in page
    assert f'value="{name}"' in page or not name
    export.refresh_from_db()
    assert export.name == "Mine"


def test_its_own_name_in_another_case_is_free(client_of: Clients, contributor: User, export: Export) -> None:
    assert rename(client_of(contributor), export, export.name.upper()).status_code == 303


def test_a_stale_dialog_says_so_and_can_be_saved_knowingly(
    client_of: Clients, contributor: User, admin: User, export: Export
) -> None:
    client = client_of(contributor)
    assert rename(client_of(admin), export, "By Lena").status_code == 303
    answer = rename(client, export, "By Ana", 1)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert re.search(r"Lena Hofmann saved this export at \d\d:\d\d, after you opened it\.", page)
    assert "Last saved by Lena Hofmann." in page
    assert 'value="By Ana"' in page
    assert 'name="version" value="2"' in page
    assert Export.objects.get().name == "By Lena"
    assert rename(client, export, "By Ana", 2).status_code == 303
    assert rename(client, export, "Odd", "9" * 40).status_code == 409


def test_an_export_that_is_gone_is_not_there(client_of: Clients, contributor: User, export: Export) -> None:
    address = url("rename", export)
    export.delete()
    assert client_of(contributor).post(address, {"name": "x", "version": 1}).status_code == 404


def test_schedule_alone(client_of: Clients, contributor: User, make_export: Make) -> None:
    export = make_export(schedule=DAILY)
    client = client_of(contributor)
    page = client.get(url("schedule", export)).content.decode()
    assert 'value="06:00"' in page
    wrong = client.post(url("schedule", export), {"schedule": "week", "time": "", "zone": "x", "version": 1})
    assert wrong.status_code == 422
    assert "Choose at least one day of the week." in wrong.content.decode()
    typed = {"schedule": "month", "days": "31, 1", "time": "23:00", "zone": "UTC", "version": 1}
    assert client.post(url("schedule", export), typed).status_code == 303
    schedule = Export.objects.get().schedule
    assert (schedule.kind, schedule.days, schedule.local_time) == ("month", [1, 31], dt.time(23, 0))
    assert client.post(url("schedule", export), typed | {"time": "22:00"}).status_code == 409
    assert client.post(url("schedule", export), {"schedule": "manual", "version": 2}).status_code == 303
    assert Export.objects.get().schedule.next_at is None


def test_duplicate_has_all_but_the_schedule(
    client_of: Clients, contributor: User, admin: User, make_export: Make
) -> None:
    export = make_export(
        "Loyalty mailing", actor=admin, items=[ORDERS, LOYAL], schedule=DAILY, options={"compression": "gzip"}
    )
    answer = client_of(contributor).post(url("duplicate", export))
    copy = Export.objects.exclude(pk=export.pk).get()
    assert answer.status_code == 303
    assert answer["Location"] == url("edit", copy)
    assert copy.name == "Loyalty mailing (copy)"
    assert copy.folder_name != export.folder_name
    assert (copy.connection, copy.options) == (export.connection, export.options)
    for copied, item in zip(copy.items.all(), export.items.all(), strict=True):
        assert (copied.kind, copied.source, copied.fields) == (item.kind, item.source, item.fields)
    assert (copy.schedule.kind, copy.schedule.next_at, copy.schedule.zone) == (
        "manual",
        None,
        "Europe/Berlin",
    )
    assert copy.created_by == copy.responsible == contributor
    entry = AuditEntry.objects.filter(action="export.created", object_label=copy.name).get()
    assert entry.details["copy_of"] == "Loyalty mailing"


def test_copies_have_names_of_their_own(make_export: Make, contributor: User) -> None:
    export = make_export("Daily")
    assert duplicate_export(export=export, actor=contributor).name == "Daily (copy)"
    assert duplicate_export(export=export, actor=contributor).name == "Daily (copy 2)"
    make_export("DAILY (COPY 3)")
    assert duplicate_export(export=export, actor=contributor).name == "Daily (copy 4)"


@pytest.mark.parametrize("name", ["x" * 100, "y" * 93 + " zzzzzz", "ﷺ" * 100, "𝕬" * 100])
def test_long_names_leave_room_for_what_tells_copies_apart(
    make_export: Make, contributor: User, name: str
) -> None:
    export = make_export(name)
    copies = [duplicate_export(export=export, actor=contributor) for _number in range(3)]
    assert [
        copy.name.endswith(end)
        for copy, end in zip(copies, (" (copy)", " (copy 2)", " (copy 3)"), strict=True)
    ]
    assert all(len(copy.name) <= MAX_LENGTH and "  " not in copy.name for copy in copies)
    assert len({copy.name_key for copy in copies}) == 3
    assert duplicate_export(export=export, actor=contributor).name.endswith(" (copy 4)")


def test_nothing_new_is_built_on_a_connection_that_is_not_ready(
    client_of: Clients, contributor: User, outsider: User, export: Export
) -> None:
    Connection.objects.update(state=State.NEEDS_ATTENTION)
    client = client_of(contributor)
    answer = client.post(url("duplicate", export), follow=True)
    assert "The connection of this export is not ready" in answer.content.decode()
    with pytest.raises(NotAllowed):
        duplicate_export(export=export, actor=outsider)
    Connection.objects.update(state=State.READY)
    detach_connection(export=export, actor=contributor)
    answer = client.post(url("duplicate", export), follow=True)
    assert "The export waits for a connection. Add one first." in answer.content.decode()
    assert Export.objects.count() == 1


def test_the_page_of_an_export_offers_the_same(
    client_of: Clients, contributor: User, viewer: User, export: Export
) -> None:
    def offered(user: User) -> set[str]:
        page = client_of(user).get(url("detail", export)).content.decode()
        return {action for action in ("rename", "schedule", "duplicate") if url(action, export) in page}

    assert offered(contributor) == {"rename", "schedule", "duplicate"}
    assert offered(viewer) == set()
    Connection.objects.update(state=State.PAUSED)
    assert offered(contributor) == {"rename", "schedule"}
