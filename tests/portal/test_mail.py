"""E-mail: over real sockets, retried, nothing personal in the queue or the log, no line of a header from a name."""

import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections_portal import mail
from connections_portal.mail import Letter, send, send_later
from connections_portal.models import User
from connections_portal.settings import mail_server as settings_of
from connections_portal.ticking import tick
from tests.smtp import Mailbox, mail_server

pytestmark = pytest.mark.django_db

ABOUT = UUID("6a1f0d5e-2f63-4f2b-8a43-1f2f5f6f7f80")


@pytest.fixture
def box(settings: Settings) -> Iterator[Mailbox]:
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        settings.DEFAULT_FROM_EMAIL = "Portal <portal@example.com>"
        settings.PORTAL_URL = "https://portal.example.com"
        yield box


@pytest.fixture
def ana(contributor: User) -> User:
    contributor.email = "ana@example.com"
    contributor.save()
    return contributor


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> str:
    letter = Letter(subject="Bär & Söhne", paragraphs=("One.", ".Two"), path="/data/requests/")
    monkeypatch.setitem(mail._writers, "test", lambda about, recipient: letter if about == ABOUT else None)
    return "test"


def queued() -> list[list[Any]]:
    ready = DBTaskResult.objects.filter(task_path=send.module_path, status=TaskResultStatus.READY)
    return [message.args_kwargs["args"] for message in ready.order_by("run_after")]


def work() -> list[str]:
    """Do what is queued, due or not, as a worker would."""
    done = []
    for message in DBTaskResult.objects.filter(task_path=send.module_path, status=TaskResultStatus.READY):
        done.append(send.call(*message.args_kwargs["args"]))
        DBTaskResult.objects.filter(pk=message.pk).update(status=TaskResultStatus.SUCCESSFUL)
    return done


