"""What the pages of runs answer, whatever the runs are of: the part that moves, and *Cancel job*."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseStopPolling

from connections_portal import web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import Run, RunState
from connections_portal.web import PortalRequest


def moving_part(
    request: PortalRequest, run: Run, *, page: str, fragment: str, context: Mapping[str, Any]
) -> HttpResponse:
    """The moving part of the page; polling stops (286) when the run has ended. Without htmx: the whole page."""
    response = web.page_or_fragment(request, page, fragment, context)
    if web.is_fragment(request) and not run.is_active:
        response.status_code = HttpResponseStopPolling.status_code
    return response


def cancel(
    request: PortalRequest, run: Run, *, operation: Callable[[], None], canceled: str, url: str
) -> HttpResponse:
    """Carry *Cancel job* out by ``operation`` and go to ``url``; ``canceled`` is said when the run was canceled."""
    try:
        operation()
    except NotAllowed:
        web.refuse(request, run.subject)
    except OperationError as refusal:
        messages.error(request, refusal.message)
    else:
        run.refresh_from_db()
        if run.state == RunState.CANCELED:
            messages.success(request, canceled)
        else:
            messages.info(request, _("The run had ended already."))
    return web.go_to(request, url)
