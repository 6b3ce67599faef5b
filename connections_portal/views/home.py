"""The first page, and the address that a load balancer asks."""

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from connections.models import Connection, State
from connections_portal import roles
from connections_portal.models import ACTIVE_STATES, RunState
from connections_portal.roles import Role
from connections_portal.web import PortalRequest
from exports.models import Export, ExportRun

RECENT = 8


@require_safe
def home(request: PortalRequest) -> HttpResponse:
    """What there is and what happened last, as far as the person's role shows it."""
    role = roles.role_of(request.user)
    sees_exports = role in (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER)
    context = {
        "recent_runs": _recent_runs() if sees_exports else [],
        "counts": _counts(role) if sees_exports else [],
        "actions": _actions(role),
        "sees_exports": sees_exports,
    }
    return render(request, "portal/home.html", context)


_KINDS = {
    RunState.SUCCESSFUL: "ok",
    RunState.WARNINGS: "warn",
    RunState.FAILED: "bad",
    RunState.CANCELED: "off",
}


def _recent_runs() -> list[ExportRun]:
    """The last runs of all exports; ``kind`` is how the status is drawn."""
    recent = list(ExportRun.objects.select_related("export")[:RECENT])
    for run in recent:
        run.kind = _KINDS.get(RunState(run.state), "run")  # type: ignore[attr-defined]
    return recent


def _counts(role: Role | None) -> list[dict[str, object]]:
    exports = Export.objects.count()
    running = ExportRun.objects.filter(state__in=ACTIVE_STATES).count()
    last_state = ExportRun.objects.filter(export=OuterRef("pk")).values("state")[:1]
    failed = Export.objects.alias(last=Subquery(last_state)).filter(last=RunState.FAILED).count()
    counts: list[dict[str, object]] = [
        {"value": exports, "text": ngettext("Export", "Exports", exports), "url": reverse("exports:list")},
        {"value": running, "text": _("Running now"), "url": reverse("exports:list")},
        {"value": failed, "text": _("Last run failed"), "url": reverse("exports:list")},
    ]
    if role is Role.ADMINISTRATOR:
        connections = Connection.objects.count()
        attention = Connection.objects.filter(state=State.NEEDS_ATTENTION).count()
        url = reverse("connections:exports")
        counts.insert(
            0, {"value": connections, "text": ngettext("Connection", "Connections", connections), "url": url}
        )
        if attention:
            text = ngettext("Connection needs attention", "Connections need attention", attention)
            counts.append({"value": attention, "text": text, "url": url})
    return counts


def _actions(role: Role | None) -> list[dict[str, str]]:
    discover = {
        "label": _("Set up a connection"),
        "text": _("Say where data may go, verify it, agree, and share it."),
        "url": reverse("connections:discover"),
        "icon": "plug_connected",
    }
    add_export = {
        "label": _("Add an export"),
        "text": _("Choose a connection, what to send, and how often."),
        "url": reverse("exports:create"),
        "icon": "arrow_export",
    }
    tables = {
        "label": _("Look at tables"),
        "text": _("Customers, segments and other tables that can be sent."),
        "url": reverse("tables:list"),
        "icon": "table",
    }
    support = {
        "label": _("Open the support admin"),
        "text": _("Runs, connections and the audit, to read."),
        "url": reverse("admin:index"),
        "icon": "person_support",
    }
    return (
        {
            Role.ADMINISTRATOR: [discover, add_export, tables],
            Role.CONTRIBUTOR: [add_export, tables],
            Role.VIEWER: [tables],
            Role.SUPPORT: [support],
        }.get(role, [])
        if role
        else []
    )


@login_not_required
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """200 while the database answers; says nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok", content_type="text/plain")
