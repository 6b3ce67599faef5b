"""E-mail: queued together with the change it is about, written and sent by a worker.

The queue holds the kind of letter, the identifier of what it is about, and the recipient's id; never a text, a name or
an address. What is said is read from the database when the letter is sent, so a letter about something that is settled
meanwhile is not sent at all. An app registers who writes each kind of letter (``register``) and asks for letters with
``send_later``; without a mail server (EMAIL_URL) and for people without an address nothing happens.
"""

import datetime as dt
import logging
import smtplib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parseaddr
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django_tasks import task
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections_portal.models import User

logger = logging.getLogger(__name__)

NO_SERVER = "django.core.mail.backends.dummy.EmailBackend"
MAX_ATTEMPTS = 5
# Each attempt waits so many times longer than the one before: 1, 5, 25 and 125 minutes with MAIL_RETRY_SECONDS=60.
GROWTH = 5
# A letter that a worker holds for longer than this went down with it: the server is given EMAIL_TIMEOUT per answer.
LOST_AFTER = dt.timedelta(minutes=10)
LONGEST_SUBJECT = 150


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What one person is told: a subject, paragraphs of plain text, and the address in the portal it leads to."""

    subject: str
    paragraphs: tuple[str, ...]
    path: str = ""


# Gives the letter about the object for the recipient, in the language that is active; None when there is nothing to
# tell them any more, also because they may not know it any more.
Writer = Callable[[UUID, User], Letter | None]

_writers: dict[str, Writer] = {}


def register(kind: str, writer: Writer) -> None:
    """Make a kind of letter known; called once from an app's ``ready``."""
    _writers[kind] = writer


def send_later(kind: str, *, about: UUID, to: Iterable[User]) -> int:
    """Queue one letter for each person that has an address, with the caller's transaction; returns how many."""
    if kind not in _writers:
        raise ValueError(f"unknown kind of letter {kind!r}")
    if settings.EMAIL_BACKEND == NO_SERVER:
        return 0
    recipients = [person.pk for person in to if address_of(person)]
    for recipient in recipients:
        send.enqueue(recipient, kind, str(about), 1)
    return len(recipients)


def address_of(person: User) -> str:
    """The person's e-mail address; empty for none, for one that is none, and for somebody who may not sign in."""
    address = person.email.strip()
    try:
        validate_email(address)
    except ValidationError:
        return ""
    return address if person.is_active else ""


@task(priority=5)  # short, and told while it is news; a server that hangs is left after EMAIL_TIMEOUT
def send(recipient_id: int, kind: str, about: str, attempt: int) -> str:
    """Write the letter and hand it to the mail server; one that fails is queued again. Returns what came of it.

    Losing this message loses a letter and nothing else; doubling it sends a letter twice, with one Message-ID.
    """
    recipient = User.objects.filter(pk=recipient_id).first()
    writer = _writers.get(kind)
    if recipient is None or writer is None or not address_of(recipient):
        return "nobody"
    with translation.override(recipient.language):
        letter = writer(UUID(about), recipient)
        if letter is None:
            return "settled"
        message = _message(letter, recipient, f"{about}.{kind}.{recipient_id}")
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        return _failed(error, recipient_id, kind, about, attempt)
    return "sent"


def renew(*, now: dt.datetime | None = None) -> int:
    """Queue letters again whose worker was killed over them; returns how many."""
    lost = DBTaskResult.objects.filter(
        task_path=send.module_path,
        status=TaskResultStatus.RUNNING,
        started_at__lt=(now or timezone.now()) - LOST_AFTER,
    )
    renewed = 0
    for message in lost:
        # whoever changes the row queues it: two rounds of the clock may look at the same moment
        mine = DBTaskResult.objects.filter(pk=message.pk, status=TaskResultStatus.RUNNING).update(
            status=TaskResultStatus.FAILED, finished_at=timezone.now()
        )
        recipient_id, kind, about, attempt = message.args_kwargs["args"]
        if mine and attempt < MAX_ATTEMPTS:
            send.enqueue(recipient_id, kind, about, attempt + 1)
            renewed += 1
    return renewed


def _message(letter: Letter, recipient: User, identifier: str) -> EmailMessage:
    paragraphs = [*letter.paragraphs]
    if letter.path and settings.PORTAL_URL:
        paragraphs.append(f"{settings.PORTAL_URL}{letter.path}")
    paragraphs.append(f"-- \n{_('Connections Portal')}")
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return EmailMessage(
        subject=_one_line(letter.subject),
        body="\n\n".join(paragraphs),
        to=[address_of(recipient)],
        headers={
            "Message-ID": f"<{identifier}@{domain}>",
            # no answers by machines (RFC 3834)
            "Auto-Submitted": "auto-generated",
        },
    )


def _one_line(text: str) -> str:
    """Names go into subjects: nothing in them ends a line, whatever is in them."""
    visible = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(visible.split())[:LONGEST_SUBJECT]


def _failed(
    error: OSError | smtplib.SMTPException, recipient_id: int, kind: str, about: str, attempt: int
) -> str:
    """Queue the next attempt, unless the server will never take this letter; the log names ids and numbers only."""
    code = _code(error)
    # the server's own words may repeat the address, or what is in the letter
    reason = f"{type(error).__name__} {code or ''}".strip()
    final = attempt >= MAX_ATTEMPTS or (
        code >= 500 and isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError)
    )
    log = (kind, about, recipient_id, attempt, MAX_ATTEMPTS, reason)
    if final:
        logger.error("mail %s about %s to person %d was given up at attempt %d of %d: %s", *log)
        return "given up"
    delay = settings.MAIL_RETRY_SECONDS * GROWTH ** (attempt - 1)
    later = timezone.now() + dt.timedelta(seconds=delay)
    send.using(run_after=later).enqueue(recipient_id, kind, about, attempt + 1)
    logger.warning("mail %s about %s to person %d failed at attempt %d of %d: %s", *log)
    return "again"


def _code(error: OSError | smtplib.SMTPException) -> int:
    """The server's answer as a number (RFC 5321 §4.2.1), 0 where it gave none."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return min((int(code) for code, _text in error.recipients.values()), default=0)
    return int(error.smtp_code) if isinstance(error, smtplib.SMTPResponseException) else 0
