"""S13: a command on several rows is checked row by row; one that is not the person's changes nothing, known or not."""

import re
from collections.abc import Callable
from html import unescape
from uuid import uuid4

import pytest
from django.test import Client

from connections.models import Access, Connection
from connections.operations.remove import impact_of
from connections_portal.bulk import MOST
from connections_portal.models import AuditEntry, User
from exports.models import Export, ExportRun, ScheduleKind
from tests.factories import make_connection
from tests.runs.helpers import make_export

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("customer_data")]

Clients = Callable[[User | None], Client]
COMMANDS = ("run", "schedule", "detach", "remove")
DAILY = {"schedule": "day", "time": "06:00", "zone": "Europe/Berlin", "days": "", "every": "1", "cron": ""}


@pytest.fixture
def exports(admin: User, contributor: User) -> tuple[Export, Export]:
    """One on a connection that the contributor may use, one on another."""
    shared = make_connection(actor=admin, name="Shared", access=Access.SPECIFIC, people=[contributor])
    unshared = make_connection(actor=admin, name="Unshared")
    return (
        make_export(shared, actor=contributor, name="Mine"),
        make_export(unshared, actor=admin, name="Not mine"),
    )


def changed(command: str) -> set[str]:
    """Names of the exports to which the command was done."""
    found = {
        "run": set(ExportRun.objects.values_list("export__name", flat=True)),
        "schedule": set(
            Export.objects.exclude(schedule__kind=ScheduleKind.MANUAL).values_list("name", flat=True)
        ),
        "detach": set(Export.objects.filter(connection=None).values_list("name", flat=True)),
        "remove": {"Mine", "Not mine"} - set(Export.objects.values_list("name", flat=True)),
    }
    return found[command]


def reasons(page: bytes) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.decode())).split())


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["plain", "htmx"])
@pytest.mark.parametrize("command", COMMANDS)
def test_only_what_is_ones_own(
    command: str,
    headers: dict[str, str],
    exports: tuple[Export, Export],
    contributor: User,
    client_of: Clients,
) -> None:
    mine, other = exports
    url = f"/data/exports/bulk/{command}/"
    body = DAILY | {"selected": [str(mine.uuid), str(other.uuid), str(uuid4()), "nonsense", "' OR 1=1"]}
    client = client_of(contributor)
    asked = client.post(url, body, headers=headers)
    assert asked.status_code == 200
    assert changed(command) == set()
    # the question offers the one row and says of both others the same
    assert asked.content.decode().count('name="selected"') == 1
    assert f'value="{mine.uuid}"' in asked.content.decode()
    assert reasons(asked.content).count("You cannot change it, or it was removed meanwhile.") == 2
    # whoever posts the rest nevertheless
    done = client.post(url, body | {"confirmed": "1"}, headers=headers)
    assert done.status_code == 200
    assert changed(command) == {"Mine"}
    assert reasons(done.content).count("You cannot change it, or it was removed meanwhile.") == 2
    assert AuditEntry.objects.filter(outcome="refused", actor_id=contributor.pk).exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("role", ["outsider", "viewer", "support", "nobody"])
def test_nothing_for_others(
    command: str,
    role: str,
    exports: tuple[Export, Export],
    request: pytest.FixtureRequest,
    client_of: Clients,
) -> None:
    client = client_of(request.getfixturevalue(role))
    body = DAILY | {"selected": [str(export.uuid) for export in exports], "confirmed": "1"}
    answer = client.post(f"/data/exports/bulk/{command}/", body)
    assert answer.status_code == (200 if role == "outsider" else 403)
    assert changed(command) == set()


def test_a_right_that_was_withdrawn_between_question_and_answer(
    exports: tuple[Export, Export], contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    body = {"selected": [str(exports[0].uuid)]}
    assert client.post("/data/exports/bulk/remove/", body).status_code == 200
    contributor.connectionuserobjectpermission_set.all().delete()
    client.post("/data/exports/bulk/remove/", body | {"confirmed": "1"})
    assert changed("remove") == set()


def test_named_columns_only(exports: tuple[Export, Export], admin: User, client_of: Clients) -> None:
    mine, other = exports
    body = DAILY | {
        "selected": [str(mine.uuid)],
        "confirmed": "1",
        "name": "renamed",
        "connection": str(other.connection.uuid) if other.connection else "",
        "folder_name": "elsewhere",
        "responsible": "1",
        "version": "99",
        "next_at": "2001-01-01",
    }
    assert client_of(admin).post("/data/exports/bulk/schedule/", body).status_code == 303
    after = Export.objects.get(pk=mine.pk)
    assert (after.name, after.connection, after.folder_name) == ("Mine", mine.connection, mine.folder_name)
    assert after.schedule.next_at is not None
    assert after.schedule.next_at.year > 2001


@pytest.mark.parametrize("role", ["contributor", "viewer", "support"])
def test_connections_are_removed_by_administrators_alone(
    exports: tuple[Export, Export], role: str, request: pytest.FixtureRequest, client_of: Clients
) -> None:
    body = {
        "selected": [str(connection.uuid) for connection in Connection.objects.all()],
        "confirmed": "1",
        "impact": [f"{connection.uuid}:{impact_of(connection)}" for connection in Connection.objects.all()],
    }
    answer = client_of(request.getfixturevalue(role)).post("/settings/connections/exports/remove/", body)
    assert answer.status_code == 403
    assert Connection.objects.count() == 2


def test_a_connection_in_use_stays_whatever_is_posted(
    exports: tuple[Export, Export], admin: User, client_of: Clients
) -> None:
    free = make_connection(actor=admin, name="Free")
    body = {
        "selected": [str(connection.uuid) for connection in Connection.objects.all()],
        "confirmed": "1",
        "impact": [f"{connection.uuid}:{impact_of(connection)}" for connection in Connection.objects.all()],
    }
    client_of(admin).post("/settings/connections/exports/remove/", body)
    assert not Connection.objects.filter(pk=free.pk).exists()
    assert Connection.objects.count() == 2


def test_more_than_a_page_can_mean_is_refused(admin: User, client_of: Clients) -> None:
    body = {"selected": [str(uuid4()) for _row in range(MOST + 1)], "confirmed": "1"}
    for url in (*(f"/data/exports/bulk/{c}/" for c in COMMANDS), "/settings/connections/exports/remove/"):
        assert client_of(admin).post(url, DAILY | body).status_code == 422
