"""*Remove* a connection: what goes, what stays, and what cannot be confirmed."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import (
    Access,
    Connection,
    ConnectionSecret,
    ConnectionUserObjectPermission,
    Consent,
)
from connections_portal.models import AuditEntry, User
from exports.models import Export
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def connection(admin: User, contributor: User) -> Connection:
    return make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])


@pytest.fixture
def url(connection: Connection) -> str:
    return reverse("connections:remove", args=[connection.uuid])


def test_with_script(connection: Connection, url: str, admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    dialog = client.get(url, headers=HTMX).content.decode()
    assert "<html" not in dialog
    assert "Newsletter, SFTP EU · sftp://files.example.com/in" in dialog
    answer = client.post(url, {"version": connection.version}, headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, reverse("connections:exports"))
    assert not Connection.objects.exists()
    assert not ConnectionSecret.objects.exists()
    assert not ConnectionUserObjectPermission.objects.exists()
    assert Consent.objects.get().connection_uuid == connection.uuid
    assert AuditEntry.objects.get(action="connection.created").object_uuid == connection.uuid
    # a second window still shows the dialog
    assert client.post(url, {"version": connection.version}).status_code == 404


def test_from_the_list_the_list_stays(
    connection: Connection, url: str, admin: User, client_of: Clients
) -> None:
    there = HTMX | {"HX-Current-URL": "http://testserver/settings/connections/exports/?q=news&page=2"}
    answer = client_of(admin).post(url, {"version": connection.version}, headers=there)
    assert "HX-Redirect" not in answer
    assert '"closeDialogs": true' in answer["HX-Trigger"]
    assert '"listChanged": true' in answer["HX-Trigger"]
    assert "Newsletter, SFTP EU is removed." in answer.content.decode()
    assert not Connection.objects.exists()


@pytest.mark.parametrize("version", ["9" * 5_000, "1\0", "-1", "1.0"])
def test_no_version_at_all(
    connection: Connection, url: str, admin: User, client_of: Clients, version: str
) -> None:
    answer = client_of(admin).post(url, {"version": version})
    assert answer.status_code == 409
    assert "was changed since you opened this dialog" in answer.content.decode()
    assert Connection.objects.exists()


def test_the_stale_dialog_brings_the_version_that_works(
    connection: Connection, url: str, admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    Connection.objects.update(version=2)
    page = client.post(url, {"version": 1}).content.decode()
    assert 'name="version" value="2"' in page
    assert client.post(url, {"version": 2}).status_code == 303
    assert not Connection.objects.exists()


def test_used_after_the_dialog_was_opened(
    connection: Connection, url: str, admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    assert "Nothing uses it." in client.get(url).content.decode()
    for number in (1, 2):
        Export.objects.create(
            name=f"Export {number}",
            name_key=f"export {number}",
            connection=connection,
            type_key="sftp",
            folder_name=f"e{number}",
        )
    answer = client.post(url, {"version": connection.version})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "This connection is used by 2 exports." in page
    for export in Export.objects.all():
        assert f'<a href="{reverse("exports:detail", args=[export.uuid])}">{export.name}</a>' in page
    assert ConnectionSecret.objects.exists()
    # detached, nothing is in the way any more
    Export.objects.update(connection=None)
    assert client.post(url, {"version": connection.version}).status_code == 303
    assert Export.objects.count() == 2
