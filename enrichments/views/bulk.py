"""Commands on several enrichments: run, activate, deactivate and delete those selected."""

from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from connections.models import State
from connections_portal import bulk
from connections_portal.bulk import Command
from connections_portal.models import ACTIVE_STATES, Trigger
from connections_portal.undo import Item
from connections_portal.web import PortalRequest, role_required
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.delete import delete_enrichment
from enrichments.operations.run import enqueue_run
from enrichments.operations.state import activate, deactivate, to_undo
from enrichments.permissions import EDITING_ROLES
from enrichments.views.undo import offer


@require_POST
@role_required(*EDITING_ROLES)
def run(request: PortalRequest) -> HttpResponse:
    """*Run* the selected enrichments."""
    command = Command(
        title=_("Run enrichments"),
        sentences=[_("A run of each is queued. They start as workers are free.")],
        button=_("Run"),
        success=lambda n: ngettext("%(n)d run is queued.", "%(n)d runs are queued.", n) % {"n": n},
        operation=lambda e: enqueue_run(enrichment=e, actor=request.user, trigger=Trigger.PERSON),
        why_not=_why_not_run,
    )
    return _answer(request, command)


@require_POST
@role_required(*EDITING_ROLES)
def activate_several(request: PortalRequest) -> HttpResponse:
    """*Activate* the selected enrichments; those without a connection wait for one."""
    command = Command(
        title=_("Activate enrichments"),
        sentences=[_("They run with the system refresh again, and by hand. Nothing is caught up.")],
        button=_("Activate"),
        success=lambda n: (
            ngettext("%(n)d enrichment is active.", "%(n)d enrichments are active.", n) % {"n": n}
        ),
        operation=lambda e: activate(enrichment=e, actor=request.user),
        why_not=_why_not_activate,
    )
    return _answer(request, command)


@require_POST
@role_required(*EDITING_ROLES)
def deactivate_several(request: PortalRequest) -> HttpResponse:
    """*Deactivate* the selected enrichments."""
    inactive: list[Item] = []

    def operation(enrichment: Enrichment) -> None:
        inactive.append(to_undo(deactivate(enrichment=enrichment, actor=request.user)))

    command = Command(
        title=_("Deactivate enrichments"),
        sentences=[
            _("They keep their settings, their connections and their results. Runs under way are canceled."),
            _("They do not run until they are activated again."),
        ],
        button=_("Deactivate"),
        success=lambda n: (
            ngettext("%(n)d enrichment is inactive.", "%(n)d enrichments are inactive.", n) % {"n": n}
        ),
        operation=operation,
        undoing=lambda: offer(request.user, inactive),
        why_not=lambda e: "" if e.active else _("It is inactive already."),
    )
    return _answer(request, command)


@require_POST
@role_required(*EDITING_ROLES)
def delete(request: PortalRequest) -> HttpResponse:
    """*Delete* the selected enrichments."""
    command = Command(
        title=_("Delete enrichments"),
        sentences=[
            _(
                "They are deleted with their settings, histories and output tables. Runs under way are canceled."
            ),
            _("Exports that send the tables say that they are gone. This cannot be undone."),
        ],
        button=_("Delete"),
        success=lambda n: (
            ngettext("%(n)d enrichment was deleted.", "%(n)d enrichments were deleted.", n) % {"n": n}
        ),
        operation=lambda e: delete_enrichment(enrichment=e, actor=request.user),
        danger=True,
    )
    return _answer(request, command)


def _why_not_activate(enrichment: Enrichment) -> str:
    if enrichment.active:
        return _("It is active already.")
    if enrichment.needs_connection and enrichment.connection_id is None:
        return _("It has no connection. Activate it by itself, and choose one.")
    return ""


def _why_not_run(enrichment: Enrichment) -> str:
    """Why a run of the enrichment (with ``is_running``) is not even queued; nothing when it can be."""
    if not enrichment.active:
        return _("It is inactive.")
    if enrichment.connection is None:
        return _("It has no connection.")
    if enrichment.connection.state in (State.NOT_VERIFIED, State.PAUSED):
        return _("Its connection is paused or not verified. Ask an administrator.")
    if enrichment.is_running:  # type: ignore[attr-defined]
        return _("It is running already.")
    return ""


def _answer(request: PortalRequest, command: Command) -> HttpResponse:
    running = EnrichmentRun.objects.filter(enrichment=OuterRef("pk"), state__in=ACTIVE_STATES)
    return bulk.answer(
        request,
        command,
        Enrichment.objects.select_related("connection").annotate(is_running=Exists(running)),
        unknown=bulk.LeftOut(name=_("Unknown enrichment"), reason=_("It was deleted meanwhile.")),
        list_url=reverse("enrichments:mine"),
    )
