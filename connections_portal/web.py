"""What views share: typed requests, page or fragment, the shell's context, role guards."""

import functools
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from connections_portal import audit, roles
from connections_portal.models import User
from connections_portal.roles import Role

PAGE_SIZE = 25


class PortalRequest(HttpRequest):
    """A request by somebody who is signed in."""

    user: User
    htmx: Any


P = ParamSpec("P")
View = Callable[Concatenate[PortalRequest, P], HttpResponse]


def role_required(*allowed: Role) -> Callable[[View[P]], View[P]]:
    """Let only these roles in; anybody else gets 403, and the refusal is recorded."""

    def decorate(view: View[P]) -> View[P]:
        @functools.wraps(view)
        def guarded(request: PortalRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if roles.role_of(request.user) not in allowed:
                refuse(request)
            return view(request, *args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


def refuse(request: PortalRequest, target: Any = None, reason: str = "") -> None:
    """Record the refusal and raise PermissionDenied (403); the page says ``reason``, else that the role forbids it."""
    record_refusal(request, target)
    raise PermissionDenied(reason)


def record_refusal(request: PortalRequest, target: Any = None) -> None:
    """Put into the audit that somebody was refused here, for views that answer 403 with a page of their own."""
    audit.record(
        "access.refused",
        actor=request.user,
        target=target,
        refused=True,
        method=request.method,
        page=request.resolver_match.view_name if request.resolver_match else "",
    )


def client_address(request: HttpRequest) -> str | None:
    """Where the request comes from, for the lock-out; None over a socket without addresses.

    Behind TRUSTED_PROXIES proxies it is the address that the first of them saw: counted from the right, because
    everything further left was written by the client itself.
    """
    proxies = settings.TRUSTED_PROXIES
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    seen = _address(hops[-proxies]) if proxies and len(hops) >= proxies else None
    return seen or _address(str(request.META.get("REMOTE_ADDR", "")))


def _address(text: str) -> str | None:
    """The IP address in a hop, with or without a port (RFC 7239 §6); None if it is no address (*unknown*)."""
    bare = re.sub(r"\A\[(.+)\](:\d+)?\Z|\A([^:]+):\d+\Z", lambda found: found[1] or found[3], text)
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def version_in(text: str) -> int:
    """The version of an object as a form sent it; 0, which no object has, for anything that is none."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of the page (and not for history after a missed cache)."""
    return (
        request.headers.get("HX-Request") == "true"
        and request.headers.get("HX-History-Restore-Request") != "true"
    )


def page_or_fragment(
    request: HttpRequest, page: str, fragment: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """The fragment for htmx, else the page that includes this very fragment."""
    return render(request, fragment if is_fragment(request) else page, dict(context), status=status)


def go_to(request: HttpRequest, url: str) -> HttpResponse:
    """After success: 303 for a plain form, ``HX-Redirect`` (204) for htmx."""
    if is_fragment(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = url
        return response
    redirect = HttpResponseRedirect(url)
    redirect.status_code = 303
    return redirect


def back_to_list(request: HttpRequest, list_url: str, *, elsewhere: str = "") -> HttpResponse:
    """After something asked for in a list: the list as it was, with its search, filters and page.

    On the list itself htmx gets 204 and the events that close the dialog and fetch the table again. Otherwise it is
    ``go_to``: to ``elsewhere`` if that is given, else to the list with the query that its form sent as ``query``.
    """
    if is_fragment(request) and current_path(request) == list_url:
        return trigger(HttpResponse(status=204), closeDialogs=True, listChanged=True)
    if elsewhere:
        return go_to(request, elsewhere)
    query = list_query(request)
    return go_to(request, f"{list_url}?{query}" if query else list_url)


def list_query(request: HttpRequest) -> str:
    """The list's own search, filters and page, as its form sent them; encoded anew, so it is a query and no more."""
    return QueryDict(request.POST.get("query", "")[:1000]).urlencode()


def current_path(request: HttpRequest) -> str:
    """The path of the page that htmx asks from, as the browser shows it; empty without htmx."""
    try:
        return urlsplit(request.headers.get("HX-Current-URL", "")).path
    except ValueError:
        return ""


def trigger(response: HttpResponse, **events: Any) -> HttpResponse:
    """Add htmx events that fire in the browser once the response has arrived."""
    present = json.loads(response.get("HX-Trigger", "{}"))
    response["HX-Trigger"] = json.dumps({**present, **events})
    return response


def paginate(request: HttpRequest, objects: QuerySet[Any] | list[Any], size: int = PAGE_SIZE) -> Page[Any]:
    """The page named in the address; a number out of range gives the nearest one."""
    return Paginator(objects, size).get_page(request.GET.get("page"))


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: navigation by role, role label, theme and initials for ``base.html``."""
    context: dict[str, Any] = {"theme": theme_of(request)}
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return context
    role = roles.role_of(user)
    return context | {
        "role": role,
        "role_label": roles.LABELS[role] if role else _("No role"),
        "navigation": _navigation(request, role),
    }


def theme_of(request: HttpRequest) -> str:
    """*light* or *dark* as the reader chose, else *auto*."""
    theme = request.COOKIES.get("theme", "auto")
    return theme if theme in {"light", "dark"} else "auto"


def _navigation(request: HttpRequest, role: Role | None) -> list[dict[str, Any]]:
    """Groups of what the role may open; what it may not open is absent."""
    signed_in = (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER)
    groups: list[tuple[str, list[tuple[str, str, str, tuple[Role, ...]]]]] = [
        ("", [(_("Home"), "home", "home", (*signed_in, Role.SUPPORT))]),
        (
            _("Data"),
            [
                (_("Enrichment"), "enrichments:discover", "sparkle", signed_in),
                (_("Tables"), "tables:list", "table", signed_in),
                (_("Exports"), "exports:list", "arrow_export", signed_in),
            ],
        ),
        (
            _("Settings"),
            [
                (_("Connections"), "connections:discover", "plug_connected", (Role.ADMINISTRATOR,)),
                (_("Key Vault"), "key_vault:list", "key", (Role.ADMINISTRATOR,)),
                (_("Permissions"), "permissions:people", "people", (Role.ADMINISTRATOR,)),
                (_("Audit"), "audit", "history", (Role.ADMINISTRATOR,)),
                (_("System"), "system:schedule", "settings", (Role.ADMINISTRATOR,)),
                (_("System status"), "system:status", "settings", (Role.CONTRIBUTOR, Role.VIEWER)),
                (_("Support"), "admin:index", "person_support", (Role.SUPPORT,)),
            ],
        ),
    ]
    shown = []
    for label, entries in groups:
        items = [
            {
                "label": text,
                "url": reverse(name),
                "icon": icon,
                "current": _is_current(request, reverse(name)),
            }
            for text, name, icon, allowed in entries
            if role in allowed
        ]
        if items:
            shown.append({"label": label, "items": items})
    return shown


def _is_current(request: HttpRequest, url: str) -> bool:
    return request.path == url if url == "/" else request.path.startswith(url)
