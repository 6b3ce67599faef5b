"""*Remove* a connection that exports use: what the dialog shows, what becomes of each, and what makes it stale."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from connections import removal_form
from connections.models import Access, Connection, RemovedConnection, State
from connections.operations.remove import Decision, Decisions, InUse, impact_of, remove_connection
from connections_portal.errors import FinishingRun, OperationError, Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.models import (
    Export,
    ExportItem,
    ExportRun,
    ExportSchedule,
    ExportTask,
    ScheduleKind,
    TaskState,
)
from exports.operations.edit import Timing
from tests.connections.filling import text_of
from tests.exports.conftest import LOYAL, ORDERS
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
Make = Callable[..., Any]
HTMX = {"HX-Request": "true", "HX-Target": "dialog-body"}
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="Europe/Berlin")


@pytest.fixture
def url(connection: Connection) -> str:
    return reverse("connections:remove", args=[connection.uuid])


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.fixture
def other(admin: User) -> Connection:
    """Where exports can move to: only administrators may use it."""
    return make_connection(actor=admin, name="Partner files, SFTP US")


@pytest.fixture
def three(make_export: Make) -> list[Export]:
    return [make_export(name, schedule=DAILY) for name in ("Alpha", "Beta", "Gamma")]


def sent(page: str) -> dict[str, str]:
    """What the dialog sends when its button is pressed."""
    values = dict(re.findall(r'type="hidden" name="(impact)" value="([^"]*)"', page))
    for name, body in re.findall(
        r'<select class="input" name="([^"]*)"[^>]*>(.*?)</select>', page, re.DOTALL
    ):
        chosen = re.search(r'value="([^"]*)" selected', body)
        assert chosen, f"nothing is chosen at {name}"
        values[name] = chosen[1]
    return values


def decided(*exports: Export, choice: str, target: Connection | None = None) -> dict[str, Decisions]:
    decision = Decision(choice, target.uuid if target else None)
    return {"exports": Decisions(each={export.uuid: decision for export in exports})}


def remove(connection: Connection, admin: User, choices: dict[str, Decisions]) -> None:
    remove_connection(connection=connection, impact=impact_of(connection), choices=choices, actor=admin)


def test_first_it_says_how_much_uses_it(client: Client, url: str, three: list[Export]) -> None:
    page = client.get(url, headers=HTMX).content.decode()
    assert "Used by 3 exports" in page
    assert "See what's using this connection" in page
    assert "Alpha" not in page
    assert 'value="remove"' not in page
    assert "Cancel" in page


def test_then_it_shows_each(
    client: Client, url: str, make_export: Make, make_run: Make, contributor: User, other: Connection
) -> None:
    export = make_export("Alpha", schedule=DAILY, items=[LOYAL, ORDERS])
    run = make_run(export, RunState.SUCCESSFUL, selected=7, read=7, sent=7)
    ExportTask.objects.filter(run=run, kind="segment").update(selected=1234)
    ExportTask.objects.filter(run=run, kind="table").update(selected=999)
    page = client.get(f"{url}?see=1", headers=HTMX).content.decode()
    text = text_of(page)
    assert f'<a class="name clip-2" href="{reverse("exports:detail", args=[export.uuid])}"' in page
    assert "Export, 1 segment, 1 table" in text
    assert "Every day at 06:00 (Europe/Berlin)" in text
    assert str(contributor) in text
    assert "1,234 people in it" in text
    assert "Last run" in text
    assert "Successful" in text
    assert f"Move to {other.name}" in text
    # the gentle choice is proposed, and the sentence and the button say what it means
    assert sent(page)[f"choice-{export.uuid}"] == "detach"
    assert "1 export keeps its settings and stops until it gets a connection." in text
    assert "Detach 1, remove" in text


def test_the_sentence_follows_the_choices(
    client: Client, url: str, three: list[Export], other: Connection
) -> None:
    values = sent(client.get(f"{url}?see=1").content.decode())
    values[f"choice-{three[0].uuid}"] = f"move:{other.uuid}"
    values[f"choice-{three[1].uuid}"] = "remove"
    answer = client.post(url, values | {"action": "preview"}, headers={"HX-Request": "true"})
    text = text_of(answer.content.decode())
    assert answer.content.decode().lstrip().startswith('<div class="stack" id="removal-outcome">')
    assert f"1 export goes on over {other.name}." in text
    assert "1 export is removed with its history" in text
    assert f"Ana Weber can no longer change what goes on over {other.name}." in text
    assert "Detach 1, move 1, remove 1, remove" in text
    # without script the same button brings the whole page
    page = client.post(url, values | {"action": "preview"}).content.decode()
    assert "Detach 1, move 1, remove 1, remove" in text_of(page)


def test_apply_to_all(client: Client, url: str, three: list[Export]) -> None:
    values = sent(client.get(f"{url}?see=1").content.decode())
    page = client.post(url, values | {"apply-exports": "remove", "action": "apply:exports"}).content.decode()
    assert [sent(page)[f"choice-{export.uuid}"] for export in three] == ["remove"] * 3
    assert "Remove 3, remove" in page
    nonsense = values | {"apply-exports": "explode", "action": "apply:nobody"}
    assert sent(client.post(url, nonsense).content.decode()) == values


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_each_is_settled_and_the_connection_is_gone(
    client: Client,
    url: str,
    three: list[Export],
    other: Connection,
    connection: Connection,
    admin: User,
    make_run: Make,
    headers: dict[str, str],
) -> None:
    alpha, beta, gamma = three
    running, old = make_run(alpha, RunState.RUNNING), make_run(gamma, RunState.SUCCESSFUL)
    values = sent(client.get(f"{url}?see=1", headers=headers).content.decode())
    values[f"choice-{beta.uuid}"] = f"move:{other.uuid}"
    values[f"choice-{gamma.uuid}"] = "remove"
    answer = client.post(url, values | {"action": "remove"}, headers=headers)
    assert answer.status_code == (204 if headers else 303)
    assert not Connection.objects.filter(pk=connection.pk).exists()
    assert RemovedConnection.objects.get().uuid == connection.uuid
    alpha.refresh_from_db()
    assert (alpha.connection, alpha.version, alpha.updated_by) == (None, 2, admin)
    assert alpha.schedule.kind == ScheduleKind.DAY
    assert ExportSchedule.objects.get(export=alpha).next_at is None
    running.refresh_from_db()
    assert (running.state, running.lease_token) == (RunState.CANCELED, None)
    assert ExportSchedule.objects.get(export=beta).next_at is not None
    beta.refresh_from_db()
    assert (beta.connection, beta.version) == (other, 2)
    # the contributor may not use the other connection: whoever moved it answers for it
    assert beta.responsible == admin
    assert not Export.objects.filter(pk=gamma.pk).exists()
    assert not ExportRun.objects.filter(pk=old.pk).exists()
    assert not ExportItem.objects.filter(export_id=gamma.pk).exists()
    removal = AuditEntry.objects.get(action="connection.removed")
    assert removal.details["settled"] == {"exports: detach": 1, "exports: move": 1, "exports: remove": 1}
    told = AuditEntry.objects.filter(actor_id=admin.pk, object_type="export").exclude(
        action="export.run_requested"
    )
    assert set(told.values_list("action", "object_uuid")) == {
        ("export.run_canceled", alpha.uuid),
        ("export.detached", alpha.uuid),
        ("export.moved", beta.uuid),
        ("export.removed", gamma.uuid),
    }


def test_who_may_use_the_other_connection_stays_responsible(
    connection: Connection, admin: User, contributor: User, export: Export
) -> None:
    shared = make_connection(actor=admin, name="Shared", access=Access.CONTRIBUTORS)
    remove(connection, admin, decided(export, choice="move", target=shared))
    export.refresh_from_db()
    assert (export.connection, export.responsible) == (shared, contributor)


def test_schedules_that_a_pause_held_count_again_where_they_move_to(
    connection: Connection, admin: User, three: list[Export], other: Connection
) -> None:
    Connection.objects.filter(pk=connection.pk).update(state=State.PAUSED)
    ExportSchedule.objects.update(next_at=None)
    remove(connection, admin, decided(*three, choice="move", target=other))
    assert not ExportSchedule.objects.filter(next_at=None).exists()


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_a_dependent_created_while_the_dialog_is_open(
    client: Client, url: str, three: list[Export], make_export: Make, headers: dict[str, str]
) -> None:
    values = sent(client.get(f"{url}?see=1", headers=headers).content.decode())
    values[f"choice-{three[0].uuid}"] = "remove"
    late = make_export("Late one")
    answer = client.post(url, values | {"action": "remove"}, headers=headers)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "This has changed since you opened this dialog" in page
    assert "Used by 4 exports" in page
    assert Export.objects.filter(connection__isnull=False).count() == 4
    # the choices are kept, what is new is marked, and the fresh dialog works
    fresh = sent(page)
    assert fresh[f"choice-{three[0].uuid}"] == "remove"
    assert fresh[f"choice-{late.uuid}"] == "detach"
    assert page.count('<span class="tag warn">New</span>') == 1
    assert client.post(url, fresh | {"action": "remove"}, headers=headers).status_code in (204, 303)
    assert Export.objects.filter(connection=None).count() == 3


def test_one_that_is_changed_or_goes_meanwhile_makes_it_stale_too(
    connection: Connection, admin: User, three: list[Export]
) -> None:
    choices = decided(*three, choice="detach")
    for meanwhile in (
        lambda: Export.objects.filter(pk=three[0].pk).update(version=9),
        lambda: Export.objects.filter(pk=three[1].pk).update(connection=None),
        lambda: Connection.objects.filter(pk=connection.pk).update(version=9),
    ):
        shown = impact_of(connection)
        meanwhile()
        with pytest.raises(Stale):
            remove_connection(connection=connection, impact=shown, choices=choices, actor=admin)
        connection.refresh_from_db()
    assert Connection.objects.filter(pk=connection.pk).exists()


def test_what_came_into_use_after_a_dialog_without_anything(
    client: Client, url: str, make_export: Make, connection: Connection
) -> None:
    values = sent(client.get(url).content.decode())
    make_export()
    answer = client.post(url, values | {"action": "remove"})
    assert answer.status_code == 409
    assert "This connection is used by 1 export." in answer.content.decode()
    refused = AuditEntry.objects.get(action="connection.remove_refused")
    assert (refused.object_uuid, refused.details["used_by"]) == (connection.uuid, ["1 export"])


def test_without_a_decision_for_each_nothing_happens(
    connection: Connection, admin: User, three: list[Export]
) -> None:
    with pytest.raises(InUse):
        remove(connection, admin, decided(*three[:2], choice="remove"))
    assert Export.objects.filter(connection=connection).count() == 3


@pytest.mark.parametrize("choice", ["explode", "", "move", "move:nowhere"])
def test_a_choice_that_is_not_offered(
    client: Client, url: str, three: list[Export], connection: Connection, choice: str
) -> None:
    values = sent(client.get(f"{url}?see=1").content.decode())
    answer = client.post(url, values | {f"choice-{three[0].uuid}": choice, "action": "remove"})
    assert answer.status_code == 422
    assert "What you chose is not offered any more." in answer.content.decode()
    assert Connection.objects.filter(pk=connection.pk).exists()


def test_only_ready_connections_of_the_type_take_them(
    connection: Connection, admin: User, three: list[Export], other: Connection
) -> None:
    Connection.objects.filter(pk=other.pk).update(state=State.PAUSED)
    for target in (other, connection):
        with pytest.raises(OperationError, match="cannot be used any more"):
            remove(connection, admin, decided(*three, choice="move", target=target))
    gone = {"exports": Decisions(rest=Decision("move", UUID(int=1)))}
    with pytest.raises(OperationError, match="cannot be used any more"):
        remove(connection, admin, gone)
    assert Export.objects.filter(connection=connection, version=1).count() == 3


def test_one_whose_options_do_not_fit_cannot_move(
    client: Client, url: str, connection: Connection, admin: User, three: list[Export], other: Connection
) -> None:
    Export.objects.filter(pk=three[0].pk).update(options={"compression": "floppy"})
    page = client.get(f"{url}?see=1").content.decode()
    at = page[page.index(f'name="choice-{three[0].uuid}"') :]
    assert other.name not in at[: at.index("</select>")]
    assert "It cannot move: Its settings do not fit any more. Edit it first." in text_of(page)
    with pytest.raises(OperationError, match="Alpha cannot move"):
        remove(connection, admin, decided(*three, choice="move", target=other))
    assert Export.objects.filter(connection=connection).count() == 3


def test_a_run_that_is_just_finishing_has_to_wait(
    client: Client, url: str, connection: Connection, three: list[Export], make_run: Make
) -> None:
    make_run(three[1], RunState.PUBLISHING)
    queued = make_run(three[0], RunState.QUEUED)
    values = sent(client.get(f"{url}?see=1").content.decode())
    answer = client.post(url, values | {"action": "remove"})
    assert answer.status_code == 409
    assert "Try again in a moment." in answer.content.decode()
    queued.refresh_from_db()
    assert queued.state == RunState.QUEUED
    assert Export.objects.filter(connection=connection).count() == 3
    with pytest.raises(FinishingRun):
        remove(connection, three[0].responsible, {"exports": Decisions(rest=Decision("detach"))})  # type: ignore[arg-type]


def test_tasks_of_a_canceled_run_end(
    connection: Connection, admin: User, export: Export, make_run: Make
) -> None:
    run = make_run(export, RunState.RUNNING)
    ExportTask.objects.filter(run=run).update(state=TaskState.RUNNING)
    remove(connection, admin, decided(export, choice="detach"))
    task = ExportTask.objects.get(run=run)
    assert (task.state, task.finished_at is not None) == (TaskState.FAILED, True)


def test_many_have_one_choice_for_all(
    client: Client, url: str, make_export: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal_form, "MOST", 3)
    monkeypatch.setattr(removal_form, "NAMED", 2)
    for number in range(5):
        make_export(f"Export {number}")
    page = client.get(f"{url}?see=1").content.decode()
    values = sent(page)
    assert set(values) == {"impact", "rest-exports"}
    assert "All 5 exports" in page
    assert "and 3 more" in page
    assert "Detach 5, remove" in page
    assert client.post(url, values | {"action": "remove"}).status_code == 303
    assert Export.objects.filter(connection=None).count() == 5


def test_as_many_queries_for_thirty_as_for_three(
    client: Client, admin: User, contributor: User, make_export: Make, make_run: Make, other: Connection
) -> None:
    counts: dict[str, set[int]] = {}
    for number in (3, 30):
        for choice in ("detach", f"move:{other.uuid}", "remove"):
            source = make_connection(
                actor=admin, name=f"Source {number} {choice[:6]}", access=Access.CONTRIBUTORS
            )
            for each in range(number):
                export = make_export(f"{choice[:6]} {number} {each}", connection=source, schedule=DAILY)
                make_run(export, RunState.SUCCESSFUL)
                make_run(export, RunState.QUEUED)
            address = reverse("connections:remove", args=[source.uuid])
            client.get(f"{address}?see=1")
            with CaptureQueriesContext(database) as looked:
                page = client.get(f"{address}?see=1").content.decode()
            values = {name: value if name == "impact" else choice for name, value in sent(page).items()}
            with CaptureQueriesContext(database) as done:
                assert client.post(address, values | {"action": "remove"}).status_code == 303
            counts.setdefault("dialog", set()).add(len(looked))
            counts.setdefault(choice[:6], set()).add(len(done))
    assert all(len(numbers) == 1 for numbers in counts.values()), counts


def test_the_articles_own_path(client: Client, url: str, connection: Connection, three: list[Export]) -> None:
    """Settle them on their pages, come back, remove."""
    page = client.get(f"{url}?see=1").content.decode()
    listed = f"{reverse('exports:list')}?connection={connection.uuid}&removing=1"
    assert f'href="{listed.replace("&", "&amp;")}"' in page
    there = client.get(listed).content.decode()
    assert f"Back to removing {connection.name}" in there
    assert f'href="{url}?see=1"' in there
    assert '<input type="hidden" name="removing" value="1" form="filter">' in there
    for export in three:
        client.post(reverse("exports:detach", args=[export.uuid]))
    back = client.get(f"{url}?see=1").content.decode()
    assert "Nothing uses it." in back
    assert client.post(url, sent(back) | {"action": "remove"}).status_code == 303
    # somebody who only looks at the list is not on the way
    assert "Back to removing" not in client.get(listed.replace("&removing=1", "")).content.decode()


def test_a_contributor_gets_nowhere_near(
    client_of: Clients, contributor: User, url: str, connection: Connection, export: Export
) -> None:
    theirs = client_of(contributor)
    assert theirs.get(f"{url}?see=1").status_code == 403
    assert theirs.post(url, {"impact": impact_of(connection)}).status_code == 403
    listed = f"{reverse('exports:list')}?connection={connection.uuid}&removing=1"
    assert "Back to removing" not in theirs.get(listed).content.decode()
