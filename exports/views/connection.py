"""*Detach connection* and *Add connection* of an export."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from connections.attach_form import AttachForm
from connections.models import Connection, State
from connections.types import type_name
from connections_portal import refresh, undo, web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import User
from connections_portal.web import PortalRequest, role_required
from exports.models import Export
from exports.operations.connection import attach_connection, detach_connection, to_undo
from exports.permissions import EDITING_ROLES
from exports.schedules import describe
from exports.views.loading import load_to_change
from exports.views.undo import offer


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def detach(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then take the connection off the export."""
    export, allowed = load_to_change(request, uuid)
    url = reverse("exports:detail", args=[export.uuid])
    error, status = "", 200
    if request.method == "POST":
        try:
            detached = detach_connection(export=export, actor=request.user)
        except NotAllowed:
            web.refuse(request, export)
        except OperationError as refusal:
            error, status = refusal.message, refusal.status
        else:
            done = _("%(name)s has no connection any more.") % {"name": export.name}
            undo.announce(request, done, offer(request.user, [to_undo(export, detached)]))
            return web.back_to_list(request, reverse("exports:list"), elsewhere=url)
    context = {
        "title": _("Detach connection"),
        "subject": export.name,
        "sentences": _what_detaching_does(export),
        "action": reverse("exports:detach", args=[export.uuid]),
        "button": _("Detach connection"),
        "neutral": True,
        "refused": not allowed.detach,
        "cancel_url": url,
        "error": error,
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)


def _what_detaching_does(export: Export) -> list[str]:
    if export.connection is None:
        return [_("This export has no connection.")]
    return [
        _("The export keeps its settings, its schedule and its history. A run under way is canceled."),
        _("It does not run until it gets another connection."),
        _("The connection %(name)s itself stays as it is.") % {"name": export.connection.name},
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def attach(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Choose the next connection of an export that has none."""
    export, allowed = load_to_change(request, uuid)
    offered = connections_for(request.user, export.type_key)
    posted = request.POST if request.method == "POST" else None
    form = AttachForm(posted, connections=offered, label=_("Connection for export"))
    error, status = "", 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            chosen = form.chosen()
            try:
                attach_connection(export=export, connection=chosen, actor=request.user)
            except NotAllowed:
                web.refuse(request, export)
            except OperationError as refusal:
                error, status = refusal.message, refusal.status
            else:
                messages.success(
                    request,
                    _("%(name)s now uses %(connection)s.") % {"name": export.name, "connection": chosen},
                )
                url = reverse("exports:detail", args=[export.uuid])
                return web.back_to_list(request, reverse("exports:list"), elsewhere=url)
    context = {
        "export": export,
        "form": form,
        "offered": offered,
        "type_name": type_name(export.type_key),
        "schedule": describe(export.schedule, refresh_on=refresh.is_on()),
        "refused": not allowed.attach,
        "error": error,
    }
    return web.page_or_fragment(
        request, "exports/attach.html", "exports/_attach.html", context, status=status
    )


def connections_for(user: User, type_key: str | None = None) -> list[Connection]:
    """The ready connections that this person may build exports on, by name; of one type if it is given."""
    connections = Connection.objects.filter(state=State.READY).usable_by(user).order_by("name_key", "pk")
    if type_key is not None:
        connections = connections.filter(type_key=type_key)
    return list(connections)
