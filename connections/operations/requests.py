"""*Request access*: a contributor asks for a connection of a type; an administrator shares one, or declines.

Locks: connection, then request. Granting goes through ``share_connection``, so that its rules and its audit are the
same as on *Share*; the request itself has an audit row of its own.
"""

import datetime as dt
import unicodedata
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.access_requests import askable, decision, fitting, may_be_granted
from connections.models import Access, AccessRequest, Connection
from connections.operations.share import share_connection
from connections.permissions import can_edit, can_use
from connections.sharing import granted
from connections.types import type_name
from connections_portal import audit, mail, roles
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import User

SHORTEST_REASON, LONGEST_REASON = 10, 500
# Each is an e-mail to every administrator.
A_DAY = 10

REQUESTED, ANSWERED = "access.requested", "access.answered"


class AlreadyAnswered(Stale):
    """The request was answered or withdrawn meanwhile; ``request`` is as it is now."""

    def __init__(self, request: AccessRequest) -> None:
        super().__init__(
            _("This request is not open any more. %(decision)s") % {"decision": decision(request)}
        )
        self.request = request


def request_access(*, type_key: str, reason: str, actor: User) -> AccessRequest:
    """Ask for a connection of the type; administrators are told. ``reason`` is cleaned (``clean_text``).

    Raises NotAllowed for anybody but a contributor, and OperationError at ``type`` for a type that nobody can ask for,
    for one that the person has asked for already, and after ten requests within a day.
    """
    if not roles.is_contributor(actor):
        raise NotAllowed(_("Only contributors ask for access."))
    if type_key not in {connector.key for connector in askable()}:
        raise OperationError(_("Nothing was sent."), fields={"type": _("Choose a type from the list.")})
    since = timezone.now() - dt.timedelta(days=1)
    try:
        with transaction.atomic():
            if AccessRequest.objects.filter(person=actor, created_at__gte=since).count() >= A_DAY:
                raise OperationError(
                    _("Nothing was sent. You have asked %(number)d times today; ask again tomorrow.")
                    % {"number": A_DAY}
                )
            request = AccessRequest.objects.create(type_key=type_key, person=actor, reason=reason)
            _record("access.requested", request, actor)
            mail.send_later(REQUESTED, about=request.uuid, to=roles.administrators())
    except IntegrityError:
        already = _("You have asked for a connection of this type already, and the request is still open.")
        raise OperationError(_("Nothing was sent."), fields={"type": already}) from None
    return request


def withdraw_request(*, request: AccessRequest, actor: User) -> AccessRequest:
    """Take back a request of one's own. Raises NotAllowed, and AlreadyAnswered when it is not open any more."""
    if request.person_id != actor.pk:
        raise NotAllowed(_("This is not your request."))
    with transaction.atomic():
        locked = _lock_open(request)
        _close(locked, AccessRequest.State.WITHDRAWN, actor)
        _record("access.request_withdrawn", locked, actor)
    return locked


def grant_access(
    *, request: AccessRequest, connection: Connection, answer: str = "", actor: User
) -> AccessRequest:
    """Share the connection with whoever asked, besides those who can use it already, and tell them.

    ``answer`` is a word to them, or nothing. Who can use it already is not shared with again. Raises NotAllowed,
    AlreadyAnswered, and OperationError: at ``connection`` for one that was removed meanwhile, is of another type or
    not ready, and when the person is no contributor any more.
    """
    _require_administrator(actor)
    with transaction.atomic():
        chosen = Connection.objects.select_for_update().filter(pk=connection.pk).first()
        locked = _lock_open(request)
        if chosen is None:
            raise _not_granted(_("The connection was removed meanwhile. Choose another one."))
        if not fitting(locked).filter(pk=chosen.pk).exists():
            raise _not_granted(_("Choose a connection from the list."))
        if not may_be_granted(locked):
            raise OperationError(
                _(
                    "%(person)s is no contributor any more, so that nothing can be shared with them. "
                    "Decline the request."
                )
                % {"person": locked.person}
            )
        if not can_use(locked.person, chosen):
            _share(chosen, locked.person, actor)
        locked.connection_uuid, locked.connection_name = chosen.uuid, chosen.name
        _close(locked, AccessRequest.State.GRANTED, actor, answer)
        _record("access.granted", locked, actor, connection=chosen.name)
        mail.send_later(ANSWERED, about=locked.uuid, to=[locked.person])
    return locked


def decline_request(*, request: AccessRequest, answer: str, actor: User) -> AccessRequest:
    """Say no, with a word that whoever asked can read. Raises NotAllowed and AlreadyAnswered."""
    _require_administrator(actor)
    with transaction.atomic():
        locked = _lock_open(request)
        _close(locked, AccessRequest.State.DECLINED, actor, answer)
        _record("access.declined", locked, actor)
        mail.send_later(ANSWERED, about=locked.uuid, to=[locked.person])
    return locked


def clean_text(text: str) -> str:
    """What somebody wrote in a few lines: composed (NFC), trimmed, without anything that cannot be seen."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").split("\n")
    visible = ("".join(c for c in line if c.isprintable()).strip() for line in lines)
    return "\n".join(visible).strip()


def _share(connection: Connection, person: User, actor: User) -> None:
    """One more person: whoever can use the connection now keeps that, idle grants included."""
    now = granted(connection)
    share_connection(
        connection=connection,
        version=connection.version,
        access=Access.SPECIFIC,
        people=[*User.objects.filter(pk__in=now.people), person],
        groups=[grant.group for grant in connection.group_grants.select_related("group")],
        actor=actor,
    )


def _lock_open(request: AccessRequest) -> AccessRequest:
    locked = (
        AccessRequest.objects.select_for_update(of=("self",))
        .select_related("person")
        .filter(pk=request.pk)
        .first()
    )
    if locked is None:
        raise Stale(_("This request is gone, with the person who asked."))
    if locked.state != AccessRequest.State.OPEN:
        raise AlreadyAnswered(locked)
    return locked


def _close(request: AccessRequest, state: AccessRequest.State, actor: User, answer: str = "") -> None:
    request.state, request.answer = state, answer
    request.answered_at, request.answered_by_label = timezone.now(), str(actor)[:150]
    request.save()


def _record(action: str, request: AccessRequest, actor: User, **details: Any) -> None:
    label = type_name(request.type_key)
    person = str(request.person)
    audit.record(
        action, actor=actor, target=request, label=label, type=request.type_key, person=person, **details
    )


def _require_administrator(actor: User) -> None:
    if not can_edit(actor):
        raise NotAllowed(_("Only administrators answer requests."))


def _not_granted(message: str) -> OperationError:
    return OperationError(_("Nothing was shared."), fields={"connection": message})
