"""Runs of an export: start, watch, cancel."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from connections import consent
from connections.permissions import can_edit as can_edit_connections
from connections.types import takes_files, type_name
from connections_portal import refresh, run_pages, run_words, web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import Trigger
from connections_portal.web import PortalRequest, role_required
from exports import rejected, responsible, story
from exports.models import Export, ExportRun
from exports.operations.run import cancel_run, enqueue_run
from exports.permissions import EDITING_ROLES, VIEWING_ROLES, Rights
from exports.schedules import next_run
from exports.status import WORDING, of_run
from exports.views.loading import load, load_run, load_to_change

HISTORY = 10


@require_POST
@role_required(*EDITING_ROLES)
def run_now(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """*Run*: queue a run and show it."""
    export, _rights = load_to_change(request, uuid)
    try:
        run = enqueue_run(export=export, actor=request.user, trigger=Trigger.PERSON)
    except NotAllowed:
        web.refuse(request, export)
        raise
    except OperationError as refusal:
        messages.error(request, refusal.message)
        return web.go_to(request, reverse("exports:detail", args=[export.uuid]))
    return web.go_to(request, run_url(run, export))


@require_safe
@role_required(*VIEWING_ROLES)
def run(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """One run: progress, rows, attempts, files, and the runs before it."""
    export, allowed = load(request, uuid)
    return render(
        request, "exports/run.html", run_context(request, export, allowed, load_run(export, run_uuid))
    )


@require_safe
@role_required(*VIEWING_ROLES)
def run_status(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """See ``run_pages.moving_part``."""
    export, allowed = load(request, uuid)
    shown = load_run(export, run_uuid)
    context = run_context(request, export, allowed, shown)
    return run_pages.moving_part(
        request, shown, page="exports/run.html", fragment="exports/_run_update.html", context=context
    )


@require_POST
@role_required(*EDITING_ROLES)
def cancel(request: PortalRequest, uuid: UUID, run_uuid: UUID) -> HttpResponse:
    """*Cancel job*: stop a run that has not begun to publish."""
    export, _rights = load_to_change(request, uuid)
    shown = load_run(export, run_uuid)
    return run_pages.cancel(
        request,
        shown,
        operation=lambda: cancel_run(run=shown, actor=request.user),
        canceled=_("The run is canceled. Nothing of it appears at the destination."),
        url=run_url(shown, export),
    )


def run_url(run: ExportRun, export: Export) -> str:
    """The address of a run's page."""
    return reverse("exports:run", args=[export.uuid, run.uuid])


def run_context(request: PortalRequest, export: Export, allowed: Rights, shown: ExportRun) -> dict[str, Any]:
    """Everything that the page of a run shows; of the connection its name and type (rule S12)."""
    now = timezone.now()
    sees_connection = can_edit_connections(request.user)
    tasks = list(shown.tasks.prefetch_related("files"))
    history = list(export.runs.exclude(pk=shown.pk)[:HISTORY])
    return {
        "export": export,
        "rights": allowed,
        "run": shown,
        "status": of_run(shown, now),
        "type_name": type_name(shown.connection_type),
        "started_by": run_words.started_by(shown),
        "duration": run_words.run_duration(shown, now),
        "tasks": story.task_lines(shown, tasks, now),
        "done": story.done_phrase(tasks),
        "sums": story.sums(shown, tasks),
        "attempts": run_words.attempt_lines(
            shown, shown.attempts.all(), WORDING, see_detail=sees_connection, now=now
        ),
        "files": story.file_lines(shown, tasks),
        "takes_files": takes_files(shown.connection_type),
        "refused": rejected.refused(shown, tasks, see_words=allowed.edit),
        "folder": shown.final_folder if sees_connection else "",
        "consent": consent.recorded(shown.consent_uuid) if sees_connection else None,
        "history": history_of(export, history),
        "next_run": next_run(export, refresh.next_at()),
        "responsibility": responsible.of_failed_run(shown, export, request.user, allowed),
    }


def history_of(export: Export, runs: Iterable[ExportRun]) -> run_words.History:
    """The table *History* with these runs."""
    now = timezone.now()
    return run_words.History(
        name=export.name,
        sent_label=_("Sent"),
        lines=[
            run_words.history_line(run, now, of_run=of_run, url=lambda run: run_url(run, export))
            for run in runs
        ],
    )
