"""Commands on several exports: run, schedule, detach and remove those selected; *Run all*."""

import functools
from collections.abc import Sequence
from typing import Any

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
from exports.form_schedule import ScheduleForm, stored_schedule
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import detach_connection, to_undo
from exports.operations.edit import Timing
from exports.operations.remove import remove_export
from exports.operations.run import enqueue_run
from exports.operations.schedule import set_schedule
from exports.permissions import EDITING_ROLES, with_edit_right
from exports.views.undo import offer


@require_POST
@role_required(*EDITING_ROLES)
def run(request: PortalRequest) -> HttpResponse:
    """*Run* the selected exports."""
    command = Command(
        title=_("Run exports"),
        sentences=[_("A run of each is queued. They start as workers are free.")],
        button=_("Run"),
        success=queued_phrase,
        operation=lambda export: enqueue_run(export=export, actor=request.user, trigger=Trigger.PERSON),
        why_not=why_not_run,
    )
    return _answer(request, command)


@require_POST
@role_required(*EDITING_ROLES)
def schedule(request: PortalRequest) -> HttpResponse:
    """One *Schedule* for all selected exports: the form is asked for, then set."""
    form = ScheduleForm(
        request.POST if bulk.is_confirmed(request) else None,
        reader_zone=request.user.time_zone,
        initial={"schedule": ScheduleKind.DAY},
    )

    def operation(export: Export) -> object:
        return set_schedule(export=export, schedule=Timing(**form.timing()), actor=request.user)

    command = Command(
        title=_("Schedule exports"),
        sentences=[
            _(
                "All of them get this schedule in place of the one they have. You become responsible for them."
            ),
            _("An export without a connection waits until it has one."),
        ],
        button=_("Schedule"),
        success=lambda n: (
            ngettext("%(n)d export is scheduled.", "%(n)d exports are scheduled.", n) % {"n": n}
        ),
        operation=operation,
    )
    return _answer(request, command, form)


@require_POST
@role_required(*EDITING_ROLES)
def detach(request: PortalRequest) -> HttpResponse:
    """*Detach connection* from the selected exports."""
    detached: list[Item | None] = []

    def operation(export: Export) -> None:
        detached.append(to_undo(export, detach_connection(export=export, actor=request.user)))

    command = Command(
        title=_("Detach connection"),
        sentences=[
            _("They keep their settings, their schedules and their history. Runs under way are canceled."),
            _("They do not run until they get another connection."),
        ],
        button=_("Detach connection"),
        success=lambda n: (
            ngettext(
                "%(n)d export has no connection any more.", "%(n)d exports have no connection any more.", n
            )
            % {"n": n}
        ),
        operation=operation,
        undoing=lambda: offer(request.user, detached),
        why_not=lambda export: "" if export.connection_id else _("It has no connection."),
    )
    return _answer(request, command)


@require_POST
@role_required(*EDITING_ROLES)
def remove(request: PortalRequest) -> HttpResponse:
    """*Remove* the selected exports."""
    command = Command(
        title=_("Remove exports"),
        sentences=[
            _("They are removed with their settings, schedules and history. Runs under way are canceled."),
            _("Files that were delivered stay where they are. This cannot be undone."),
        ],
        button=_("Remove"),
        success=lambda n: ngettext("%(n)d export was removed.", "%(n)d exports were removed.", n) % {"n": n},
        operation=lambda export: remove_export(export=export, actor=request.user),
        danger=True,
    )
    return _answer(request, command)


def queued_phrase(number: int) -> str:
    """*3 runs are queued.*"""
    return ngettext("%(n)d run is queued.", "%(n)d runs are queued.", number) % {"n": number}


def is_running() -> Exists:
    """Whether a run of the export is under way, as a column of the exports asked for."""
    return Exists(ExportRun.objects.filter(export=OuterRef("pk"), state__in=ACTIVE_STATES))


def why_not_run(export: Export) -> str:
    """Why a run of the export (with ``is_running``) is not even queued; nothing when it can be."""
    if export.connection is None:
        return _("It has no connection.")
    if export.connection.state in (State.NOT_VERIFIED, State.PAUSED):
        return _("Its connection is paused or not verified. Ask an administrator.")
    if export.is_running:  # type: ignore[attr-defined]
        return _("It is running already.")
    return ""


def _answer(request: PortalRequest, command: Command, form: ScheduleForm | None = None) -> HttpResponse:
    exports = with_edit_right(Export.objects.select_related("connection", "schedule"), request.user)
    return bulk.answer(
        request,
        command,
        exports.annotate(is_running=is_running()),
        may_change=lambda export: bool(export.can_edit),
        unknown=bulk.LeftOut(
            name=_("Unknown export"), reason=_("You cannot change it, or it was removed meanwhile.")
        ),
        list_url=reverse("exports:list"),
        form=form,
        fields="exports/_schedule_fields.html" if form else "",
        fill_in=functools.partial(_fill_in, form),
    )


def _fill_in(form: ScheduleForm | None, exports: Sequence[Export]) -> None:
    """Begin with the schedule that all of them have, if it is the same one."""
    if form is None:
        return
    stored: list[dict[str, Any]] = [stored_schedule(export.schedule) for export in exports]
    if stored and all(values == stored[0] for values in stored):
        form.initial.update(stored[0])
