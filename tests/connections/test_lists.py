"""Lists of connections: what they cost, find and say about access."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from connections.models import Access, Connection
from connections_portal import roles
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export
from tests.connections.filling import text_of
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
LIST = "/settings/connections/exports/"
HTMX = {"HX-Request": "true"}


def add(admin: User, number: int, **more: object) -> Connection:
    connection = make_connection(actor=admin, name=f"Connection {number:02d}", **more)  # type: ignore[arg-type]
    Export.objects.create(
        name=f"Export {number}",
        name_key=f"export {number}",
        connection=connection,
        type_key="sftp",
        folder_name=f"e{number}",
    )
    return connection


@pytest.mark.parametrize("sort", ["name", "-used", "access"])
def test_twenty_rows_cost_what_one_costs(
    admin: User, contributor: User, outsider: User, client_of: Clients, sort: str
) -> None:
    team = Group.objects.create(name="Campaign team")
    client = client_of(admin)

    def queries() -> int:
        with CaptureQueriesContext(database) as captured:
            assert client.get(f"{LIST}?sort={sort}&q=connection").status_code == 200
        return len(captured)

    share = {"access": Access.SPECIFIC, "people": [contributor, outsider], "groups": [team]}
    add(admin, 0, **share)
    queries()  # what is only looked up once
    one = queries()
    for number in range(1, 20):
        add(admin, number, **share)
    assert queries() == one


def test_htmx_gets_the_table_alone(admin: User, client_of: Clients) -> None:
    add(admin, 1)
    page = client_of(admin).get(f"{LIST}?q=01", headers=HTMX).content.decode()
    assert page.lstrip().startswith('<div id="connections-table"')
    assert "Connection 01" in page
    assert "<html" not in page


def test_a_name_is_found_however_its_letters_are_written(admin: User, client_of: Clients) -> None:
    make_connection(actor=admin, name="ﬁles of Straße 5")
    client = client_of(admin)
    for words in ("FILES", "strasse", "ﬁles", "ＦＩＬＥＳ"):
        assert "ﬁles of Straße 5" in client.get(LIST, {"q": words}).content.decode(), words
    assert "Nothing found" in client.get(LIST, {"q": "street"}).content.decode()


def test_an_idle_grant_is_not_called_access(
    admin: User, contributor: User, outsider: User, client_of: Clients
) -> None:
    connection = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor, outsider])
    client = client_of(admin)

    def said() -> tuple[bool, bool]:
        detail = client.get(reverse("connections:detail", args=[connection.uuid])).content.decode()
        text = text_of(client.get(LIST).content.decode()), text_of(detail)
        return all("Ana Weber" in t for t in text), all("Administrators, Ben Okafor" in t for t in text)

    assert said() == (True, False)
    roles.assign(user=contributor, role=Role.VIEWER)
    assert said() == (False, True)
    User.objects.filter(pk=outsider.pk).update(is_active=False)
    assert said() == (False, False)
    assert "Administrators" in text_of(client.get(LIST, headers=HTMX).content.decode())


def test_tabs_say_how_many_there_are(admin: User, client_of: Clients) -> None:
    add(admin, 1)
    add(admin, 2)
    for page in ("connections:discover", "connections:exports", "connections:enrichment"):
        text = text_of(client_of(admin).get(reverse(page)).content.decode())
        assert "Enrichment 0 Exports 2" in text
    assert "2 connections" in text_of(client_of(admin).get(reverse("connections:discover")).content.decode())