@pytest.mark.both_databases
def test_a_letter_arrives(box: Mailbox, ana: User, kind: str) -> None:
    assert send_later(kind, about=ABOUT, to=[ana]) == 1
    assert queued() == [[ana.pk, "test", str(ABOUT), 1]]
    assert work() == ["sent"]
    [message] = box.messages
    assert message["Subject"] == "Bär & Söhne"
    assert message["From"] == "Portal <portal@example.com>"
    assert box.recipients == ["ana@example.com"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == f"<{ABOUT}.test.{ana.pk}@example.com>"
    text = message.get_content().replace("\r\n", "\n")
    assert "One.\n\n.Two\n\nhttps://portal.example.com/data/requests/\n" in text


def test_without_an_address_of_its_own_the_portal_writes_no_link(
    box: Mailbox, ana: User, kind: str, settings: Settings
) -> None:
    settings.PORTAL_URL = ""
    send_later(kind, about=ABOUT, to=[ana])
    work()
    assert "://" not in box.messages[0].get_content()


@pytest.mark.parametrize("email", ["", "nonsense", "a@example.com\nBcc: x@example.com", "a b@example.com"])
def test_who_has_no_address_gets_nothing(box: Mailbox, contributor: User, kind: str, email: str) -> None:
    contributor.email = email
    assert send_later(kind, about=ABOUT, to=[contributor]) == 0
    User.objects.filter(pk=contributor.pk).update(email=email)
    assert send.call(contributor.pk, kind, str(ABOUT), 1) == "nobody"
    assert not box.messages


def test_without_a_mail_server_nothing_is_queued(ana: User, kind: str, settings: Settings) -> None:
    settings.EMAIL_BACKEND = mail.NO_SERVER
    assert send_later(kind, about=ABOUT, to=[ana]) == 0
    assert not queued()


def test_what_is_settled_and_who_has_left_is_not_written_to(box: Mailbox, ana: User, kind: str) -> None:
    send_later(kind, about=uuid4(), to=[ana])
    assert work() == ["settled"]
    send_later(kind, about=ABOUT, to=[ana])
    User.objects.filter(pk=ana.pk).update(is_active=False)
    assert work() == ["nobody"]
    assert not box.messages


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\x00", "\x1b", "\u202e"])
def test_nothing_in_a_name_becomes_a_header(
    box: Mailbox, ana: User, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    name = f"Eve{end}Bcc: everybody@example.com{end}{end}Body"
    letter = Letter(subject=f"{name} asks", paragraphs=(name,))
    monkeypatch.setitem(mail._writers, "test", lambda about, recipient: letter)
    send_later("test", about=ABOUT, to=[ana])
    assert work() == ["sent"]
    [message] = box.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "Eve Bcc: everybody@example.com Body asks"
    assert box.recipients == ["ana@example.com"]


def test_a_long_name_is_one_header(box: Mailbox, ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    letter = Letter(subject="ä" * 5000, paragraphs=())
    monkeypatch.setitem(mail._writers, "test", lambda about, recipient: letter)
    send_later("test", about=ABOUT, to=[ana])
    assert work() == ["sent"]
    assert box.messages[0]["Subject"].strip() == "ä" * mail.LONGEST_SUBJECT


def test_a_failure_is_tried_again_and_logged_without_anything_personal(
    box: Mailbox, ana: User, kind: str, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    settings.MAIL_RETRY_SECONDS = 60
    box.refuse["RCPT"] = ("451 ana@example.com later", 2)
    before = timezone.now()
    send_later(kind, about=ABOUT, to=[ana])
    with caplog.at_level(logging.INFO):
        assert work() == ["again"]
        assert queued() == [[ana.pk, "test", str(ABOUT), 2]]
        assert work() == ["again"]
        [waiting] = DBTaskResult.objects.filter(status=TaskResultStatus.READY)
        assert (
            before + dt.timedelta(seconds=299)
            < waiting.run_after
            < timezone.now() + dt.timedelta(seconds=301)
        )
        assert work() == ["sent"]
    assert len(box.messages) == 1
    assert "failed at attempt 1 of 5: SMTPRecipientsRefused 451" in caplog.text
    assert f"person {ana.pk} " in caplog.text
    for personal in ("ana@", "Ana", "Weber", "Bär", "One."):
        assert personal not in caplog.text


def test_it_is_given_up_in_the_end(ana: User, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with mail_server() as gone:
        port = gone.port
    with pytest.MonkeyPatch.context() as patch:
        from django.conf import settings

        patch.setattr(settings, "EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
        patch.setattr(settings, "EMAIL_HOST", "127.0.0.1")
        patch.setattr(settings, "EMAIL_PORT", port)
        send_later(kind, about=ABOUT, to=[ana])
        outcomes = [work()[0] for _attempt in range(mail.MAX_ATTEMPTS)]
    assert outcomes == ["again"] * 4 + ["given up"]
    assert not queued()
    assert "given up at attempt 5 of 5: ConnectionRefusedError" in caplog.text


@pytest.mark.parametrize(("command", "line"), [("RCPT", "550 unknown"), ("DATA", "554 no")])
def test_what_is_refused_for_good_is_not_tried_again(
    box: Mailbox, ana: User, kind: str, command: str, line: str
) -> None:
    box.refuse[command] = (line, 9)
    send_later(kind, about=ABOUT, to=[ana])
    assert work() == ["given up"]
    assert not queued()


@pytest.mark.both_databases
def test_a_letter_whose_worker_was_killed_is_queued_again(ana: User, kind: str) -> None:
    for minutes, attempt in ((20, 1), (20, mail.MAX_ATTEMPTS), (1, 1)):
        send.enqueue(ana.pk, kind, str(ABOUT), attempt)
        message = DBTaskResult.objects.filter(status=TaskResultStatus.READY).get()
        started = timezone.now() - dt.timedelta(minutes=minutes)
        DBTaskResult.objects.filter(pk=message.pk).update(status=TaskResultStatus.RUNNING, started_at=started)
    assert tick()["letters"] == 1
    assert queued() == [[ana.pk, kind, str(ABOUT), 2]]
    assert DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING).count() == 1
    assert tick()["letters"] == 0


def test_an_unknown_kind_is_a_mistake_of_ours(ana: User) -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        send_later("nothing", about=ABOUT, to=[ana])
    assert send.call(ana.pk, "nothing", str(ABOUT), 1) == "nobody"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", ("mail.example.com", 25, "", "", False, False)),
        ("smtp+tls://p%40x:a%3Ab@mail.example.com", ("mail.example.com", 587, "p@x", "a:b", True, False)),
        ("smtps://u:p@mail.example.com:2465", ("mail.example.com", 2465, "u", "p", False, True)),
    ],
)
def test_the_mail_server_of_the_operator(
    url: str, expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMAIL_FROM", "portal@example.com")
    found = settings_of(url)
    assert tuple(found[key] for key in ("host", "port", "user", "password", "starttls", "tls")) == expected
    assert found["backend"].endswith("smtp.EmailBackend")


def test_no_mail_server_and_the_console() -> None:
    assert settings_of("")["backend"] == mail.NO_SERVER
    assert settings_of("console:")["backend"] == "django.core.mail.backends.console.EmailBackend"


@pytest.mark.parametrize("url", ["http://mail.example.com", "smtp://", "mail.example.com:25"])
def test_a_wrong_address_of_the_mail_server_stops_the_start(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        settings_of(url)


def test_a_mail_server_needs_a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMAIL_FROM", raising=False)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_FROM"):
        settings_of("smtp://mail.example.com")
