"""The first page, and the address that a load balancer asks."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections import home as of_connections
from connections.models import Connection, State
from connections_portal import roles
from connections_portal.models import User
from connections_portal.notices import LastRun, Notice, Number
from connections_portal.roles import Role
from connections_portal.web import PortalRequest
from enrichments import home as of_enrichments
from exports import home as of_exports
from exports.views.lists import administrators, nothing_shared

RECENT = 8
SHARED = 5

# What may need somebody, most pressing first: one function per kind of thing, in the app that the thing belongs to.
NOTICES: tuple[Callable[[User], Notice | None], ...] = (
    of_connections.asked_for,
    of_connections.needs_attention,
    of_connections.enrichment_needs_attention,
    of_connections.vaults_out_of_order,
    of_connections.secrets_expiring,
    of_connections.enrichment_secrets_expiring,
    of_exports.failed,
    of_exports.waiting,
    of_enrichments.failed,
    of_enrichments.waiting,
    of_connections.answered,
    of_connections.waits,
)
COUNTS: tuple[Callable[[User], list[Number]], ...] = (
    of_connections.counts,
    of_exports.counts,
    of_enrichments.counts,
)
LAST_RUNS: tuple[Callable[[User, int], list[LastRun]], ...] = (
    of_exports.last_runs,
    of_enrichments.last_runs,
)


@require_safe
def home(request: PortalRequest) -> HttpResponse:
    """What needs this person, what happened last and what they can do next; on a new portal the way to a first run."""
    user, role = request.user, roles.role_of(request.user)
    steps = _first_steps(user, role)
    context = {
        "role": role,
        "steps": steps,
        "to_do": next((step for step in steps if not step["done"]), None),
        "notices": _notices(user, steps),
        "watched": role in (Role.ADMINISTRATOR, Role.CONTRIBUTOR),
        "counts": [count for counts in COUNTS for count in counts(user)],
        "last_runs": _last_runs(user),
        "sees_runs": role in (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER),
        "shared": of_connections.shared_lately(user, SHARED),
        "actions": _actions(role),
    }
    return render(request, "portal/home.html", context)


def _notices(user: User, steps: list[dict[str, Any]]) -> list[Notice]:
    """What needs the person; that nothing is shared with them is the first of the steps, where those are shown."""
    notices = [notice for found in NOTICES if (notice := found(user)) is not None]
    if not steps and (why := nothing_shared(user)):
        names = ", ".join(administrators())
        url = reverse("requests:ask")
        notices.append(Notice(kind="warn", title=why, text=names, url=url, action=_("Request access")))
    return notices


def _last_runs(user: User) -> list[LastRun]:
    """The last runs of every kind, newest first."""
    runs = [run for last in LAST_RUNS for run in last(user, RECENT)]
    return sorted(runs, key=lambda run: run.at, reverse=True)[:RECENT]


def _first_steps(user: User, role: Role | None) -> list[dict[str, Any]]:
    """The way to a first delivery, with what is done of it; empty once one has succeeded, and for who only looks."""
    if role not in (Role.ADMINISTRATOR, Role.CONTRIBUTOR) or of_exports.has_delivered():
        return []
    exports = of_exports.has_any()
    connected = Connection.objects.usable_by(user).filter(state=State.READY).exists()
    if role is Role.ADMINISTRATOR:
        first = {
            "title": _("Set up a connection"),
            "text": _("Say where data may go, verify it, agree to the terms and share it."),
            "url": reverse("connections:discover"),
            "action": _("Choose a service"),
        }
    else:
        first = {
            "title": _("Get a connection"),
            "text": _("An administrator shares one with you. Ask for the type that you need."),
            "url": reverse("requests:ask"),
            "action": _("Request access"),
        }
    return [
        first | {"done": connected},
        {
            "title": _("Add an export"),
            "text": _("Choose the connection, what to send, and how often."),
            "url": reverse("exports:create"),
            "action": _("Add export"),
            "done": exports,
        },
        {
            "title": _("Run it"),
            "text": _("Watch every row and file arrive. Later it runs by itself, when you want."),
            "url": reverse("exports:list"),
            "action": _("Open exports"),
            "done": False,
        },
    ]


def _actions(role: Role | None) -> list[dict[str, str]]:
    """What the person comes here for most."""
    discover = {
        "label": _("Set up a connection"),
        "url": reverse("connections:discover"),
        "icon": "plug_connected",
    }
    add_export = {"label": _("Add an export"), "url": reverse("exports:create"), "icon": "arrow_export"}
    exports = {"label": _("Look at exports"), "url": reverse("exports:list"), "icon": "arrow_export"}
    ask = {"label": _("Request access"), "url": reverse("requests:ask"), "icon": "key"}
    tables = {"label": _("Look at tables"), "url": reverse("tables:list"), "icon": "table"}
    audit = {"label": _("See what happened"), "url": reverse("audit"), "icon": "history"}
    support = {"label": _("Open Support"), "url": reverse("admin:index"), "icon": "person_support"}
    if role is None:
        return []
    return {
        Role.ADMINISTRATOR: [discover, add_export, tables, audit],
        Role.CONTRIBUTOR: [add_export, ask, tables],
        Role.VIEWER: [exports, tables],
        Role.SUPPORT: [support],
    }[role]


@login_not_required
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """200 while the database answers; says nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")
