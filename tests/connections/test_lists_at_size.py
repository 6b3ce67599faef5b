"""Lists of many connections: order, search, filters and pages, all in the address and all in the database."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from connections import connectors, listing
from connections.connectors.sftp import Sftp
from connections.models import Access, Connection, State
from connections_portal import roles
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export
from tests.connections.filling import text_of
from tests.factories import SETTINGS, make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
Listed = Callable[..., list[str]]
LIST = "/settings/connections/exports/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def listed(admin: User, client_of: Clients) -> Listed:
    """The names in the table at an address, from the top."""
    client = client_of(admin)

    def names(query: str = "", **headers: str) -> list[str]:
        body = client.get(f"{LIST}?{query}", headers=headers).content.decode()
        return re.findall(r'<a class="name clip-2"[^>]*>(.*?)</a>', body)

    return names


def use(connection: Connection, number: int) -> None:
    for position in range(number):
        name = f"{connection.name} {position}"
        Export.objects.create(
            name=name, name_key=name.lower(), folder_name=name.lower(), connection=connection, type_key="sftp"
        )


def three(admin: User) -> list[Connection]:
    return [make_connection(actor=admin, name=name) for name in ("Alpha", "beta", "Gamma")]


def test_by_name_and_age(admin: User, listed: Listed) -> None:
    alpha, _beta, _gamma = three(admin)
    assert listed() == listed("sort=name") == ["Alpha", "beta", "Gamma"]
    assert listed("sort=-name") == ["Gamma", "beta", "Alpha"]
    Connection.objects.filter(pk=alpha.pk).update(created_at=timezone.now())
    assert listed("sort=created") == ["beta", "Gamma", "Alpha"]
    assert listed("sort=-created") == ["Alpha", "Gamma", "beta"]
    # an order that does not exist is the usual one
    assert listed("sort=settings__hostname") == listed("sort=--name") == ["Alpha", "beta", "Gamma"]


def test_by_status_the_most_pressing_first(admin: User, listed: Listed) -> None:
    for state in State:
        connection = make_connection(actor=admin, name=str(state.label))
        Connection.objects.filter(pk=connection.pk).update(state=state)
    pressing = ["Needs attention", "Not verified", "Paused", "Ready"]
    assert listed("sort=status") == pressing
    assert listed("sort=-status") == pressing[::-1]


def test_by_type_as_it_is_called(admin: User, listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    class Archive(Sftp):
        """A type whose name and key stand in different places of the alphabet."""

        key = "aaa"
        connection_name = "Zebra archive"

    for module in (connectors, listing):
        monkeypatch.setattr(module, "CONNECTORS", (Sftp, Archive))
    alpha, _beta, _gamma = three(admin)
    Connection.objects.filter(pk=alpha.pk).update(type_key="aaa")
    assert listed("sort=type") == ["beta", "Gamma", "Alpha"]
    assert listed("sort=-type") == ["Alpha", "beta", "Gamma"]
    assert listed("type=aaa") == listed("q=zebra") == ["Alpha"]
    assert listed("q=files.example.com") == ["Alpha", "beta", "Gamma"]


def test_by_use(admin: User, listed: Listed) -> None:
    alpha, beta, _gamma = three(admin)
    use(alpha, 2)
    use(beta, 1)
    assert listed("sort=used") == ["Gamma", "beta", "Alpha"]
    assert listed("sort=-used") == ["Alpha", "beta", "Gamma"]


def test_by_how_many_have_access(admin: User, contributor: User, outsider: User, listed: Listed) -> None:
    team, empty = Group.objects.create(name="Campaign team"), Group.objects.create(name="Empty")
    team.user_set.add(contributor)
    shares: dict[str, dict[str, object]] = {
        "All": {"access": Access.CONTRIBUTORS},
        "Nobody": {"access": Access.ADMINISTRATORS},
        "Three": {"access": Access.SPECIFIC, "people": [contributor, outsider], "groups": [team]},
        "Two": {"access": Access.SPECIFIC, "people": [contributor], "groups": [team]},
        "One": {"access": Access.SPECIFIC, "people": [outsider], "groups": [empty]},
    }
    for name, share in shares.items():
        make_connection(actor=admin, name=name, **share)  # type: ignore[arg-type]
    assert listed("sort=access") == ["Nobody", "One", "Two", "Three", "All"]
    assert listed("sort=-access") == ["All", "Three", "Two", "One", "Nobody"]
    # what lies idle does not count, as it is not named either
    roles.assign(user=outsider, role=Role.VIEWER)
    assert listed("sort=access") == ["Nobody", "One", "Three", "Two", "All"]


def test_search_by_name_and_target(admin: User, listed: Listed) -> None:
    for name, host, folder in (
        ("Alpha", "eu.contoso.example", "in/newsletter"),
        ("Beta", "us.contoso.example:2022", "in"),
        ("Gamma", "files.example.org", ""),
    ):
        typed = SETTINGS | {"hostname": host, "export_folder": folder, "username": "contoso-user"}
        make_connection(actor=admin, name=name, settings=typed)
    assert listed("q=CONTOSO") == ["Alpha", "Beta"]
    assert listed("q=contoso+be") == ["Beta"]
    assert listed("q=newsletter") == listed("q=in/news") == ["Alpha"]
    assert listed("q=sftp://eu.contoso.example/in/newsletter") == ["Alpha"]
    assert listed("q=us.contoso.example:2022/in") == ["Beta"]
    assert listed("q=sftp") == listed("q=sftp://") == ["Alpha", "Beta", "Gamma"]
    # neither who signs in nor how is part of the target
    assert listed("q=contoso-user") == listed("q=password") == []
    # what the database takes for a pattern is only text
    assert listed("q=%25") == listed("q=_") == listed("q=\\") == []


def test_search_loads_no_more_than_one_page(admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    for number in range(3):
        make_connection(actor=admin, name=f"Connection {number}")
    client.get(LIST)
    with CaptureQueriesContext(database) as captured:
        client.get(f"{LIST}?q=files.example.com&page=2", headers=HTMX)
    loading = 'SELECT "connections_connection"."id", "connections_connection"."uuid"'
    rows = [query["sql"] for query in captured.captured_queries if query["sql"].startswith(loading)]
    assert len(rows) == 1
    assert rows[0].endswith(("LIMIT 3", "LIMIT 25"))


def test_filters(admin: User, contributor: User, listed: Listed, client_of: Clients) -> None:
    _alpha, beta, gamma = three(admin)
    Connection.objects.filter(pk=beta.pk).update(state=State.PAUSED)
    Connection.objects.filter(pk=gamma.pk).update(access=Access.CONTRIBUTORS)
    assert listed("type=sftp") == ["Alpha", "beta", "Gamma"]
    assert listed("status=paused") == listed("status=paused&type=sftp&q=bet", **HTMX) == ["beta"]
    assert listed("access=administrators") == ["Alpha", "beta"]
    assert listed("access=administrators&status=ready&sort=-name") == ["Alpha"]
    assert listed("access=contributors&q=alpha") == []
    # what does not exist filters nothing
    assert (
        listed("type=telepathy") == listed("status=x") == listed("access=all") == ["Alpha", "beta", "Gamma"]
    )
    page = client_of(admin).get(f"{LIST}?status=paused&access=administrators&q=bet").content.decode()
    assert '<option value="paused" selected>Paused</option>' in page
    assert '<option value="administrators" selected>Administrators</option>' in page
    # an order keeps what was chosen
    assert 'href="?status=paused&amp;access=administrators&amp;q=bet&amp;sort=-name"' in page
    # nothing found is no empty list
    nothing = client_of(admin).get(f"{LIST}?status=not_verified").content.decode()
    assert "Nothing found" in nothing
    assert 'name="status"' in nothing


def test_pages_keep_search_and_order(admin: User, client_of: Clients, listed: Listed) -> None:
    for number in range(27):
        make_connection(actor=admin, name=f"Connection {number:02d}")
    last = [f"Connection {number:02d}" for number in (1, 0)]
    assert listed("q=connection&sort=-name&page=2") == listed("q=connection&sort=-name&page=99") == last
    page = client_of(admin).get(f"{LIST}?q=connection&sort=-name").content.decode()
    assert "1–25 of 27" in page
    assert 'href="?q=connection&amp;sort=-name&amp;page=2"' in page
    assert 'hx-push-url="true"' in page
    # another order begins at its first page
    second = client_of(admin).get(f"{LIST}?q=connection&page=2").content.decode()
    assert 'href="?q=connection&amp;sort=-used"' in second or 'href="?q=connection&amp;sort=used"' in second


def test_the_table_alone_says_that_nothing_is_left(admin: User, client_of: Clients) -> None:
    table = client_of(admin).get(LIST, headers=HTMX).content.decode()
    assert table.lstrip().startswith('<div id="connections-table"')
    assert "No export connections yet" in text_of(table)
    # it is fetched again, as its address stands, after something was removed
    assert 'hx-trigger="listChanged from:body"' in table


def test_discover_offers_add_connection_too(admin: User, client_of: Clients) -> None:
    three(admin)
    page = client_of(admin).get(reverse("connections:discover")).content.decode()
    menu = page.split('id="add-connection"')[1].split("</ul>")[0]
    assert f'href="{reverse("connections:set_up", args=["sftp"])}"' in menu
    assert f'<a href="{LIST}?type=sftp">3 connections</a>' in page
