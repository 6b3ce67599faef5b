"""*Remove* a connection that nothing uses: what goes, what stays, and what cannot be confirmed."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import (
    Access,
    Connection,
    ConnectionSecret,
    ConnectionUserObjectPermission,
    Consent,
    RemovedConnection,
)
from connections.operations.remove import impact_of
from connections_portal.models import AuditEntry, User
from tests.connections.filling import text_of
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
HTMX = {"HX-Request": "true", "HX-Target": "dialog-body"}


@pytest.fixture
def connection(admin: User, contributor: User) -> Connection:
    return make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])


@pytest.fixture
def url(connection: Connection) -> str:
    return reverse("connections:remove", args=[connection.uuid])


def shown(page: str) -> dict[str, str]:
    """What the button of the dialog sends."""
    return dict(re.findall(r'name="(impact)" value="([^"]*)"', page))


def test_with_script(connection: Connection, url: str, admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    dialog = client.get(url, headers=HTMX).content.decode()
    assert "<html" not in dialog
    assert "Remove Newsletter, SFTP EU" in dialog
    assert "sftp://files.example.com/in" in dialog
    assert "Nothing uses it." in dialog
    answer = client.post(url, shown(dialog), headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, reverse("connections:exports"))
    assert not Connection.objects.exists()
    assert not ConnectionSecret.objects.exists()
    assert not ConnectionUserObjectPermission.objects.exists()
    assert Consent.objects.get().connection_uuid == connection.uuid
    assert AuditEntry.objects.get(action="connection.created").object_uuid == connection.uuid


def test_what_is_kept_for_thirty_days(
    connection: Connection, url: str, admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    assert client.post(url, shown(client.get(url).content.decode())).status_code == 303
    kept = RemovedConnection.objects.get()
    assert (kept.uuid, kept.name, kept.type_key) == (connection.uuid, connection.name, "sftp")
    assert (kept.settings, kept.removed_by_label) == (connection.settings, str(admin))
    assert kept.epoch == connection.epoch + 1
    assert abs(kept.keep_until - kept.removed_at - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_removed_in_another_tab(
    connection: Connection, url: str, admin: User, client_of: Clients, headers: dict[str, str]
) -> None:
    client = client_of(admin)
    sent = shown(client.get(url).content.decode())
    assert client.post(url, sent).status_code == 303
    answer = client.post(url, sent, headers=headers)
    if headers:
        assert answer["HX-Redirect"] == reverse("connections:exports")
    else:
        assert (answer.status_code, answer["Location"]) == (303, reverse("connections:exports"))
    assert "was removed meanwhile" in client.get(reverse("connections:exports")).content.decode()
    assert AuditEntry.objects.filter(action="connection.removed").count() == 1


def test_from_the_list_the_list_stays(
    connection: Connection, url: str, admin: User, client_of: Clients
) -> None:
    there = HTMX | {"HX-Current-URL": "http://testserver/settings/connections/exports/?q=news&page=2"}
    answer = client_of(admin).post(url, {"impact": impact_of(connection)}, headers=there)
    assert "HX-Redirect" not in answer
    assert '"closeDialogs": true' in answer["HX-Trigger"]
    assert '"listChanged": true' in answer["HX-Trigger"]
    assert "Newsletter, SFTP EU is removed." in answer.content.decode()
    assert not Connection.objects.exists()


@pytest.mark.parametrize("impact", ["", "9" * 5_000, "1\0", "é" * 64])
def test_no_token_at_all(
    connection: Connection, url: str, admin: User, client_of: Clients, impact: str
) -> None:
    answer = client_of(admin).post(url, {"impact": impact})
    assert answer.status_code == 409
    assert "This has changed since you opened this dialog" in text_of(answer.content.decode())
    assert Connection.objects.exists()


def test_the_stale_dialog_brings_the_token_that_works(
    connection: Connection, url: str, admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    sent = shown(client.get(url).content.decode())
    Connection.objects.update(version=2)
    answer = client.post(url, sent)
    assert answer.status_code == 409
    assert client.post(url, shown(answer.content.decode())).status_code == 303
    assert not Connection.objects.exists()
