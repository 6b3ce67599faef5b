"""Start and cancel runs of enrichments."""

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.operations import attempts
from connections_portal import audit
from connections_portal.errors import FinishingRun, OperationError
from connections_portal.models import ACTIVE_STATES, Refresh, RunState, Trigger, User
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.locks import lock_with_connection
from enrichments.permissions import may_edit, require_edit
from enrichments.tasks import wake


class CannotRun(OperationError):
    """The enrichment cannot be started now; the message says why."""


def enqueue_run(
    *,
    enrichment: Enrichment,
    actor: User | None,
    trigger: Trigger,
    refresh: Refresh | None = None,
    now: dt.datetime | None = None,
) -> EnrichmentRun:
    """Queue a run of the enrichment: its row and the message for a worker in one transaction.

    A run by hand or from the command line needs the right of ``actor`` (rule S11), one of the system refresh is
    checked when a worker takes it up. Raises CannotRun for one that is inactive, has no connection or runs already,
    and Stale for an enrichment that was deleted meanwhile.
    """
    now = now or timezone.now()
    with transaction.atomic():
        enrichment = lock_with_connection(enrichment.pk)
        connection = enrichment.connection
        if trigger in (Trigger.PERSON, Trigger.COMMAND) and not (actor and may_edit(actor)):
            raise CannotRun(_("You can look at enrichments and not run them."))
        if not enrichment.active:
            raise CannotRun(_("The enrichment is inactive. Activate it first."))
        if connection is None:
            raise CannotRun(_("The enrichment waits for a connection. Add one first."))
        if enrichment.runs.filter(state__in=ACTIVE_STATES).exists():
            raise CannotRun(_("A run of this enrichment is under way already."))
        run = EnrichmentRun.objects.create(
            enrichment=enrichment,
            trigger=trigger,
            refresh=refresh,
            started_by=actor,
            started_by_label=str(actor)[:150] if actor else "",
            not_before=now,
            max_attempts=settings.RUN_MAX_ATTEMPTS,
            connection_uuid=connection.uuid,
            connection_type=connection.type_key,
            connection_name=connection.name,
            connection_epoch=connection.epoch,
            consent_uuid=connection.consent.uuid if connection.consent else None,
            segment=enrichment.segment,
            options=enrichment.options,
            table_name=enrichment.table_name,
        )
        wake(run.pk)
        audit.record(
            "enrichment.run_requested", actor=actor, target=enrichment, run=str(run.uuid), trigger=trigger
        )
    return run


def cancel_run(*, run: EnrichmentRun, actor: User) -> None:
    """Cancel a queued or running run; the worker stops at its next block and deletes what it wrote.

    Raises NotAllowed, and FinishingRun while the run is publishing; a run that has ended already is left as it is.
    """
    with transaction.atomic():
        require_edit(actor)
        cancel(run, actor)


def cancel_active_runs(*, enrichment: Enrichment, actor: User) -> None:
    """Cancel the run under way, if there is one, inside the caller's transaction. Raises FinishingRun."""
    for run in enrichment.runs.filter(state__in=ACTIVE_STATES):
        cancel(run, actor)


def cancel(run: EnrichmentRun, actor: User, **details: str) -> bool:
    """Cancel the run whatever the rights, inside the caller's transaction, with more details for the audit.

    False for a run that has ended already. Raises FinishingRun.
    """
    rows = EnrichmentRun.objects.filter(pk=run.pk)
    canceled = rows.filter(state__in=[RunState.QUEUED, RunState.RUNNING]).update(
        state=RunState.CANCELED, lease_token=None, lease_until=None, finished_at=Now()
    )
    if canceled:
        attempts.cancel(run)
        audit.record(
            "enrichment.run_canceled",
            actor=actor,
            target=run.enrichment,
            run=str(run.uuid),
            **details,  # type: ignore[arg-type]
        )
    elif rows.filter(state=RunState.PUBLISHING).exists():
        raise FinishingRun(_("The run is just finishing. Try again in a moment."))
    return bool(canceled)
