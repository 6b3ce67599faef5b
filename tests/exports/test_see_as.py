"""*See it as a contributor* shows what the form of that person offers, and looking changes nothing."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection, State
from connections_portal import roles
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from tests.exports.filling import text
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]


def see_as(client: Client, person: User | str) -> Any:
    return client.get(reverse("see_as"), {"person": person.pk if isinstance(person, User) else person})


def choice(page: str) -> str:
    """The choice of connections, without what sends it somewhere."""
    found = re.search(r'<select name="connection".*?</select>', page, re.DOTALL)
    assert found, page
    return re.sub(r' hx-[a-z-]+="[^"]*"', "", found[0])


def test_it_is_the_picker_of_that_person(
    connection: Connection,
    hidden: Connection,
    data: object,
    admin: User,
    contributor: User,
    client_of: Clients,
) -> None:
    make_connection(actor=admin, name="For all of them", access=Access.CONTRIBUTORS)
    theirs = choice(text(client_of(contributor).get(reverse("exports:create"))))
    page = text(see_as(client_of(admin), contributor))
    assert choice(page) == theirs
    assert {"For all of them", connection.name} <= set(re.findall(r">([^<>]+)</option>", theirs))
    assert hidden.name not in page
    assert "2 connections are offered" in page


def test_what_is_shared_and_not_ready_is_told_apart(
    connection: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    Connection.objects.update(state=State.NEEDS_ATTENTION)
    page = text(see_as(client_of(admin), contributor))
    assert "No connection that is shared with you can be used at present." in page
    assert "Shared, not offered" in page
    assert f"{connection.name}: Needs attention" in page


def test_a_look_is_recorded_and_changes_nothing(
    connection: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    client = client_of(admin)
    before = dict(client.session.items())
    assert see_as(client, contributor).status_code == 200
    entry = AuditEntry.objects.get(action="connection.seen_as")
    assert (entry.actor_id, entry.object_label) == (admin.pk, "Ana Weber")
    assert dict(client.session.items()) == before
    assert "Lena Hofmann" in text(client.get(reverse("home")))
    assert "Settings" in text(client.get(reverse("home")))
    # no form and no button in it that could save anything as anybody
    page = text(see_as(client, contributor))
    main = page[page.index("<main") : page.index("</main>")]
    assert "<form" not in main
    assert "hx-post" not in main


def test_only_contributors_can_be_seen_as(
    admin: User, contributor: User, viewer: User, client_of: Clients
) -> None:
    client = client_of(admin)
    left = make_person("left", Role.CONTRIBUTOR)
    User.objects.filter(pk=left.pk).update(is_active=False)
    for person in (admin, viewer, left, "987654", "²", "x", "-1", "9" * 40, "\x00"):
        assert see_as(client, person).status_code == 404, person
    roles.assign(user=contributor, role=Role.VIEWER)
    assert see_as(client, contributor).status_code == 404
    assert not AuditEntry.objects.filter(action="connection.seen_as").exists()


def test_people_are_found_by_name(admin: User, contributor: User, outsider: User, client_of: Clients) -> None:
    client = client_of(admin)
    page = text(client.get(reverse("see_as")))
    assert "Ana Weber" in page
    assert "Ben Okafor" in page
    page = text(client.get(reverse("see_as"), {"q": "weber ana"}))
    assert "Ana Weber" in page
    assert "Ben Okafor" not in page
    assert "Nobody found" in text(client.get(reverse("see_as"), {"q": "zzz"}))
