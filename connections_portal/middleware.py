"""The portal's own middleware: the reader's time zone, no caching, and toasts for htmx."""

import zoneinfo
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.context_processors import csrf
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from connections_portal.models import User
from connections_portal.web import go_to


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
            response = self._choose_password_first(request) or self.get_response(request)
        finally:
            timezone.deactivate()
        return self._finish(request, response)

    def _choose_password_first(self, request: HttpRequest) -> HttpResponse | None:
        """To the page of the password, for somebody whose password was chosen by somebody else; None for all others."""
        if not isinstance(request.user, User) or not request.user.must_change_password:
            return None
        if request.path in {reverse(name) for name in ("password_change", "sign_out", "theme", "health")}:
            return None
        return go_to(request, reverse("password_change"))

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
        elif (
            is_htmx
            and response.status_code < 300
            and not response.has_header("HX-Redirect")
            and not response.streaming  # a file to keep is no page to add to
        ):
            return _with_toasts(request, response)
        return response


def _with_toasts(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Add the messages to the answer's body, never to its headers: they may hold names (rule S14).

    An answer without a body becomes one that holds nothing else and goes to the place of toasts.
    """
    toasts = list(messages.get_messages(request))
    if not toasts:
        return response
    alone = response.status_code == 204
    if alone:
        response.status_code = 200
        response["HX-Retarget"] = "#toast-inbox"
        response["HX-Reswap"] = "beforeend"
    response.write(render_to_string("_toasts.html", {"toasts": toasts, "alone": alone, **csrf(request)}))
    return response
