"""What one enrichment is told to do: *Run*, *Activate*, *Deactivate*, *Delete*."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from connections.attach_form import AttachForm
from connections.types import type_name as connection_type_name
from connections_portal import undo, web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import Trigger
from connections_portal.web import PortalRequest, role_required
from enrichments.models import Enrichment
from enrichments.operations.delete import delete_enrichment
from enrichments.operations.run import enqueue_run
from enrichments.operations.state import activate, deactivate, to_undo
from enrichments.permissions import EDITING_ROLES
from enrichments.views.loading import connections_for, load
from enrichments.views.undo import offer


@require_POST
@role_required(*EDITING_ROLES)
def run_now(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """*Run*: queue a run and show it."""
    enrichment = load(uuid)
    try:
        run = enqueue_run(enrichment=enrichment, actor=request.user, trigger=Trigger.PERSON)
    except OperationError as refusal:
        messages.error(request, refusal.message)
        return web.go_to(request, _detail(enrichment))
    return web.go_to(request, reverse("enrichments:run", args=[enrichment.uuid, run.uuid]))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def activate_one(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """*Activate*: at once where a connection is there, else in a dialog that asks for one."""
    enrichment = load(uuid)
    offered = connections_for(request.user, enrichment.type_key)
    waits = enrichment.needs_connection and enrichment.connection_id is None
    posted = request.POST if request.method == "POST" else None
    form = AttachForm(posted, connections=offered, label=_("Connection"))
    error, status = "", 200
    if request.method == "POST":
        status = 422
        if not waits or form.is_valid():
            chosen = form.chosen() if waits else None
            try:
                activate(enrichment=enrichment, actor=request.user, connection=chosen)
            except NotAllowed:
                web.refuse(request, enrichment)
            except OperationError as refusal:
                error = " ".join([refusal.message, *refusal.fields.values()])
                status = refusal.status
            else:
                messages.success(request, _("%(name)s is active.") % {"name": enrichment.name})
                return _back(request, enrichment)
    context = {
        "enrichment": enrichment,
        "form": form,
        "waits": waits,
        "offered": offered,
        "connection_type": connection_type_name(enrichment.type_key),
        "title": _("Activate enrichment"),
        "action": reverse("enrichments:activate", args=[enrichment.uuid]),
        "cancel_url": _detail(enrichment),
        "error": error,
        "refused": enrichment.active or (waits and not offered),
    }
    return web.page_or_fragment(
        request, "enrichments/activate.html", "enrichments/_activate.html", context, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def deactivate_one(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then let the enrichment rest; its connection and its results stay."""
    enrichment = load(uuid)
    error, status = "", 200
    if request.method == "POST":
        try:
            inactive = deactivate(enrichment=enrichment, actor=request.user)
        except NotAllowed:
            web.refuse(request, enrichment)
        except OperationError as refusal:
            error, status = refusal.message, refusal.status
        else:
            done = _("%(name)s is inactive.") % {"name": enrichment.name}
            undo.announce(request, done, offer(request.user, [to_undo(inactive)]))
            return _back(request, enrichment)
    context: dict[str, Any] = {
        "title": _("Deactivate enrichment"),
        "subject": enrichment.name,
        "sentences": [
            _(
                "The enrichment keeps its settings, its connection and its results. A run under way is canceled."
            ),
            _("It does not run, neither by hand nor with the system refresh, until it is activated again."),
        ],
        "action": reverse("enrichments:deactivate", args=[enrichment.uuid]),
        "button": _("Deactivate"),
        "neutral": True,
        "cancel_url": _detail(enrichment),
        "error": error,
    }
    if not enrichment.active:
        context |= {"sentences": [_("This enrichment is inactive already.")], "refused": True}
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def delete(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then delete the enrichment with its output table."""
    enrichment = load(uuid)
    error, status = "", 200
    if request.method == "POST":
        try:
            delete_enrichment(enrichment=enrichment, actor=request.user)
        except NotAllowed:
            web.refuse(request, enrichment)
        except OperationError as refusal:
            error, status = refusal.message, refusal.status
        else:
            messages.success(request, _("%(name)s was deleted.") % {"name": enrichment.name})
            return web.back_to_list(request, reverse("enrichments:mine"))
    context = {
        "title": _("Delete enrichment"),
        "subject": enrichment.name,
        "sentences": [
            _("The enrichment is deleted with its settings, its history and its output table %(table)s.")
            % {"table": enrichment.table_name},
            _("A run under way is canceled. Exports that send the table say that it is gone."),
            _("The file at the service stays where it is. This cannot be undone."),
        ],
        "action": reverse("enrichments:delete", args=[enrichment.uuid]),
        "button": _("Delete"),
        "cancel_url": _detail(enrichment),
        "error": error,
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)


def _detail(enrichment: Enrichment) -> str:
    return reverse("enrichments:detail", args=[enrichment.uuid])


def _back(request: PortalRequest, enrichment: Enrichment) -> HttpResponse:
    return web.back_to_list(request, reverse("enrichments:mine"), elsewhere=_detail(enrichment))
