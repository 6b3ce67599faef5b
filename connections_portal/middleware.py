"""The portal's own middleware: the reader's time zone, no caching, toasts for htmx, and what cannot be served."""

import json
import zoneinfo
from collections.abc import Callable

from django.contrib import messages
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from connections_portal.models import User


class PortalMiddleware:
    """Runs around every view, after authentication and messages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the person's time zone, answer, and finish the headers."""
        user = request.user
        zone = user.time_zone if isinstance(user, User) else "UTC"
        try:
            timezone.activate(zoneinfo.ZoneInfo(zone))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            timezone.activate("UTC")
        try:
            response = self.get_response(request)
        finally:
            timezone.deactivate()
        return self._finish(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A busy database is a page of its own (503), not an error of ours; the browser keeps the form."""
        if isinstance(exception, OperationalError) and "locked" in str(exception):
            response = render(request, "503.html", status=503)
            response["Retry-After"] = "5"
            return response
        return None

    def _finish(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        is_htmx = request.headers.get("HX-Request") == "true"
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["HX-Request", "HX-Target"])
        if (
            is_htmx
            and response.status_code in {301, 302, 303}
            and response["Location"].startswith("/sign-in/")
        ):
            # a redirect would be followed inside the fragment; the whole page has to leave
            target = response["Location"]
            response = HttpResponse(status=204)
            response["HX-Redirect"] = target
            response["Cache-Control"] = "no-store"
        elif is_htmx and response.status_code < 300 and not response.has_header("HX-Redirect"):
            toasts = [{"level": m.level_tag, "text": str(m)} for m in messages.get_messages(request)]
            if toasts:
                triggers = json.loads(response.get("HX-Trigger", "{}"))
                response["HX-Trigger"] = json.dumps({**triggers, "toasts": toasts})
        return response
