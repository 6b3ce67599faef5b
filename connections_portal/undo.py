"""*Undo*, for ten seconds after a change: a signed token that says what to put back, and the button that sends it.

Nothing is stored. The token is bound to the action, to the person and to each object with its version after the
change: it is good for that person alone, once, and not after anybody changed the object again. What it asks for goes
through an operation that checks rights as any other does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from connections_portal import web
from connections_portal.errors import OperationError
from connections_portal.models import User

# How long the button is offered, and how much longer the server takes it: pages and lines are slow at times.
SECONDS = 10
GRACE_SECONDS = 5

_SALT = "connections_portal.undo"
_MARK = "undo "


@dataclass(frozen=True, kw_only=True)
class Item:
    """One object to put back: its version right after the change, and in plain JSON what it was ``before``."""

    uuid: UUID
    version: int
    before: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A button *Undo*: where it is sent and the token that goes with it."""

    url: str
    token: str


class CannotUndo(OperationError):
    """It is too late, the object was changed since, or what it goes back to is gone; nothing was changed."""

    status = 409


def offer(action: str, *, actor: User, url: str, items: Sequence[Item]) -> Offer:
    """What undoes ``action`` on ``items`` for ``actor``, by a post to ``url`` within ten seconds from now."""
    parts = [[item.uuid.hex, item.version, item.before] for item in items]
    return Offer(url=url, token=signing.dumps([action, actor.pk, parts], salt=_SALT, compress=True))


def announce(request: HttpRequest, text: str, offered: Offer | None) -> None:
    """Queue the good news with its button; with None without one."""
    tag = f"{_MARK}{offered.url} {offered.token}" if offered else ""
    messages.success(request, text, extra_tags=tag)


def offered_by(message: Any) -> Offer | None:
    """The button that belongs to a queued message, if it has one."""
    tag = str(message.extra_tags or "")
    if not tag.startswith(_MARK):
        return None
    url, token = tag.removeprefix(_MARK).split(" ")
    return Offer(url=url, token=token)


def sent(request: web.PortalRequest, action: str) -> list[Item]:
    """What the token of this post puts back.

    Raises CannotUndo after ten seconds and a little, and PermissionDenied (403, recorded) for a token of somebody
    else, of another action, or that is none.
    """
    try:
        made_for, person, parts = signing.loads(
            request.POST.get("token", ""), salt=_SALT, max_age=SECONDS + GRACE_SECONDS
        )
    except signing.SignatureExpired:
        raise CannotUndo(_("It is too late to undo this. Nothing was changed.")) from None
    except signing.BadSignature:
        made_for = person = None
        parts = []
    if (made_for, person) != (action, request.user.pk):
        web.refuse(request, reason=_("Nothing was undone: only whoever made a change can undo it."))
    return [Item(uuid=UUID(hex=key), version=version, before=before) for key, version, before in parts]


def refuse(request: HttpRequest, refusal: OperationError, *, name: str, back: str) -> HttpResponse:
    """The dialog (or page) that says why nothing was undone; ``back`` is where *Close* leads."""
    context = {
        "title": _("Undo"),
        "subject": name,
        "error": refusal.message,
        "refused": True,
        "action": request.path,
        "links": [{"label": _("Go to it"), "url": refusal.url, "text": ""}] if refusal.url else [],
        "cancel_url": back,
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context, status=refusal.status)
