"""*Restore* a removed connection: what comes back, under which name, and how it is used again."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import (
    Access,
    Connection,
    ConnectionSecret,
    ConnectionUserObjectPermission,
    RemovedConnection,
    State,
)
from connections.operations.remove import impact_of, remove_connection
from connections.operations.restore import purge_removed, restore_connection
from connections.operations.share import share_connection
from connections_portal.errors import OperationError, Stale
from connections_portal.models import AuditEntry, User
from tests.connections.filling import Edit
from tests.connectors.servers import Server
from tests.factories import make_connection
from tests.runs.helpers import connect

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
HTMX = {"HX-Request": "true", "HX-Target": "dialog-body"}
LIST = "/settings/connections/removed/"


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.fixture
def kept(admin: User, contributor: User) -> RemovedConnection:
    """One that was shared, verified and agreed to, and is removed."""
    return removed(make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor]), admin)


def removed(connection: Connection, admin: User) -> RemovedConnection:
    remove_connection(connection=connection, impact=impact_of(connection), actor=admin)
    return RemovedConnection.objects.get(uuid=connection.uuid)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_from_the_list_it_comes_back_paused(
    client: Client, kept: RemovedConnection, admin: User, headers: dict[str, str]
) -> None:
    listed = client.get(LIST).content.decode()
    url = reverse("connections:restore", args=[kept.uuid])
    assert f'href="{url}"' in listed
    assert "sftp://files.example.com/in" in listed
    assert f'value="{kept.name}"' in client.get(url, headers=headers).content.decode()
    answer = client.post(url, {"name": kept.name}, headers=headers)
    there = reverse("connections:detail", args=[kept.uuid])
    assert (answer["HX-Redirect"] if headers else answer["Location"]) == there
    connection = Connection.objects.get(uuid=kept.uuid)
    assert (connection.state, connection.access) == (State.PAUSED, Access.ADMINISTRATORS)
    assert (connection.consent, connection.verified_at) == (None, None)
    assert (connection.settings, connection.created_at) == (kept.settings, kept.created_at)
    assert not ConnectionSecret.objects.exists()
    assert not ConnectionUserObjectPermission.objects.exists()
    assert not RemovedConnection.objects.exists()
    assert AuditEntry.objects.get(action="connection.restored").object_uuid == kept.uuid
    assert "Nothing to restore" in client.get(LIST).content.decode()
    # a second window still shows the dialog, or the button is pressed once more
    again = client.post(url, {"name": kept.name}, headers=headers)
    assert (again["HX-Redirect"] if headers else again["Location"]) == there
    assert f"{kept.name} was restored meanwhile." in client.get(there).content.decode()
    assert AuditEntry.objects.filter(action="connection.restored").count() == 1


def test_the_lists_lead_there(client: Client, admin: User) -> None:
    connection = make_connection(actor=admin)
    assert "Removed (" not in client.get(reverse("connections:exports")).content.decode()
    removed(connection, admin)
    for tab in ("exports", "enrichment"):
        page = client.get(reverse(f"connections:{tab}")).content.decode()
        assert f'href="{LIST}"' in page
        assert "Removed (1)" in page


def test_the_list_is_sorted_by_any_column(client: Client, admin: User) -> None:
    settings = {"auth_method": "password", "username": "portal", "hostname": "files.example.com"}
    removed(make_connection(actor=admin, name="beta"), admin)
    removed(make_connection(actor=admin, name="Alpha"), admin)
    removed(
        make_connection(actor=admin, name="Gamma", type_key="sftp_custom_import", settings=settings), admin
    )

    def listed(sort: str) -> str:
        page = client.get(LIST, {"sort": sort}, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in page
        return "".join(re.findall(r'<span class="name clip-2">(\w)', page))

    assert [listed(sort) for sort in ("", "nonsense", "-removed", "removed")] == ["GAb", "GAb", "GAb", "bAG"]
    assert [listed(sort) for sort in ("name", "-name")] == ["AbG", "GbA"]
    assert [listed(sort) for sort in ("type", "-type")] == ["AbG", "GAb"]
    assert [listed(sort) for sort in ("until", "-until")] == ["bAG", "GAb"]


def test_a_name_that_was_taken_meanwhile(client: Client, kept: RemovedConnection, admin: User) -> None:
    make_connection(actor=admin, name=kept.name.upper())
    url = reverse("connections:restore", args=[kept.uuid])
    answer = client.post(url, {"name": kept.name})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "A connection of this type already has this name. Choose another one." in page
    assert f'value="{kept.name}" autocomplete="off" aria-invalid="true"' in page
    assert client.post(url, {"name": "Another name"}).status_code == 303
    assert Connection.objects.get(uuid=kept.uuid).name == "Another name"


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "zero\u200bwidth", "nul\0"])
def test_a_name_that_is_none(client: Client, kept: RemovedConnection, name: str) -> None:
    answer = client.post(reverse("connections:restore", args=[kept.uuid]), {"name": name})
    assert answer.status_code == 422
    assert 'id="restore-name_error"' in answer.content.decode()
    assert RemovedConnection.objects.exists()


def test_nothing_from_before_fits_it(kept: RemovedConnection, admin: User, contributor: User) -> None:
    """An old page, or a run that was frozen since, has a version and an epoch that were once true."""
    AuditEntry.objects.get(action="connection.removed")
    connection = restore_connection(removed=kept, name=kept.name, actor=admin)
    assert connection.epoch > 1
    with pytest.raises(Stale):
        share_connection(connection=connection, version=1, access=Access.CONTRIBUTORS, actor=admin)
    Connection.objects.filter(pk=connection.pk).update(version=9)
    again = removed(Connection.objects.get(pk=connection.pk), admin)
    assert restore_connection(removed=again, name="Again", actor=admin).version == 10


def test_after_thirty_days_it_is_forgotten(
    client: Client, kept: RemovedConnection, admin: User, settings: object
) -> None:
    now = timezone.now()
    assert purge_removed(now + dt.timedelta(days=29)) == 0
    RemovedConnection.objects.update(keep_until=now)
    # not offered any more, even before the clock has come round
    assert "Nothing to restore" in client.get(LIST).content.decode()
    assert client.get(reverse("connections:restore", args=[kept.uuid])).status_code == 404
    with pytest.raises(Stale):
        restore_connection(removed=kept, name=kept.name, actor=admin)
    assert purge_removed(now) == 1
    assert not RemovedConnection.objects.exists()
    forgotten = AuditEntry.objects.get(action="connection.forgotten")
    assert (forgotten.object_uuid, forgotten.object_label, forgotten.actor_id) == (kept.uuid, kept.name, None)


def test_a_type_that_is_gone(kept: RemovedConnection, admin: User, client: Client) -> None:
    RemovedConnection.objects.update(type_key="carrier_pigeon")
    with pytest.raises(OperationError, match="no longer available"):
        restore_connection(removed=kept, name=kept.name, actor=admin)
    assert client.get(LIST).status_code == 200


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_it_is_resumed_like_a_new_one(client: Client, admin: User, server: Server, htmx: bool) -> None:
    """Secrets are typed, verified and agreed to; before that it is of no use."""
    kept = removed(connect(server, actor=admin), admin)
    connection = restore_connection(removed=kept, name=kept.name, actor=admin)
    page = Edit(client, connection, htmx=htmx)
    page.verify()
    assert page.answer.status_code == 422  # no password is kept
    page.typed["password"] = server.password
    page.verify()
    assert page.press("resume").status_code == 422  # not agreed
    page.agree()
    assert page.press("resume").status_code in (204, 303)
    connection.refresh_from_db()
    assert connection.state == State.READY
    assert connection.consent is not None
    assert connection.access == Access.ADMINISTRATORS
