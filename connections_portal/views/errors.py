"""Error pages: one sentence, one way out. As a fragment for htmx, so that a dialog can show them."""

import sqlite3
import sys
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.views.decorators.csrf import requires_csrf_token

from connections_portal.web import is_fragment, theme_of

RETRY_AFTER_SECONDS = 5

# Apps whose forms hold no secret: what was typed into them may travel back to the browser.
SENT_AGAIN = ("exports", "enrichments")

# What SQLite says when it is used by somebody else, or when its file cannot be read or written just now.
_PASSING = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


@login_not_required
@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the address or form cannot be understood."""
    return render(request, "400.html", status=400)


@login_not_required
@requires_csrf_token
def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: the role does not allow it, or what the exception says."""
    return render(request, "403.html", {"reason": str(exception or "")}, status=403)


@login_not_required
@requires_csrf_token
def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: there is no such page, or none that this person may see."""
    return render(request, "404.html", status=404)


@login_not_required
@requires_csrf_token
def csrf_failure(request: HttpRequest, reason: str = "", template_name: str = "") -> HttpResponse:
    """403: the form is too old or came from elsewhere."""
    return render(request, "403_csrf.html", status=403)


@login_not_required
@requires_csrf_token
def server_error(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """500: our fault; the traceback is in the log. 503 while the database is busy or away.

    Django asks for this answer whatever raised: a view, a template, or middleware such as that of sessions.
    """
    if is_database_away(sys.exception()):
        return unavailable(request)
    return render(request, "500.html", status=500)


def is_database_away(error: BaseException | None) -> bool:
    """Whether it will pass by itself: the database is locked, full or out of reach. A missing table is not that."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        # the lower byte is the kind, the upper one its details
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING
    return True


def unavailable(request: HttpRequest) -> HttpResponse:
    """503, made without the database. htmx leaves the form as it is; a plain form can be sent again from the page."""
    if is_fragment(request):
        response = HttpResponse(_("The portal is busy. Try again in a moment."), status=503)
    else:
        context = {"theme": theme_of(request), "again": _typed(request)}
        response = HttpResponse(render_to_string("503.html", context), status=503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    return response


def _typed(request: HttpRequest) -> dict[str, Any] | None:
    """Where the form was sent, and every name and value in it; None if there is none, or a secret may be in it."""
    try:
        if request.method != "POST" or resolve(request.path_info).namespaces[:1] not in (
            [app] for app in SENT_AGAIN
        ):
            return None
        fields = [(name, value) for name, values in request.POST.lists() for value in values]
    except (Resolver404, BadRequest, SuspiciousOperation, OSError):
        return None
    return {"url": request.get_full_path(), "fields": fields}
