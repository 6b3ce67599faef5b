"""The Django admin for support staff: entered through the portal's own sign-in."""

import functools
from typing import Any

from django.contrib.admin.apps import AdminConfig
from django.contrib.admin.sites import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _


class PortalAdminSite(AdminSite):
    """Stock admin without a sign-in page or password form of its own (lock-out and audit stay in one place)."""

    site_header = _("Connections Portal")
    site_title = _("Support · Connections Portal")
    index_title = _("Support")
    site_url = "/"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """The site's door around a page: whoever is refused here is in the audit, as everywhere."""
        inner = super().admin_view(view, cacheable)

        @functools.wraps(inner)
        def watched(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                response: HttpResponse = inner(request, *args, **kwargs)
            except PermissionDenied:
                from connections_portal.web import (
                    record_refusal,
                )  # models are not there yet when this is loaded

                record_refusal(request)  # type: ignore[arg-type] # signed in: others are sent to sign in
                raise
            return response

        return watched

    def login(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:
        """Send to the portal's sign-in; somebody signed in without the right gets 403 from there."""
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect(f"/sign-in/?next={request.path}")

    def logout(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:  # type: ignore[override]
        """Leave by the portal's own door."""
        return redirect("home")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: object = None
    ) -> HttpResponse:
        """Use the portal's own page."""
        return redirect("password_change")

    def password_change_done(  # type: ignore[override]
        self, request: HttpRequest, extra_context: object = None
    ) -> HttpResponse:
        """There is nothing to see."""
        return redirect("home")


class PortalAdminConfig(AdminConfig):
    """Makes ``PortalAdminSite`` the default admin site."""

    default_site = "connections_portal.admin_site.PortalAdminSite"
