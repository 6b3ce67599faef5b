"""*Share*: three choices, a picker that works with hundreds of people, versions, idle grants."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection
from connections.operations.remove import impact_of, remove_connection
from connections.permissions import can_use
from connections.sharing import set_grants
from connections_portal import roles
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(actor=admin)


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


def url(connection: Connection) -> str:
    return reverse("connections:share", args=[connection.uuid])


def person(user: User) -> str:
    return f"person:{user.pk}"


def ticked(page: str) -> list[str]:
    return re.findall(r'name="grantees" value="([^"]+)" checked', page)


def offered(page: str) -> list[str]:
    return re.findall(r'name="grantees" value="([^"]+)"', page)


def sent(connection: Connection, access: str, *keys: str, **more: Any) -> dict[str, Any]:
    version = Connection.objects.get(pk=connection.pk).version
    return {"version": version, "access": access, "grantees": list(keys), "action": "save"} | more


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_sharing_with_a_person_and_a_group(
    connection: Connection, client: Client, admin: User, contributor: User, outsider: User, script: bool
) -> None:
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(outsider)
    headers = {"HX-Request": "true"} if script else {}
    form = sent(connection, "specific", person(contributor), f"group:{team.pk}")
    answer = client.post(url(connection), form, headers=headers)
    place = reverse("connections:detail", args=[connection.uuid])
    if script:
        assert (answer.status_code, answer["HX-Redirect"]) == (204, place)
    else:
        assert (answer.status_code, answer["Location"]) == (303, place)
    assert can_use(contributor, connection)
    assert can_use(outsider, connection)
    stored = Connection.objects.get()
    assert (stored.access, stored.version, stored.epoch, stored.updated_by) == ("specific", 2, 1, admin)
    entry = AuditEntry.objects.get(action="connection.shared")
    assert entry.actor_id == admin.pk
    assert entry.details == {
        "access": "specific",
        "people": ["Ana Weber"],
        "groups": ["Campaign team"],
        "gained": ["Ana Weber", "Ben Okafor"],
        "lost": [],
    }
    page = client.get(url(connection)).content.decode()
    assert ticked(page) == [person(contributor), f"group:{team.pk}"]
    assert "Group of 1 contributor" in page
    client.post(url(connection), sent(connection, "contributors"))
    assert AuditEntry.objects.filter(action="connection.shared").first().details["gained"] == []  # type: ignore[union-attr]
    client.post(url(connection), sent(connection, "administrators"))
    entry = AuditEntry.objects.filter(action="connection.shared").first()  # type: ignore[assignment]
    assert sorted(entry.details["lost"]) == ["Ana Weber", "Ben Okafor"]
    assert not can_use(contributor, connection)


def test_what_is_as_it_was_changes_nothing(connection: Connection, client: Client, contributor: User) -> None:
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    Connection.objects.update(access=Access.SPECIFIC)
    grant = connection.user_grants.get().pk
    assert client.post(url(connection), sent(connection, "specific", person(contributor))).status_code == 303
    assert Connection.objects.get().version == 1
    assert connection.user_grants.get().pk == grant
    assert not AuditEntry.objects.filter(action="connection.shared").exists()


@pytest.mark.parametrize("access", ["", "everybody", "\x00"])
def test_one_of_three_answers(connection: Connection, client: Client, contributor: User, access: str) -> None:
    answer = client.post(url(connection), sent(connection, access, person(contributor)))
    assert answer.status_code == 422
    assert 'id="share_access_error"' in answer.content.decode()
    assert "Choose one of the answers." in answer.content.decode()
    assert ticked(answer.content.decode()) == [person(contributor)]
    assert Connection.objects.get().version == 1


def test_somebody_has_to_be_chosen(connection: Connection, client: Client) -> None:
    answer = client.post(url(connection), sent(connection, "specific"))
    assert answer.status_code == 422
    assert "Choose at least one person or group." in answer.content.decode()


def test_only_contributors_and_groups_of_them_can_be_chosen(
    connection: Connection, client: Client, contributor: User, viewer: User, admin: User, support: User
) -> None:
    left = make_person("left", Role.CONTRIBUTOR)
    User.objects.filter(pk=left.pk).update(is_active=False)
    over = make_person("over", Role.CONTRIBUTOR)
    User.objects.filter(pk=over.pk).update(is_superuser=True)
    empty = Group.objects.create(name="Viewers only")
    empty.user_set.add(viewer, left)
    role = Group.objects.get(name=Role.CONTRIBUTOR)
    wrong = [*map(person, (viewer, admin, support, left, over)), f"group:{empty.pk}", f"group:{role.pk}"]
    for key in (*wrong, "person:987654", "person:²", "person:1 ", f"{contributor.pk}", "\x00"):
        answer = client.post(url(connection), sent(connection, "specific", person(contributor), key))
        assert answer.status_code == 422, key
        assert "Choose people and groups from the list." in answer.content.decode(), key
        assert offered(answer.content.decode()) == [person(contributor)], key
    assert Connection.objects.get().version == 1
    assert not connection.user_grants.exists()


def test_hundreds_of_people_are_searched_and_the_chosen_ones_stay(
    connection: Connection, client: Client, contributor: User
) -> None:
    role = Group.objects.get(name=Role.CONTRIBUTOR)
    people = [
        User(username=f"c{n}", first_name="Carla", last_name=f"Number {n}", email=f"c{n}@example.com")
        for n in range(300)
    ]
    role.user_set.add(*User.objects.bulk_create(people))
    Group.objects.create(name="Number crunchers").user_set.add(contributor)
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    Connection.objects.update(access=Access.SPECIFIC)
    page = client.get(url(connection)).content.decode()
    assert offered(page) == [person(contributor)] == ticked(page)
    assert "301 can be chosen" in page
    chosen = User.objects.get(username="c17")
    search = sent(
        connection, "specific", person(contributor), person(chosen), action="search", q="number carla"
    )
    answer = client.post(url(connection), search)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert ticked(page) == offered(page)[:2] == [person(contributor), person(chosen)]
    assert len(offered(page)) == 22
    assert "20 of 299 are shown" in page
    page = client.post(url(connection), search | {"q": "NUMBER crunch"}).content.decode()
    assert len(offered(page)) == 3
    assert "Group of 1 contributor" in page
    page = client.post(url(connection), search | {"q": "c299@"}).content.decode()
    assert offered(page)[2:] == [person(User.objects.get(username="c299"))]
    # nothing has been saved, and the version that the page was made from is still in it
    assert [grant.user for grant in connection.user_grants.all()] == [contributor]
    assert client.post(url(connection), sent(connection, "specific", *ticked(page))).status_code == 303
    assert {grant.user for grant in connection.user_grants.all()} == {contributor, chosen}


def test_a_page_of_hundreds_costs_the_same_queries(
    connection: Connection, client: Client, django_assert_max_num_queries: Any
) -> None:
    role = Group.objects.get(name=Role.CONTRIBUTOR)
    people = User.objects.bulk_create(User(username=f"c{n}") for n in range(500))
    role.user_set.add(*people)
    for n in range(40):
        Group.objects.create(name=f"Team {n}").user_set.add(*people[n : n + 3])
    set_grants(connection, Access.SPECIFIC, people[:200], Group.objects.filter(name__startswith="Team")[:30])
    Connection.objects.update(access=Access.SPECIFIC)
    with django_assert_max_num_queries(30):
        page = client.get(url(connection)).content.decode()
    assert len(ticked(page)) == 230


@pytest.mark.parametrize("how", ["role", "left"])
def test_a_former_contributors_grant_is_kept_named_and_can_be_removed(
    connection: Connection, client: Client, contributor: User, outsider: User, how: str
) -> None:
    team = Group.objects.create(name="Emptied")
    team.user_set.add(contributor)
    set_grants(connection, Access.SPECIFIC, [contributor, outsider], [team])
    Connection.objects.update(access=Access.SPECIFIC)
    if how == "role":
        roles.assign(user=contributor, role=Role.VIEWER)
    else:
        User.objects.filter(pk=contributor.pk).update(is_active=False)
    page = client.get(url(connection)).content.decode()
    assert ticked(page) == [person(contributor), person(outsider), f"group:{team.pk}"]
    assert "No longer a contributor" in page
    assert "Group without contributors" in page
    # nobody else names them
    for address in (reverse("connections:exports"), reverse("connections:detail", args=[connection.uuid])):
        other = client.get(address).content.decode()
        assert "Administrators, Ben Okafor" in other
        assert "Ana Weber" not in other
        assert "Emptied" not in other
    # saved with it: it stays, gives nothing, and counts as nothing gained
    third = make_person("third", Role.CONTRIBUTOR)
    client.post(url(connection), sent(connection, "specific", *ticked(page), person(third)))
    assert connection.user_grants.filter(user=contributor).exists()
    assert not can_use(User.objects.get(pk=contributor.pk), connection)
    assert AuditEntry.objects.get(action="connection.shared").details["gained"] == ["third"]
    # unticked, it is gone: nobody loses anything; ticked again, it cannot be chosen any more
    keys = [person(outsider), person(third)]
    assert client.post(url(connection), sent(connection, "specific", *keys)).status_code == 303
    assert AuditEntry.objects.filter(action="connection.shared").first().details["lost"] == []  # type: ignore[union-attr]
    answer = client.post(url(connection), sent(connection, "specific", *keys, person(contributor)))
    assert answer.status_code == 422
    assert not connection.user_grants.filter(user=contributor).exists()


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_what_the_other_administrator_set(
    connection: Connection,
    client: Client,
    client_of: Clients,
    contributor: User,
    outsider: User,
    script: bool,
) -> None:
    page_version = connection.version
    other = make_person("otto", Role.ADMINISTRATOR, first_name="Otto", last_name="Maier")
    client_of(other).post(url(connection), sent(connection, "specific", person(outsider)))
    headers = {"HX-Request": "true"} if script else {}
    mine = sent(connection, "specific", person(contributor), version=page_version)
    answer = client.post(url(connection), mine, headers=headers)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Otto Maier" in page
    assert "Administrators, Ben Okafor" in page
    assert ticked(page) == [person(contributor)]
    assert [grant.user for grant in connection.user_grants.all()] == [outsider]
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    assert client.post(url(connection), mine | {"version": version[1]}).status_code == 303
    assert [grant.user for grant in connection.user_grants.all()] == [contributor]


@pytest.mark.parametrize("version", ["", "-1", "²", "x" * 900, "99999999999"])
def test_a_version_that_is_none(
    connection: Connection, client: Client, contributor: User, version: str
) -> None:
    form = sent(connection, "specific", person(contributor), version=version)
    assert client.post(url(connection), form).status_code == 409
    assert not connection.user_grants.exists()


def test_a_removed_connection_is_gone(connection: Connection, client: Client) -> None:
    address = url(connection)
    connection.delete()
    assert client.get(address).status_code == 404
    assert client.post(address, {"access": "administrators"}).status_code == 404


def test_pressed_twice_it_is_saved_once(
    connection: Connection, client: Client, admin: User, contributor: User
) -> None:
    values = sent(connection, "specific", person(contributor))
    for _press in range(2):
        answer = client.post(url(connection), values)
        assert answer.status_code == 303
        assert answer["Location"] == reverse("connections:detail", args=[connection.uuid])
    assert AuditEntry.objects.filter(action="connection.shared").count() == 1
    # another choice from the same page, or the same by somebody else, is none
    assert client.post(url(connection), values | {"access": "contributors"}).status_code == 409
    Connection.objects.update(updated_by=None)
    assert client.post(url(connection), values).status_code == 409


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_removed_meanwhile_is_said(connection: Connection, client: Client, admin: User, script: bool) -> None:
    values = sent(connection, "contributors")
    remove_connection(connection=connection, impact=impact_of(connection), actor=admin)
    answer = client.post(url(connection), values, headers={"HX-Request": "true"} if script else {})
    assert answer.status_code == (204 if script else 303)
    where = answer["HX-Redirect" if script else "Location"]
    assert where == reverse("connections:exports")
    assert "The connection was removed meanwhile." in client.get(where).content.decode()
    assert client.get(url(connection)).status_code == 404
