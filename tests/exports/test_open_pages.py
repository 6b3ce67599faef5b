"""Pages that were open when the right was withdrawn: a clear message, what was typed stays, nothing is saved."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection
from connections.operations.share import AccessWithdrawn, share_connection
from connections_portal.models import AuditEntry, RunState, Trigger, User
from exports.models import Export, ExportRun
from exports.operations.execute import execute_run
from exports.operations.run import enqueue_run
from exports.permissions import may_edit
from tests.exports.filling import filled, text, ticked
from tests.factories import make_connection

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
SAID = "Nothing was changed: the connection of this export is not shared with you, or not any more."


def withdraw(connection: Connection, admin: User) -> None:
    """As an administrator does it: seen and saved, exports keep running."""
    values: dict[str, Any] = {"access": Access.ADMINISTRATORS, "actor": admin}
    connection.refresh_from_db()
    try:
        share_connection(connection=connection, version=connection.version, **values)
    except AccessWithdrawn as asks:
        token = asks.impact.token
        share_connection(connection=connection, version=connection.version, impact=token, **values)


def rows() -> dict[str, object]:
    """Every row of what exports and their runs are stored in, and every message to a worker."""
    tables = [t for t in database.introspection.table_names() if t.startswith(("exports_", "django_tasks"))]
    found: dict[str, object] = {}
    with database.cursor() as cursor:
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            found[table] = cursor.fetchall()
    assert len(tables) > 5
    return found


def page(name: str, export: Export, *more: object) -> str:
    return reverse(f"exports:{name}", args=[export.uuid, *more])


def test_a_form_that_was_open(
    export: Export, connection: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    assert 'name="action" value="save"' in text(client.get(page("edit", export)))
    withdraw(connection, admin)
    before = rows()
    form = filled(connection, name="What I typed", version=export.version)
    form |= {"fields:segment": ["city"], "schedule": "day", "time": "04:30"}
    for action in ("save", "save_run", "refresh"):
        answer = client.post(page("edit", export), form | {"action": action})
        seen = text(answer)
        assert answer.status_code == 403
        assert SAID in seen
        assert 'value="What I typed"' in seen
        assert 'value="04:30"' in seen
        assert ticked(seen, "fields:segment", "city")
        assert not ticked(seen, "fields:segment", "email")
        assert 'name="action" value="save"' not in seen
        assert "files.example.com" not in seen
    assert rows() == before
    entry = AuditEntry.objects.filter(action="access.refused").first()
    assert entry
    assert (entry.actor_id, entry.object_uuid) == (contributor.pk, export.uuid)


def test_a_new_export_that_was_being_built(
    connection: Connection, data: object, admin: User, contributor: User, client_of: Clients
) -> None:
    other = make_connection(actor=admin, name="Still shared", access=Access.CONTRIBUTORS)
    client = client_of(contributor)
    assert str(connection.uuid) in text(client.get(reverse("exports:create")))
    withdraw(connection, admin)
    before = rows()
    for action in ("save", "save_run"):
        answer = client.post(
            reverse("exports:create"), filled(connection, name="What I typed", action=action)
        )
        seen = text(answer)
        assert answer.status_code == 422
        assert "Choose a connection from the list." in seen
        assert 'value="What I typed"' in seen
        assert ticked(seen, "items", "segment:loyal")
        assert str(other.uuid) in seen
        assert f'value="{connection.uuid}"' not in seen
    assert rows() == before


@pytest.mark.parametrize("state", [None, RunState.FAILED, RunState.RUNNING])
@pytest.mark.parametrize(
    "name", ["run_now", "detach", "remove", "cancel", "rename", "schedule", "duplicate", "take_over"]
)
def test_a_button_that_was_there(
    export: Export,
    connection: Connection,
    make_run: Callable[..., ExportRun],
    admin: User,
    contributor: User,
    client_of: Clients,
    name: str,
    state: RunState | None,
) -> None:
    """*Run* on the page of a run that failed is the retry that people press."""
    run = make_run(export, state) if state else None
    if name == "cancel" and run is None:
        return
    withdraw(connection, admin)
    before = rows()
    address = page(name, export, *([run.uuid] if name == "cancel" and run else []))
    typed = {"name": "Typed", "version": export.version, "schedule": "day", "time": "06:00", "zone": "UTC"}
    answer = client_of(contributor).post(address, typed)
    assert answer.status_code == 403
    assert SAID in text(answer)
    assert "You may not do this" in text(answer)
    assert rows() == before
    assert AuditEntry.objects.filter(action="access.refused", actor_id=contributor.pk).count() == 1


@pytest.mark.parametrize("name", ["run", "schedule", "detach", "remove"])
def test_a_list_that_was_open(
    export: Export, connection: Connection, admin: User, contributor: User, client_of: Clients, name: str
) -> None:
    """Ticked rows are asked about one by one: this one is left out, by name."""
    withdraw(connection, admin)
    before = rows()
    sent = {"selected": [str(export.uuid)], "schedule": "day", "time": "06:00", "zone": "UTC"}
    for confirmed in ("", "1"):
        answer = client_of(contributor).post(reverse(f"exports:bulk_{name}"), sent | {"confirmed": confirmed})
        assert answer.status_code in (200, 403, 409, 422), answer.status_code
        assert export.name in text(answer)
    assert rows() == before


def test_a_picker_that_was_open(
    export: Export, connection: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    """*Add connection* of a detached export, with another connection of its type still shared, and then with none."""
    other = make_connection(actor=admin, name="Still shared", access=Access.CONTRIBUTORS)
    client = client_of(contributor)
    assert client.post(page("detach", export)).status_code == 303
    assert str(connection.uuid) in text(client.get(page("attach", export)))
    withdraw(connection, admin)
    before = rows()
    answer = client.post(page("attach", export), {"connection": str(connection.uuid)})
    seen = text(answer)
    assert answer.status_code == 422
    assert "Choose a connection from the list." in seen
    assert str(other.uuid) in seen
    withdraw(other, admin)
    answer = client.post(page("attach", export), {"connection": str(other.uuid)})
    assert answer.status_code == 403
    assert "no connection of the export&#x27;s type is shared with you now" in text(answer)
    assert rows() == before


def test_with_script_a_refusal_is_told_and_what_is_typed_stays(
    export: Export, connection: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    """htmx leaves the page as it is on 403, and the script says that it may not be done."""
    withdraw(connection, admin)
    client = client_of(contributor)
    headers = {"HX-Request": "true"}
    for name in ("run_now", "detach", "attach", "remove"):
        assert client.post(page(name, export), headers=headers).status_code == 403, name
    answer = client.post(page("edit", export), filled(connection) | {"action": "refresh"}, headers=headers)
    assert answer.status_code == 403


def test_a_run_that_was_queued_fails_for_the_right_reason(
    export: Export, connection: Connection, admin: User, contributor: User
) -> None:
    run = enqueue_run(export=export, actor=contributor, trigger=Trigger.PERSON)
    withdraw(connection, admin)
    assert execute_run(run_id=run.pk, worker="test") == "refused"
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.FAILED, "no_right")
    assert run.cause == "Whoever started the run may not use the connection of the export any more."
    # what the schedule starts goes on: the administrator answers for it now
    export.refresh_from_db()
    assert export.responsible == admin


def test_the_export_stays_and_is_looked_at(
    export: Export, connection: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    withdraw(connection, admin)
    assert not may_edit(contributor, export)
    client = client_of(contributor)
    seen = text(client.get(page("detail", export)))
    assert re.search(r">View</span>", seen)
    for gone in (">Edit</span>", ">Run</span>", ">Detach connection</span>", ">Remove</span>"):
        assert gone not in seen
    assert client.get(page("edit", export)).status_code == 200
    assert connection.name in text(client.get(reverse("exports:list")))
