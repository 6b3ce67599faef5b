"""What has to happen to exports without anybody asking. Idempotent; any number of machines may run it, none leads.

Leases that ran out, due schedules, queued runs whose message was lost, messages whose worker died, and leftovers.
"""

import contextlib
import datetime as dt
import logging

from django.db import transaction
from django.utils import timezone

from connections.operations import attempts
from connections_portal import messages
from connections_portal.errors import OperationError, Stale
from connections_portal.models import Trigger
from exports.models import ExportRun, ExportSchedule
from exports.operations.execute import CARRIER
from exports.operations.leftovers import connections_to_tidy, forget_old
from exports.operations.rejected import forget_rejected
from exports.operations.run import enqueue_run, lock_export
from exports.schedules import next_run_at, period
from exports.tasks import execute, tidy, wake

logger = logging.getLogger(__name__)

TIDYING_TAKES = dt.timedelta(hours=1)


def tick(*, now: dt.datetime | None = None) -> dict[str, int]:
    """Do everything once; returns how much of each was done. ``now`` only moves schedules, never leases."""
    now = now or timezone.now()
    return {
        "schedules": enqueue_due(now=now),
        "leases": attempts.take_back_lost(ExportRun, execute, carrier=CARRIER),
        "messages": messages.renew(ExportRun, execute, wake),
        "dead": messages.close_dead(execute, model=ExportRun)
        + messages.close_dead(tidy, after=TIDYING_TAKES),
        "leftovers": queue_tidying(),
        "pruned": forget_old(),
        "refused": forget_rejected(now=now),
    }


def enqueue_due(*, now: dt.datetime) -> int:
    """Queue a run for every schedule that is due and move its time on; returns how many were queued.

    The due time is moved by a conditional update in the transaction of the run, so that two machines queue one. After
    a stop there is one run, as *catch-up*; while a run is under way the time is only moved on.
    """
    queued = 0
    due = ExportSchedule.objects.filter(next_at__lte=now).select_related("export", "export__responsible")
    for schedule in due:
        assert schedule.next_at is not None
        try:
            late, next_at = now - schedule.next_at > period(schedule), next_run_at(schedule, now)
        except (KeyError, ValueError):
            # a time zone that this machine does not know: one broken row must not stop all others
            logger.exception("schedule of export %s cannot be read", schedule.export_id)
            continue
        with transaction.atomic(), contextlib.suppress(Stale):
            lock_export(schedule.export_id)  # before its schedule, as everywhere
            moved = ExportSchedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at).update(
                next_at=next_at
            )
            if not moved:
                continue
            try:
                enqueue_run(
                    export=schedule.export,
                    actor=None,
                    trigger=Trigger.CATCH_UP if late else Trigger.SCHEDULE,
                    now=now,
                )
                queued += 1
            except OperationError as refused:
                logger.info("schedule of export %s: %s", schedule.export_id, refused.message)
    return queued


def queue_tidying() -> int:
    """Queue a clean-up for every connection at which runs left something behind; returns how many."""
    ready = messages.waiting(tidy)
    due = [connection_id for connection_id in connections_to_tidy() if connection_id not in ready]
    for connection_id in due:
        tidy.enqueue(connection_id)
    return len(due)
