"""Runs of an enrichment: watch and cancel."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from connections import consent
from connections.permissions import can_edit as can_edit_connections
from connections_portal import run_pages, run_words
from connections_portal.web import PortalRequest, role_required
from enrichments import data_sets, story, types
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.run import cancel_run
from enrichments.permissions import EDITING_ROLES, VIEWING_ROLES, may_edit
from enrichments.status import WORDING, of_run, reading
from enrichments.views.loading import load, load_run

HISTORY = 10


@require_safe
@role_required(*VIEWING_ROLES)
def run(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """One run: how far it is, rows, attempts, and the runs before it."""
    enrichment = load(uuid)
    context = _context(request, enrichment, load_run(enrichment, run_uuid))
    return render(request, "enrichments/run.html", context)


@require_safe
@role_required(*VIEWING_ROLES)
def run_status(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """See ``run_pages.moving_part``."""
    enrichment = load(uuid)
    shown = load_run(enrichment, run_uuid)
    context = _context(request, enrichment, shown)
    return run_pages.moving_part(
        request, shown, page="enrichments/run.html", fragment="enrichments/_run_update.html", context=context
    )


@require_POST
@role_required(*EDITING_ROLES)
def cancel(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """*Cancel job*: stop a run that has not begun to replace the output table."""
    enrichment = load(uuid)
    shown = load_run(enrichment, run_uuid)
    return run_pages.cancel(
        request,
        shown,
        operation=lambda: cancel_run(run=shown, actor=request.user),
        canceled=_("The run is canceled. The output table stays as it was."),
        url=_url(shown, enrichment),
    )


def _context(request: PortalRequest, enrichment: Enrichment, shown: EnrichmentRun) -> dict[str, Any]:
    """Everything that the page of a run shows; of the connection its name and type (rule S12)."""
    now = timezone.now()
    sees_connection = can_edit_connections(request.user)
    return {
        "enrichment": enrichment,
        "may_edit": may_edit(request.user),
        "run": shown,
        "status": of_run(shown, now),
        "type_name": types.type_name(shown.connection_type),
        "started_by": run_words.started_by(shown),
        "duration": run_words.run_duration(shown, now),
        "data_set": data_sets.label_of(shown.segment),
        "answers": types.answers(shown.connection_type, shown.options) if may_edit(request.user) else [],
        "reading": reading(shown),
        "sums": story.sums(shown),
        "attempts": run_words.attempt_lines(
            shown, shown.attempts.all(), WORDING, see_detail=sees_connection, now=now
        ),
        "consent": consent.recorded(shown.consent_uuid) if sees_connection else None,
        "history": history_of(enrichment, enrichment.runs.exclude(pk=shown.pk)[:HISTORY]),
    }


def history_of(enrichment: Enrichment, runs: Iterable[EnrichmentRun]) -> run_words.History:
    """The table *History* with these runs."""
    now = timezone.now()
    return run_words.History(
        name=enrichment.name,
        sent_label=_("Enriched"),
        lines=[
            run_words.history_line(run, now, of_run=of_run, url=lambda run: _url(run, enrichment))
            for run in runs
        ],
    )


def _url(run: EnrichmentRun, enrichment: Enrichment) -> str:
    return reverse("enrichments:run", args=[enrichment.uuid, run.uuid])
