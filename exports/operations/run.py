"""Start and cancel runs."""

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.models import Connection
from connections.permissions import can_use
from connections_portal import audit
from connections_portal.errors import FinishingRun, OperationError, Stale
from connections_portal.models import ACTIVE_STATES, Refresh, RunState, Trigger, User
from exports.models import Export, ExportAttempt, ExportRun, ExportTask, TaskState
from exports.permissions import require_edit
from exports.tasks import wake

# What must stay true while a run is under way (rule S4).
STILL_CONNECTED = Q(export__connection__isnull=False)


class CannotRun(OperationError):
    """The export cannot be started now; the message says why."""


def enqueue_run(
    *,
    export: Export,
    actor: User | None,
    trigger: Trigger,
    refresh: Refresh | None = None,
    retries: ExportRun | None = None,
    now: dt.datetime | None = None,
) -> ExportRun:
    """Queue a run of the export: its row, its tasks and the message for a worker in one transaction.

    A run by hand or from the command line needs the right of ``actor`` (rule S11); a scheduled one is checked when a
    worker takes it up. With ``retries`` only the items that had refused records in that run are queued, and only these
    records are sent. Raises CannotRun for an export without connection or items, one that runs already, or when
    the right is missing, and Stale for an export that was removed meanwhile.
    """
    now = now or timezone.now()
    with transaction.atomic():
        export = lock_export(export.pk)
        connection = export.connection
        if connection is None:
            raise CannotRun(_("The export waits for a connection. Add one first."))
        if trigger in (Trigger.PERSON, Trigger.COMMAND) and not (actor and can_use(actor, connection)):
            raise CannotRun(_("You cannot use the connection of this export any more."))
        items = list(export.items.all())
        if retries is not None:
            refused = set(retries.tasks.filter(rejections__keys__isnull=False).values_list("kind", "source"))
            items = [item for item in items if (item.kind, item.source) in refused]
        if not items:
            raise CannotRun(_("The export has no segment or table to send."))
        if export.runs.filter(state__in=ACTIVE_STATES).exists():
            raise CannotRun(_("A run of this export is under way already."))
        run = ExportRun.objects.create(
            export=export,
            trigger=trigger,
            refresh=refresh,
            retries=retries,
            started_by=actor,
            started_by_label=str(actor)[:150] if actor else "",
            not_before=now,
            max_attempts=settings.RUN_MAX_ATTEMPTS,
            connection_uuid=connection.uuid,
            connection_type=connection.type_key,
            connection_name=connection.name,
            connection_epoch=connection.epoch,
            consent_uuid=connection.consent.uuid if connection.consent else None,
            options=export.options,
        )
        ExportTask.objects.bulk_create(
            ExportTask(
                run=run,
                position=position,
                kind=item.kind,
                source=item.source,
                fields=item.fields,
                mapping=item.mapping,
                added=item.added,
            )
            for position, item in enumerate(items)
        )
        wake(run.pk)
        audit.record("export.run_requested", actor=actor, target=export, run=str(run.uuid), trigger=trigger)
    return run


def lock_export(export_id: int) -> Export:
    """The export and its connection as they are now, both locked, inside the caller's transaction.

    The connection is always locked first, then the export, then its run: so nobody waits for each other. Raises Stale
    when the export was removed meanwhile.
    """
    for _try in range(3):
        connection_id = Export.objects.filter(pk=export_id).values_list("connection", flat=True).first()
        if connection_id:
            Connection.objects.select_for_update().filter(pk=connection_id).first()
        locked = (
            Export.objects.select_for_update(of=("self",))
            .select_related("connection__consent")
            .filter(pk=export_id)
            .first()
        )
        if locked is None:
            raise Stale(_("The export was removed meanwhile."))
        if locked.connection_id == connection_id:
            return locked
    raise Stale(_("The export was changed meanwhile. Try again."))


def cancel_run(*, run: ExportRun, actor: User) -> None:
    """Cancel a queued or running run; the worker stops at its next batch and deletes what it wrote.

    Raises NotAllowed, and FinishingRun while the run is publishing; a run that has ended already is left as it is.
    """
    with transaction.atomic():
        require_edit(actor, run.export)
        cancel(run, actor)


def cancel_active_runs(*, export: Export, actor: User) -> None:
    """Cancel the export's run under way, if there is one, inside the caller's transaction. Raises FinishingRun."""
    for run in export.runs.filter(state__in=ACTIVE_STATES):
        cancel(run, actor)


def cancel(run: ExportRun, actor: User, **details: str) -> bool:
    """Cancel the run whatever the rights, inside the caller's transaction, with more details for the audit.

    False for a run that has ended already. Raises FinishingRun.
    """
    canceled = ExportRun.objects.filter(pk=run.pk, state__in=[RunState.QUEUED, RunState.RUNNING]).update(
        state=RunState.CANCELED, lease_token=None, lease_until=None, finished_at=Now()
    )
    if canceled:
        run.tasks.filter(state=TaskState.RUNNING).update(state=TaskState.FAILED, finished_at=Now())
        run.attempts.filter(outcome=ExportAttempt.Outcome.RUNNING).update(
            outcome=ExportAttempt.Outcome.CANCELED, ended_at=Now()
        )
        audit.record(
            "export.run_canceled",
            actor=actor,
            target=run.export,
            run=str(run.uuid),
            **details,  # type: ignore[arg-type]
        )
    elif ExportRun.objects.filter(pk=run.pk, state=RunState.PUBLISHING).exists():
        raise FinishingRun(_("The run is just finishing. Try again in a moment."))
    return bool(canceled)
