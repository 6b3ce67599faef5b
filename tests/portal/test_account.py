"""Signing in and out, lock-out, password and theme."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections_portal.models import AuditEntry, User
from tests.fixtures import PASSWORD, make_person

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User | None], Client]


def attempt(client: Client, username: str, password: str, **extra: str):
    return client.post(reverse("sign_in"), {"username": username, "password": password, **extra})


def test_signing_in_leads_where_one_wanted_to_go(contributor: User, client: Client) -> None:
    wanted = reverse("exports:list")
    refused = client.get(wanted)
    assert refused.status_code == 302
    assert refused["Location"] == f"{reverse('sign_in')}?next={wanted}"
    answer = attempt(client, contributor.username, PASSWORD, next=wanted)
    assert (answer.status_code, answer["Location"]) == (302, wanted)
    assert client.get(wanted).status_code == 200
    assert AuditEntry.objects.filter(action="account.signed_in", actor_id=contributor.pk).count() == 1


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_signing_in_never_leaves_the_site(contributor: User, client: Client, elsewhere: str) -> None:
    answer = attempt(client, contributor.username, PASSWORD, next=elsewhere)
    assert answer["Location"] == reverse("home")


def test_the_answer_does_not_tell_which_half_is_wrong(contributor: User, client: Client) -> None:
    wrong_password = attempt(client, contributor.username, "not it")
    wrong_name = attempt(client, "nobody-of-that-name", "not it")
    assert wrong_password.status_code == wrong_name.status_code == 422
    sentence = b"Username or password is wrong"
    assert sentence in wrong_password.content
    assert sentence in wrong_name.content
    assert b"not it" not in wrong_password.content
    assert contributor.username.encode() in wrong_password.content


def test_somebody_inactive_is_told_the_same(contributor: User, client: Client) -> None:
    User.objects.filter(pk=contributor.pk).update(is_active=False)
    answer = attempt(client, contributor.username, PASSWORD)
    assert answer.status_code == 422
    assert b"Username or password is wrong" in answer.content


def test_five_wrong_passwords_lock_the_name_out(contributor: User, viewer: User, client: Client) -> None:
    answers = [attempt(client, contributor.username, f"wrong {i}").status_code for i in range(5)]
    assert answers == [422, 422, 422, 422, 429]
    right_now = attempt(client, contributor.username, PASSWORD)
    assert right_now.status_code == 429
    assert "_auth_user_id" not in client.session
    assert attempt(client, viewer.username, PASSWORD).status_code == 302
    assert AuditEntry.objects.filter(action="account.locked_out").count() == 1


def test_signing_out_ends_the_session(contributor: User, client_of: ClientOf) -> None:
    client = client_of(contributor)
    assert client.get(reverse("sign_out")).status_code == 405
    assert client.post(reverse("sign_out")).status_code == 302
    assert client.get(reverse("home")).status_code == 302


def test_a_signed_out_fragment_request_leaves_the_page(client: Client) -> None:
    answer = client.get(reverse("exports:list"), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer["HX-Redirect"].startswith(reverse("sign_in"))


def test_the_password_is_changed_with_the_old_one(contributor: User, client_of: ClientOf) -> None:
    client, other_session = client_of(contributor), client_of(contributor)
    new = "an entirely new phrase"
    url = reverse("password_change")
    wrong = {"old_password": "nope", "new_password1": new, "new_password2": new}
    assert client.post(url, wrong).status_code == 422
    short = {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert client.post(url, short).status_code == 422
    right = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post(url, right).status_code == 303
    assert client.get(reverse("home")).status_code == 200
    assert other_session.get(reverse("home")).status_code == 302
    contributor.refresh_from_db()
    assert contributor.check_password(new)


def test_the_theme_is_a_cookie(contributor: User, client_of: ClientOf) -> None:
    client = client_of(contributor)
    answer = client.post(reverse("theme"), {"theme": "dark", "next": reverse("exports:list")})
    assert answer["Location"] == reverse("exports:list")
    assert b'data-theme="dark"' in client.get(reverse("home")).content
    client.post(reverse("theme"), {"theme": '"><script>', "next": "https://evil.example/"})
    assert client.cookies["theme"].value == "auto"


def test_pages_are_not_kept_and_not_framed(contributor: User, client_of: ClientOf) -> None:
    answer = client_of(contributor).get(reverse("home"))
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Frame-Options"] == "DENY"
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_form_from_elsewhere_is_refused_with_a_page(contributor: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(contributor, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(reverse("theme"), {"theme": "dark"})
    assert answer.status_code == 403
    assert b"<h1" in answer.content


def test_a_person_has_exactly_one_role(db: None) -> None:
    from connections_portal import roles
    from connections_portal.roles import Role

    person = make_person("kim", Role.SUPPORT)
    assert person.is_staff
    roles.assign(user=person, role=Role.VIEWER)
    assert not person.is_staff
    assert [group.name for group in person.groups.all()] == ["Viewer"]
    assert roles.role_of(User.objects.get(pk=person.pk)) is Role.VIEWER
