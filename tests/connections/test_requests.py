"""*Request access*: who may ask, who learns what, and what becomes of a request of one's own."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import AccessRequest, Connection
from connections.operations.requests import A_DAY, clean_text
from connections_portal.models import User
from tests.connections.asking import ASK, HTMX, LIST, REASON, audited, grant_url, text
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(actor=admin)


# ---- asking ----


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_asking(outsider: User, client_of: Clients, script: bool) -> None:
    client = client_of(outsider)
    answer = client.post(ASK, {"type": "sftp", "reason": f"  {REASON}\r\n"}, headers=HTMX if script else {})
    assert (answer.status_code, answer["HX-Redirect" if script else "Location"]) == (
        204 if script else 303,
        LIST,
    )
    asked = AccessRequest.objects.get()
    assert (asked.person, asked.type_key, asked.reason, asked.state) == (outsider, "sftp", REASON, "open")
    page = text(client.get(LIST))
    assert REASON in page
    assert "Open" in page
    entry = audited("access.requested")
    assert (entry.actor_id, entry.object_uuid, entry.details["type"]) == (outsider.pk, asked.uuid, "sftp")
    assert REASON not in str(entry.details)


def test_asking_from_inside_a_form_leaves_the_form_as_it_is(outsider: User, client_of: Clients) -> None:
    client = client_of(outsider)
    form = {"type": "sftp", "reason": REASON, "stay": "1"}
    answer = client.post(ASK, form, headers=HTMX)
    assert answer.status_code == 200  # a 204 with a toast in it
    assert '"closeDialogs": true' in answer["HX-Trigger"]
    assert "HX-Redirect" not in answer
    assert "Your request is with the administrators." in text(answer)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", "Say what you need it for."),
        ("   \r\n \t ", "Say what you need it for."),
        ("too short", "Write at least 10 characters"),
        ("\u200b" * 40, "Say what you need it for."),
        ("x" * 501, "This has 501 characters; 500 are allowed."),
    ],
)
def test_the_reason(outsider: User, client_of: Clients, reason: str, message: str) -> None:
    answer = client_of(outsider).post(ASK, {"type": "sftp", "reason": reason})
    assert answer.status_code == 422
    assert message in text(answer)
    assert 'id="ask_reason_error"' in text(answer)
    assert not AccessRequest.objects.exists()


def test_the_longest_reason_counts_as_it_is_stored(outsider: User, client_of: Clients) -> None:
    reason = "ä\r\n" * 248 + "end."
    assert client_of(outsider).post(ASK, {"type": "sftp", "reason": reason}).status_code == 303
    assert AccessRequest.objects.get().reason == reason.replace("\r\n", "\n")


def test_what_was_typed_stays(outsider: User, client_of: Clients) -> None:
    answer = client_of(outsider).post(ASK, {"type": "fax", "reason": REASON})
    assert answer.status_code == 422
    assert "Choose a type from the list." in text(answer)
    assert REASON in text(answer)


def test_one_open_request_for_each_type(outsider: User, client_of: Clients, asked: AccessRequest) -> None:
    client = client_of(outsider)
    answer = client.post(ASK, {"type": "sftp", "reason": "Another reason, long enough"})
    assert answer.status_code == 422
    assert "You have asked for a connection of this type already" in text(answer)
    # the very same once more is the button pressed twice
    assert client.post(ASK, {"type": "sftp", "reason": REASON}).status_code == 303
    assert AccessRequest.objects.count() == 1
    client.post(reverse("requests:withdraw", args=[asked.uuid]))
    assert client.post(ASK, {"type": "sftp", "reason": "Another reason, long enough"}).status_code == 303


def test_not_without_end(outsider: User, client_of: Clients) -> None:
    client = client_of(outsider)
    for number in range(A_DAY):
        assert client.post(ASK, {"type": "sftp", "reason": f"{REASON} {number}"}).status_code == 303
        client.post(reverse("requests:withdraw", args=[AccessRequest.objects.latest("pk").uuid]))
    answer = client.post(ASK, {"type": "sftp", "reason": REASON})
    assert answer.status_code == 422
    assert "ask again tomorrow" in text(answer)
    old = AccessRequest.objects.earliest("pk")
    AccessRequest.objects.filter(pk=old.pk).update(
        created_at=old.created_at - dt.timedelta(days=1, minutes=1)
    )
    assert client.post(ASK, {"type": "sftp", "reason": REASON}).status_code == 303


def test_connections_that_are_not_shared_are_nowhere_named(
    outsider: User, client_of: Clients, connection: Connection, asked: AccessRequest
) -> None:
    client = client_of(outsider)
    withdraw = reverse("requests:withdraw", args=[asked.uuid])
    for address in (LIST, ASK, withdraw, "/", "/data/exports/", "/data/exports/new/"):
        page = text(client.get(address))
        assert connection.name not in page, address
        assert "files.example.com" not in page, address


def test_types_that_only_bring_data_in_are_not_asked_for(
    outsider: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connections.connectors import CONNECTORS

    sftp = next(connector for connector in CONNECTORS if connector.key == "sftp")
    monkeypatch.setattr(sftp, "direction", "enrichment")
    answer = client_of(outsider).post(ASK, {"type": "sftp", "reason": REASON})
    assert answer.status_code == 422
    assert not AccessRequest.objects.exists()


def test_somebody_elses_request_is_unknown(
    contributor: User, client_of: Clients, asked: AccessRequest
) -> None:
    client = client_of(contributor)
    assert REASON not in text(client.get(LIST))
    assert client.post(reverse("requests:withdraw", args=[asked.uuid])).status_code == 404
    assert AccessRequest.objects.get().state == "open"


# ---- withdrawing ----


def test_withdrawing(outsider: User, client_of: Clients, asked: AccessRequest) -> None:
    client, address = client_of(outsider), reverse("requests:withdraw", args=[asked.uuid])
    assert "Withdraw" in text(client.get(address))
    for _press in range(2):
        assert client.post(address)["Location"] == LIST
    assert AccessRequest.objects.get().state == "withdrawn"
    assert audited("access.request_withdrawn").actor_id == outsider.pk
    assert "Ben Okafor withdrew it" in text(client.get(LIST))


def test_withdrawing_what_was_answered_meanwhile(
    outsider: User, admin: User, client_of: Clients, asked: AccessRequest, connection: Connection
) -> None:
    client_of(admin).post(grant_url(asked), {"connection": str(connection.uuid)})
    client, address = client_of(outsider), reverse("requests:withdraw", args=[asked.uuid])
    answer = client.post(address)
    assert answer.status_code == 409
    assert "Lena Hofmann shared Newsletter, SFTP EU (Today" in text(answer)
    assert client.get(address).status_code == 200
    assert AccessRequest.objects.get().state == "granted"


def test_text_of_several_lines() -> None:
    assert clean_text(" a\u0308 \r\n\tb\x00\u202e\r\n\r\n") == "ä\nb"
