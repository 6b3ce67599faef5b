"""Who is told what about a request for access, by e-mail."""

from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest
from django.test import Client
from django.urls import reverse
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.models import AccessRequest, Connection
from connections.operations.requests import (
    decline_request,
    grant_access,
    request_access,
    withdraw_request,
)
from connections_portal import roles
from connections_portal.mail import send
from connections_portal.models import User
from connections_portal.roles import Role
from tests.connections.asking import ASK, REASON
from tests.factories import make_connection
from tests.fixtures import make_person
from tests.smtp import Mailbox, mail_server

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        settings.PORTAL_URL = "https://portal.example.com"
        yield box


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(actor=admin)


@pytest.fixture(autouse=True)
def addresses(admin: User, outsider: User, contributor: User, viewer: User) -> None:
    for person in (admin, outsider, contributor, viewer):
        person.email = f"{person.username}@example.com"
        person.save()


def asks(person: User) -> AccessRequest:
    return request_access(type_key="sftp", reason=REASON, actor=person)


def deliver(box: Mailbox) -> list[tuple[str, EmailMessage]]:
    """Send what is queued; to whom it went, and what."""
    box.messages.clear()
    box.recipients.clear()
    for message in DBTaskResult.objects.filter(task_path=send.module_path, status=TaskResultStatus.READY):
        send.call(*message.args_kwargs["args"])
        DBTaskResult.objects.filter(pk=message.pk).update(status=TaskResultStatus.SUCCESSFUL)
    return list(zip(box.recipients, box.messages, strict=True))


@pytest.mark.both_databases
def test_administrators_are_told_of_a_request(
    mailbox: Mailbox, admin: User, outsider: User, client_of: Clients
) -> None:
    make_person("otto", Role.ADMINISTRATOR)  # has no address: nothing happens, nothing fails
    client_of(outsider).post(ASK, {"type": "sftp", "reason": REASON})
    [queued] = DBTaskResult.objects.filter(task_path=send.module_path)
    asked = AccessRequest.objects.get()
    assert queued.args_kwargs == {"args": [admin.pk, "access.requested", str(asked.uuid), 1], "kwargs": {}}
    [(recipient, message)] = deliver(mailbox)
    assert recipient == "lena@example.com"
    assert message["Subject"] == "Ben Okafor asks for a connection: SFTP"
    text = message.get_content()
    assert REASON in text
    assert "https://portal.example.com/settings/connections/requests/" in text


def test_whoever_asked_is_told_the_answer(
    mailbox: Mailbox, admin: User, outsider: User, contributor: User, connection: Connection
) -> None:
    first, second = asks(outsider), asks(contributor)
    deliver(mailbox)
    grant_access(request=first, connection=connection, answer="Use the folder autumn.", actor=admin)
    decline_request(request=second, answer="Ask the print shop.", actor=admin)
    (to, granted), (other, declined) = sorted(deliver(mailbox), key=lambda letter: letter[0], reverse=True)
    assert (to, other) == ("ben@example.com", "ana@example.com")
    assert granted["Subject"] == "A connection was shared with you: Newsletter, SFTP EU"
    assert "Use the folder autumn." in granted.get_content()
    assert "https://portal.example.com/data/requests/" in granted.get_content()
    assert declined["Subject"] == "Your request was declined: SFTP"
    assert "Ask the print shop." in declined.get_content()
    for message in (granted, declined):
        assert "files.example.com" not in message.get_content()
    assert "Newsletter" not in declined.get_content()


def test_what_is_settled_before_it_is_sent_is_not_sent(mailbox: Mailbox, outsider: User) -> None:
    withdraw_request(request=asks(outsider), actor=outsider)
    assert deliver(mailbox) == []


def test_who_is_no_administrator_any_more_is_not_told(
    mailbox: Mailbox, admin: User, viewer: User, outsider: User
) -> None:
    roles.assign(user=viewer, role=Role.ADMINISTRATOR)
    asks(outsider)
    roles.assign(user=viewer, role=Role.VIEWER)
    assert [recipient for recipient, _message in deliver(mailbox)] == ["lena@example.com"]


def test_a_request_that_is_refused_tells_nobody(mailbox: Mailbox, outsider: User, client_of: Clients) -> None:
    asks(outsider)
    deliver(mailbox)
    client_of(outsider).post(ASK, {"type": "sftp", "reason": "Another reason, long enough"})
    assert deliver(mailbox) == []


def test_a_removed_request_is_none(mailbox: Mailbox, outsider: User, client_of: Clients) -> None:
    asks(outsider)
    outsider.delete()
    assert deliver(mailbox) == []
    assert client_of(None).get(reverse("requests:list")).status_code == 302
