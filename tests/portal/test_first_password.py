"""A password that an administrator chose is good for choosing another one, and for nothing else."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections_portal import first_password, people
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

GIVEN, OWN = "wool carrot tractor 9", "a password of my own 4"


@pytest.fixture
def newcomer(admin: User) -> User:
    return people.add_person(username="tomas", role=Role.SUPPORT, password=GIVEN, actor=admin)


def sign_in(client: Client, password: str) -> int:
    return client.post(reverse("sign_in"), {"username": "tomas", "password": password}).status_code


def change(client: Client, old: str, new: str) -> int:
    typed = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post(reverse("password_change"), typed).status_code


def test_nothing_opens_before_it_is_changed(newcomer: User, client: Client) -> None:
    page = reverse("password_change")
    for _again in range(2):  # signing in once more is no way round it
        assert sign_in(client, GIVEN) == 302
        for url in (reverse("home"), reverse("exports:list"), reverse("admin:index"), "/nowhere/"):
            answer = client.get(url)
            assert (answer.status_code, answer["Location"]) == (303, page), url
        swapped = client.get(reverse("home"), headers={"HX-Request": "true"})
        assert (swapped.status_code, swapped["HX-Redirect"]) == (204, page)
        asked = client.get(page)
        assert "Somebody else knows the password" in asked.content.decode()
        assert "Cancel" not in asked.content.decode()
        client.post(reverse("sign_out"))
    assert sign_in(client, GIVEN) == 302
    assert change(client, GIVEN, GIVEN) == 422, "the same again is no change"
    assert User.objects.get(pk=newcomer.pk).must_change_password
    assert change(client, GIVEN, OWN) == 303
    assert client.get(reverse("home")).status_code == 200
    client.post(reverse("sign_out"))
    assert sign_in(client, GIVEN) == 422
    assert sign_in(client, OWN) == 302


def test_a_new_one_ends_what_was_signed_in(
    admin: User, contributor: User, client_of: Callable[[User | None], Client]
) -> None:
    client = client_of(contributor)
    assert client.get(reverse("home")).status_code == 200
    people.set_password(person=contributor, password=GIVEN, actor=admin)
    assert client.get(reverse("home")).status_code == 302
    assert User.objects.get(pk=contributor.pk).must_change_password
    entry = AuditEntry.objects.get(action="person.password_set")
    assert GIVEN not in str(entry.details)


def test_what_is_made_is_long_enough_and_never_the_same(newcomer: User) -> None:
    made = {first_password.made_password() for _time in range(200)}
    assert len(made) == 200
    assert {len(password) for password in made} == {23}
    people.set_password(person=newcomer, password=made.pop(), actor=None)
