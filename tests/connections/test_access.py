"""*Explain access* says of every person and connection what ``can_use`` decides, and why, in one query."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from connections import access
from connections.access import ALLOWED, Why
from connections.models import Access, Connection, State
from connections.permissions import can_use
from connections_portal.models import User
from connections_portal.roles import Role
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]


@pytest.fixture
def everybody(
    admin: User, contributor: User, outsider: User, viewer: User, support: User, nobody: User
) -> dict[str, User]:
    """Each role; each role in a group; a contributor in two groups; somebody deactivated; a superuser."""
    team, other = Group.objects.create(name="Campaign team"), Group.objects.create(name="Loyalty")
    people = {
        "admin": admin,
        "contributor": contributor,
        "outsider": outsider,
        "viewer": viewer,
        "support": support,
        "nobody": nobody,
        "root": User.objects.create_superuser("root", password="correct horse battery staple"),
    }
    for role in Role:
        people[f"member-{role}"] = make_person(f"member-{role}", role)
        people[f"member-{role}"].groups.add(team)
    people["member-of-both"] = make_person("both", Role.CONTRIBUTOR)
    people["member-of-both"].groups.add(team, other)
    people["left"] = make_person("left", Role.CONTRIBUTOR)
    people["left"].groups.add(team)
    User.objects.filter(pk=people["left"].pk).update(is_active=False)
    return {name: User.objects.get(pk=person.pk) for name, person in people.items()}


@pytest.fixture
def connections(admin: User, everybody: dict[str, User]) -> dict[str, Connection]:
    """Shared with nobody, with all, with many by name, with a group, with two groups, with a person and a group."""
    team, other = Group.objects.get(name="Campaign team"), Group.objects.get(name="Loyalty")
    by_name = [everybody[n] for n in ("contributor", "viewer", "support", "nobody", "left", "admin", "root")]
    ways: dict[str, dict[str, Any]] = {
        "nobody": {},
        "all": {"access": Access.CONTRIBUTORS},
        "by name": {"access": Access.SPECIFIC, "people": by_name},
        "group": {"access": Access.SPECIFIC, "groups": [team]},
        "groups": {"access": Access.SPECIFIC, "groups": [team, other]},
        "both": {"access": Access.SPECIFIC, "people": [everybody["member-of-both"]], "groups": [team]},
        "for enrichments": {"type_key": "sftp_custom_import"},
    }
    made = {name: make_connection(actor=admin, name=name, **how) for name, how in ways.items()}
    Connection.objects.filter(pk=made["group"].pk).update(state=State.PAUSED)
    return made


def _for(connection: Connection) -> str:
    """What the connection is there for."""
    return "enrichment" if connection.type_key in access.open_types() else "export"


def test_it_says_what_the_rule_decides(
    everybody: dict[str, User], connections: dict[str, Connection]
) -> None:
    decided = {
        (person.pk, connection.pk): can_use(person, connection, _for(connection))
        for person, connection in product(everybody.values(), connections.values())
    }
    assert 0 < sum(decided.values()) < len(decided)
    for person in everybody.values():
        with CaptureQueriesContext(database) as asked:
            rows: list[Any] = list(access.of_person(person))
        assert len(asked) == 1
        told = {(person.pk, row.pk): row.why in ALLOWED for row in rows}
        assert told == {pair: may for pair, may in decided.items() if pair[0] == person.pk}, person
    for connection in connections.values():
        with CaptureQueriesContext(database) as asked:
            rows = list(access.of_connection(connection))
        assert len(asked) == 1
        told = {(row.pk, connection.pk): row.why in ALLOWED for row in rows}
        assert told == {pair: may for pair, may in decided.items() if pair[1] == connection.pk}, connection


@pytest.mark.parametrize(
    ("who", "what", "why", "grants"),
    [
        ("root", "nobody", Why.SUPERUSER, (False, None, 0)),
        ("admin", "by name", Why.ADMINISTRATOR, (True, None, 0)),
        ("contributor", "nobody", Why.NOT_SHARED, (False, None, 0)),
        ("contributor", "for enrichments", Why.ENRICHMENT, (False, None, 0)),
        ("outsider", "for enrichments", Why.ENRICHMENT, (False, None, 0)),
        ("admin", "for enrichments", Why.ADMINISTRATOR, (False, None, 0)),
        ("viewer", "for enrichments", Why.VIEWER, (False, None, 0)),
        ("left", "for enrichments", Why.INACTIVE, (False, None, 0)),
        ("contributor", "all", Why.CONTRIBUTORS, (False, None, 0)),
        ("contributor", "by name", Why.PERSON, (True, None, 0)),
        ("outsider", "by name", Why.NOT_SHARED, (False, None, 0)),
        ("member-Contributor", "group", Why.GROUP, (False, "Campaign team", 1)),
        ("member-of-both", "groups", Why.GROUP, (False, "Campaign team", 2)),
        ("member-of-both", "both", Why.PERSON, (True, "Campaign team", 1)),
        ("viewer", "all", Why.VIEWER, (False, None, 0)),
        ("viewer", "by name", Why.VIEWER, (True, None, 0)),
        ("member-Viewer", "group", Why.VIEWER, (False, "Campaign team", 1)),
        ("support", "by name", Why.SUPPORT, (True, None, 0)),
        ("nobody", "by name", Why.NO_ROLE, (True, None, 0)),
        ("left", "groups", Why.INACTIVE, (False, "Campaign team", 1)),
    ],
)
def test_which_one_it_is(
    who: str,
    what: str,
    why: Why,
    grants: tuple[bool, str | None, int],
    everybody: dict[str, User],
    connections: dict[str, Connection],
) -> None:
    of_person = access.of_person(everybody[who]).get(pk=connections[what].pk)
    of_connection = access.of_connection(connections[what]).get(pk=everybody[who].pk)
    both: list[Any] = [of_person, of_connection]
    for row in both:
        assert (Why(row.why), (row.by_name, row.first_group, row.group_count)) == (why, grants)


# ---- the pages


def page(client: Client, url: str, **asked: str) -> str:
    answer = client.get(url, asked)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_page_of_a_person(
    everybody: dict[str, User], connections: dict[str, Connection], client_of: Clients
) -> None:
    client = client_of(everybody["admin"])
    both = reverse("permissions:access", args=[everybody["member-of-both"].pk])
    shown = page(client, both)
    assert "Shared with the group Campaign team and 1 other group of theirs." in shown
    assert "Taking one of them away leaves the others." in shown
    assert "Also shared with the group Campaign team: taking one away leaves the other." in shown
    assert "It is paused: until it is resumed it is offered to nobody and runs nothing." in shown
    viewer = page(client, reverse("permissions:access", args=[everybody["viewer"].pk]))
    assert "Shared with them by name, which lies idle while they are no active contributor." in viewer
    assert ">May use<" not in viewer.split("<tbody>")[1]
    may = page(client, both, answer="yes")
    assert (connections["all"].name in may, f">{connections['nobody'].name}</a>" in may) == (True, False)
    may_not = page(client, both, answer="no", sort="-access")
    assert f">{connections['nobody'].name}</a>" in may_not
    assert "Nothing matches your search" in page(client, both, q="zzz")


def test_the_page_of_a_connection(
    everybody: dict[str, User], connections: dict[str, Connection], client_of: Clients
) -> None:
    client = client_of(everybody["admin"])
    url = reverse("connections:access", args=[connections["group"].uuid])
    shown = page(client, url)
    for who in everybody.values():
        assert reverse("permissions:access", args=[who.pk]) in shown
    assert "It is paused" in shown
    assert "Deactivated: they cannot sign in." in shown
    found = page(client, url, q="ana WEBER")
    assert "Ana Weber" in found
    assert "Ben Okafor" not in found
    allowed = page(client, url, answer="yes", sort="-role")
    assert "member-Contributor" in allowed
    assert "member-Viewer" not in allowed


def test_many_people_cost_no_more_queries(
    everybody: dict[str, User], connections: dict[str, Connection], client_of: Clients
) -> None:
    client = client_of(everybody["admin"])
    urls = [
        reverse("connections:access", args=[connections["both"].uuid]),
        reverse("permissions:access", args=[everybody["member-of-both"].pk]),
        reverse("permissions:people"),
        reverse("permissions:groups"),
    ]

    def queries() -> list[int]:
        numbers = []
        for url in urls:
            with CaptureQueriesContext(database) as asked:
                assert client.get(url).status_code == 200
            numbers.append(len(asked))
        return numbers

    few = queries()
    team = Group.objects.get(name="Campaign team")
    for number in range(30):
        make_person(f"person{number}", Role.CONTRIBUTOR).groups.add(team)
        more = make_connection(
            actor=everybody["admin"], name=f"Connection {number}", access=Access.SPECIFIC, groups=[team]
        )
        group = Group.objects.create(name=f"Group {number}")
        more.group_grants.create(permission=more.group_grants.get().permission, group=group)
    assert queries() == few
    assert "1–25 of" in page(client, urls[0])
