"""Error pages: one sentence, one way out. As a fragment for htmx, so that a dialog can show them."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token


@login_not_required
@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the address or form cannot be understood."""
    return render(request, "400.html", status=400)


@login_not_required
@requires_csrf_token
def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: the role does not allow it."""
    return render(request, "403.html", status=403)


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
    """500: our fault; the traceback is in the log."""
    return render(request, "500.html", status=500)
