"""Signing in and out, password and theme."""

from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from connections_portal import audit
from connections_portal.models import User
from connections_portal.web import PortalRequest, go_to

THEMES = ("auto", "light", "dark")


class SignInForm(AuthenticationForm):
    """Username and password; the error never says which of the two is wrong."""

    error_messages = {
        "invalid_login": gettext_lazy("Username or password is wrong. Check both, and the Caps Lock key."),
        "inactive": gettext_lazy("Username or password is wrong. Check both, and the Caps Lock key."),
    }


class ChangePasswordForm(PasswordChangeForm):
    """The old password and a new one, which is another one."""

    def clean(self) -> dict[str, Any]:
        """Refuse the old password as the new one: whoever made it still knows it."""
        cleaned = super().clean() or {}
        new = cleaned.get("new_password1")
        if new and new == cleaned.get("old_password"):
            self.add_error("new_password1", _("Choose a password that is not the one you have."))
        return cleaned


@login_not_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in and go where the person wanted to go. Five wrong tries lock the name at this address."""
    next_url = _local_url(request, request.POST.get("next") or request.GET.get("next") or "")
    if request.user.is_authenticated:
        return redirect(next_url or "home")
    if request.method == "POST":
        # PostgreSQL refuses a NUL in a question; the form refuses it with a message
        credentials = {"username": request.POST.get("username", "").replace("\0", "")}
        if not AxesProxyHandler.is_allowed(request, credentials):
            return render(request, "portal/locked_out.html", status=429)
        form = SignInForm(request, data=request.POST)
        if form.is_valid():
            user = form.get_user()
            login(request, user)
            audit.record("account.signed_in", actor=user)
            return redirect(next_url or resolve_url("home"))
        if not AxesProxyHandler.is_allowed(request, credentials):
            audit.record("account.locked_out", actor=None, refused=True)
            return render(request, "portal/locked_out.html", status=429)
        return render(request, "portal/sign_in.html", {"form": form, "next": next_url}, status=422)
    return render(request, "portal/sign_in.html", {"form": SignInForm(request), "next": next_url})


@require_POST
@login_not_required
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("sign_in")


@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def change_password(request: PortalRequest) -> HttpResponse:
    """Change one's own password; other sessions of the person end with it."""
    form: forms.Form = ChangePasswordForm(request.user, request.POST or None)
    if request.method == "POST":
        if form.is_valid():
            user = form.save()  # type: ignore[attr-defined]
            update_session_auth_hash(request, user)
            audit.record("account.password_changed", actor=request.user)
            messages.success(request, _("Your password has been changed."))
            return go_to(request, resolve_url("home"))
        return render(request, "portal/password_change.html", {"form": form}, status=422)
    return render(request, "portal/password_change.html", {"form": form})


@require_POST
@login_not_required
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the chosen theme in a cookie (and with the person) and go back to the page."""
    theme = request.POST.get("theme", "")
    theme = theme if theme in THEMES else "auto"
    if request.user.is_authenticated:
        User.objects.filter(pk=request.user.pk).update(theme=theme)
    back = _local_url(request, request.POST.get("next") or "") or "/"
    response = redirect(back)
    response.set_cookie("theme", theme, max_age=365 * 24 * 3600, samesite="Lax", secure=request.is_secure())
    return response


def _local_url(request: HttpRequest, url: str) -> str:
    """``url`` if it is an address of this site, else nothing; a bare word would be taken for a view's name."""
    allowed: dict[str, Any] = {"allowed_hosts": {request.get_host()}, "require_https": request.is_secure()}
    return url if url.startswith("/") and url_has_allowed_host_and_scheme(url, **allowed) else ""
