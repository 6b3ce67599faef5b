"""The lock-out: five wrong passwords, for one name, from one address that the client cannot choose, for 15 minutes."""

import datetime as dt

import pytest
from axes.models import AccessAttempt
from django.db.models import F
from django.test import Client, RequestFactory
from pytest_django import Settings

from connections_portal.models import AuditEntry, User
from connections_portal.web import client_address
from tests.fixtures import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

HERE, THERE = "198.51.100.1", "203.0.113.9"


def attempt(name: str, password: str = "wrong", *, peer: str = HERE, claims: str = "") -> int:
    headers = {"X-Forwarded-For": claims, "X-Real-IP": claims, "Forwarded": f"for={claims}"} if claims else {}
    form = {"username": name, "password": password}
    return Client().post("/sign-in/", form, headers=headers, REMOTE_ADDR=peer).status_code


def test_only_this_name_at_this_address(contributor: User, viewer: User) -> None:
    assert [attempt(contributor.username) for _try in range(6)] == [422, 422, 422, 422, 429, 429]
    assert attempt(contributor.username, PASSWORD) == 429
    for spelling in (
        f" {contributor.username} ",
        "ａｎａ",
        "ana\0",
    ):  # which the form would take for the same name
        assert attempt(spelling, PASSWORD) != 302
    assert attempt(viewer.username, PASSWORD) == 302
    assert attempt(contributor.username, PASSWORD, peer=THERE) == 302
    assert AuditEntry.objects.filter(action="account.locked_out", outcome="refused").exists()


def test_for_a_quarter_of_an_hour(contributor: User) -> None:
    for _try in range(5):
        attempt(contributor.username)
    assert attempt(contributor.username, PASSWORD) == 429
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - dt.timedelta(minutes=14, seconds=50))
    assert attempt(contributor.username, PASSWORD) == 429
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - dt.timedelta(seconds=20))
    assert attempt(contributor.username, PASSWORD) == 302


def test_signing_in_clears_what_was_wrong_before(contributor: User) -> None:
    for _try in range(4):
        attempt(contributor.username)
    assert attempt(contributor.username, PASSWORD) == 302
    assert [attempt(contributor.username) for _try in range(4)] == [422] * 4


def test_without_trusted_proxies_no_header_is_believed(contributor: User) -> None:
    """Neither to get round one's own lock-out nor to lock somebody else out."""
    answers = [attempt(contributor.username, claims=f"203.0.113.{number}") for number in range(5)]
    assert answers[-1] == 429
    assert attempt(contributor.username, PASSWORD, claims=THERE) == 429
    assert attempt(contributor.username, PASSWORD, peer=THERE) == 302


@pytest.mark.parametrize("proxies", [1, 2])
def test_behind_proxies_what_the_client_adds_is_not_believed(
    contributor: User, settings: Settings, proxies: int
) -> None:
    settings.TRUSTED_PROXIES = proxies
    way = f"{HERE}, 10.0.0.7" if proxies == 2 else HERE
    answers = [
        attempt(contributor.username, peer="10.0.0.1", claims=f"203.0.113.{number}, {way}")
        for number in range(5)
    ]
    assert answers[-1] == 429
    elsewhere = way.replace(HERE, THERE)
    assert attempt(contributor.username, PASSWORD, peer="10.0.0.1", claims=elsewhere) == 302


@pytest.mark.parametrize(
    ("hop", "expected"),
    [
        (f"{THERE}:51234", THERE),
        ("[2001:db8::1]:51234", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("unknown", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("'; DROP TABLE", "10.0.0.1"),
        ("x" * 5000, "10.0.0.1"),
    ],
)
def test_a_hop_is_an_address_or_nothing(settings: Settings, hop: str, expected: str) -> None:
    settings.TRUSTED_PROXIES = 1
    request = RequestFactory().get("/", headers={"X-Forwarded-For": hop}, REMOTE_ADDR="10.0.0.1")
    assert client_address(request) == expected


def test_a_socket_has_no_address(contributor: User) -> None:
    """gunicorn behind a socket of the file system: all have the same place, none, and five are still five."""
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None
    assert [attempt(contributor.username, peer="") for _try in range(5)][-1] == 429
