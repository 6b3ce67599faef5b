"""A button pressed twice on the same page does what it says once, and leads to what it did."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.edit import Timing
from tests.exports.filling import filled, text

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases, pytest.mark.usefixtures("data")]

NEW = "/data/exports/new/"
Clients = Callable[[User | None], Client]
Make = Callable[..., Export]
WEEKLY = {"schedule": "week", "weekdays": ["3", "0"], "time": "06:00", "zone": "Europe/Berlin"}


def url(action: str, export: Export) -> str:
    return reverse(f"exports:{action}", args=[export.uuid])


def press(client: Client, page: str) -> str:
    """What the button *Create duplicate* of this page sends, and that there is one."""
    found = re.search(r'name="press" value="([0-9a-f-]{36})"', text(client.get(page)))
    assert found
    return found[1]


# ---- Save


@pytest.mark.parametrize("more", [{}, WEEKLY], ids=["by hand", "weekly"])
def test_a_new_export_is_saved_once_and_shown(
    connection: Connection, contributor: User, client_of: Clients, more: dict[str, Any]
) -> None:
    client = client_of(contributor)
    first = client.post(NEW, filled(connection, **more))
    second = client.post(NEW, filled(connection, **more))
    export = Export.objects.get()
    assert (first.status_code, second.status_code) == (303, 303)
    assert second["Location"] == first["Location"] == f"{url('detail', export)}?next=1"
    assert AuditEntry.objects.filter(action="export.created").count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"items": ["segment:rich"]},
        {"fields:segment": ["customer_id"]},
        {"option_delimiter": "pipe"},
        WEEKLY,
    ],
    ids=["items", "fields", "options", "schedule"],
)
def test_another_new_export_of_the_same_name_is_refused(
    connection: Connection, contributor: User, client_of: Clients, other: dict[str, Any]
) -> None:
    client = client_of(contributor)
    assert client.post(NEW, filled(connection)).status_code == 303
    answer = client.post(NEW, filled(connection, **other))
    assert answer.status_code == 422
    assert "An export already has this name." in text(answer)


def test_a_name_that_a_colleague_took_is_taken(
    connection: Connection, contributor: User, admin: User, client_of: Clients
) -> None:
    assert client_of(admin).post(NEW, filled(connection)).status_code == 303
    answer = client_of(contributor).post(NEW, filled(connection))
    assert answer.status_code == 422
    assert "An export already has this name." in text(answer)


@pytest.mark.parametrize("ended", [False, True], ids=["under way", "ended"])
@pytest.mark.parametrize("edited", [False, True], ids=["new", "edited"])
def test_save_and_run_starts_one_run(
    connection: Connection,
    contributor: User,
    make_export: Make,
    client_of: Clients,
    edited: bool,
    ended: bool,
) -> None:
    client = client_of(contributor)
    page = url("edit", make_export("Before")) if edited else NEW
    values = filled(connection, action="save_run", version="1")
    first = client.post(page, values)
    run = ExportRun.objects.get()
    if ended:
        ExportRun.objects.update(state=RunState.FAILED)
    second = client.post(page, values)
    assert first["Location"] == second["Location"] == reverse("exports:run", args=[run.export.uuid, run.uuid])
    assert ExportRun.objects.count() == 1


def test_a_run_from_before_the_edit_is_not_the_one_asked_for(
    export: Export, contributor: User, make_run: Callable[..., ExportRun], client_of: Clients
) -> None:
    make_run(export, RunState.FAILED)
    client = client_of(contributor)
    values = filled(export.connection, version="1", name="Other")
    assert client.post(url("edit", export), values).status_code == 303
    assert client.post(url("edit", export), values | {"action": "save_run"}).status_code == 303
    assert ExportRun.objects.filter(state=RunState.QUEUED).count() == 1


def test_an_edit_is_saved_once_and_shown(export: Export, contributor: User, client_of: Clients) -> None:
    client = client_of(contributor)
    values = filled(export.connection, version="1", name="Other", **WEEKLY)
    for _press in range(2):
        answer = client.post(url("edit", export), values)
        assert (answer.status_code, answer["Location"]) == (303, url("detail", export))
    export.refresh_from_db()
    assert (export.name, export.version) == ("Other", 2)


def test_an_edit_overtaken_by_ones_own_says_so(export: Export, contributor: User, client_of: Clients) -> None:
    client = client_of(contributor)
    client.post(url("edit", export), filled(export.connection, version="1", name="First page"))
    answer = client.post(url("edit", export), filled(export.connection, version="1", name="Second page"))
    assert answer.status_code == 409
    assert re.search(r"You saved this export at \d\d:\d\d, on another page\.", text(answer))
    assert "Somebody else" not in text(answer)


def test_the_same_edit_by_a_colleague_is_theirs(
    export: Export, contributor: User, admin: User, client_of: Clients
) -> None:
    values = filled(export.connection, version="1", name="Other")
    assert client_of(admin).post(url("edit", export), values).status_code == 303
    answer = client_of(contributor).post(url("edit", export), values)
    assert answer.status_code == 409
    assert re.search(r"Lena Hofmann saved this export at \d\d:\d\d, after you opened it\.", text(answer))


# ---- Rename, Schedule, Create duplicate, Run all


@pytest.mark.parametrize(
    ("action", "values", "other"),
    [
        ("rename", {"name": "Other"}, {"name": "Another"}),
        ("schedule", WEEKLY, WEEKLY | {"time": "07:00"}),
    ],
)
def test_a_dialog_is_carried_out_once(
    export: Export,
    contributor: User,
    client_of: Clients,
    action: str,
    values: dict[str, Any],
    other: dict[str, Any],
) -> None:
    client = client_of(contributor)
    for _press in range(2):
        answer = client.post(url(action, export), values | {"version": "1"})
        assert (answer.status_code, answer["Location"]) == (303, url("detail", export))
    assert Export.objects.get().version == 2
    answer = client.post(url(action, export), other | {"version": "1"})
    assert answer.status_code == 409
    assert "You saved this export at" in text(answer)


@pytest.mark.parametrize("listed", [False, True], ids=["page", "list"])
def test_a_duplicate_is_made_once_per_page(
    export: Export, contributor: User, admin: User, client_of: Clients, listed: bool
) -> None:
    client = client_of(contributor)
    page = reverse("exports:list") + "?sort=updated" if listed else url("detail", export)
    sent = {"press": press(client, page)}
    first, second = (client.post(url("duplicate", export), sent) for _press in range(2))
    copy = Export.objects.exclude(pk=export.pk).get()
    assert first["Location"] == second["Location"] == url("edit", copy)
    # a copy that is gone is made again, and so is another one on a page that was opened anew, or by somebody else
    copy.delete()
    client.post(url("duplicate", export), sent)
    client.post(url("duplicate", export), {"press": press(client, page)})
    client_of(admin).post(url("duplicate", export), sent)
    assert Export.objects.count() == 4


@pytest.mark.parametrize("odd", ["", "x", "\x00", "9" * 5_000])
def test_a_duplicate_without_a_page_is_made_each_time(
    export: Export, contributor: User, client_of: Clients, odd: str
) -> None:
    for _press in range(2):
        assert client_of(contributor).post(url("duplicate", export), {"press": odd}).status_code == 303
    assert Export.objects.count() == 3


def test_duplicates_of_two_exports_have_buttons_of_their_own(
    make_export: Make, contributor: User, client_of: Clients
) -> None:
    make_export("First")
    make_export("Second")
    page = text(client_of(contributor).get(reverse("exports:list")))
    assert len(set(re.findall(r'name="press" value="([^"]+)"', page))) == 2


def test_run_all_again_is_no_success(make_export: Make, contributor: User, client_of: Clients) -> None:
    make_export(schedule=Timing(kind=ScheduleKind.DAY, local_time=dt.time(6)))
    client = client_of(contributor)
    assert "1 run is queued." in text(client.post(reverse("exports:run_all"), follow=True))
    page = text(client.post(reverse("exports:run_all"), follow=True))
    assert "0 runs" not in page
    assert "No export can be run now. 1 is left out: 1 that is running already." in page
    assert 'data-toast="success"' not in page
    assert ExportRun.objects.count() == 1
