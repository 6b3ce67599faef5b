"""What has to happen without anybody asking. Idempotent; any number of machines may run it, none leads.

Leases that ran out, due schedules, queued runs whose message was lost, messages whose worker died, and pruning.
"""

import contextlib
import datetime as dt
import logging
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections.connectors.base import N_
from connections.operations.drafts import purge_drafts
from connections_portal import runs
from connections_portal.errors import OperationError, Stale
from connections_portal.models import LEASED_STATES, RunState, Trigger, WhoActs
from exports.models import ExportAttempt, ExportRun, ExportSchedule
from exports.operations.execute import (
    PUBLISH_ATTEMPTS,
    end_attempt,
    give_up_publishing,
    record_end,
)
from exports.operations.failures import Failure
from exports.operations.leftovers import connections_to_tidy, forget_old
from exports.operations.run import enqueue_run, lock_export
from exports.schedules import next_run_at, period
from exports.tasks import execute, tidy, wake

logger = logging.getLogger(__name__)

KEEP_MESSAGES = dt.timedelta(days=1)
# A message younger than this may just be on its way.
MESSAGE_GRACE = dt.timedelta(seconds=10)
TIDYING_TAKES = dt.timedelta(hours=1)


def tick(*, now: dt.datetime | None = None) -> dict[str, int]:
    """Do everything once; returns how much of each was done. ``now`` only moves schedules, never leases."""
    now = now or timezone.now()
    return {
        "schedules": enqueue_due(now=now),
        "leases": take_back_lost(),
        "messages": renew_messages(),
        "dead": close_dead_messages(),
        "leftovers": queue_tidying(),
        "drafts": purge_drafts(now=now),
        "pruned": prune_messages() + forget_old(),
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


def take_back_lost() -> int:
    """Queue or fail runs whose worker is lost; returns how many."""
    failure = Failure(
        "worker_lost",
        N_("The worker that carried this run was lost."),
        WhoActs.OPERATOR,
        N_(
            "Nothing to do while attempts are left; otherwise whoever operates the portal looks at the workers."
        ),
        retry=True,
    )
    taken = 0
    for run, lease in runs.expired(ExportRun):
        if run.state == RunState.PUBLISHING:
            if run.publish_attempt >= PUBLISH_ATTEMPTS:
                with contextlib.suppress(runs.LeaseLost):
                    give_up_publishing(run, lease, failure)
                    taken += 1
            else:
                taken += _wake_once(run.pk)
            continue
        taken += _take_back(run, lease, failure)
    return taken


def _take_back(run: ExportRun, lease: runs.Lease, failure: Failure) -> bool:
    """Queue a running run again, or fail it; false when its worker came back meanwhile."""
    again = run.attempt < run.max_attempts
    with transaction.atomic():
        if again:
            held = runs.requeue(lease, delay=0, **failure.texts())
        else:
            held = runs.finish(
                lease, RunState.RUNNING, state=RunState.FAILED, who_acts=failure.who_acts, **failure.texts()
            )
        if not held:
            return False
        end_attempt(run, ExportAttempt.Outcome.LOST, failure, again=again)
        if again:
            wake(run.pk)
        else:
            record_end(run, RunState.FAILED, failure.code)
    return True


def _messages(status: TaskResultStatus, task: Any = execute) -> dict[int, list[Any]]:
    """Messages (of runs, unless another task is named) by the id that they hold."""
    found: dict[int, list[Any]] = {}
    for message in DBTaskResult.objects.filter(task_path=task.module_path, status=status):
        found.setdefault(int(message.args_kwargs["args"][0]), []).append(message)
    return found


def _wake_once(run_id: int) -> int:
    if run_id in _messages(TaskResultStatus.READY):
        return 0
    wake(run_id)
    return 1


def renew_messages() -> int:
    """Queue again the message of due runs that have none (a restored backup, a purged queue); returns how many."""
    ready = _messages(TaskResultStatus.READY)
    waiting = ExportRun.objects.filter(
        state=RunState.QUEUED, not_before__lte=timezone.now() - MESSAGE_GRACE
    ).values_list("pk", flat=True)
    lost = [run_id for run_id in waiting if run_id not in ready]
    for run_id in lost:
        wake(run_id)
    return len(lost)


def queue_tidying() -> int:
    """Queue a clean-up for every connection at which runs left something behind; returns how many."""
    ready = _messages(TaskResultStatus.READY, tidy)
    due = [connection_id for connection_id in connections_to_tidy() if connection_id not in ready]
    for connection_id in due:
        tidy.enqueue(connection_id)
    return len(due)


def close_dead_messages() -> int:
    """Mark messages as failed that a killed worker left as running; returns how many."""
    closed = 0
    for run_id, messages in _messages(TaskResultStatus.RUNNING).items():
        run = ExportRun.objects.filter(pk=run_id, state__in=LEASED_STATES, lease_until__gte=Now())
        if run.exists():
            continue
        closed += sum(_close(message, MESSAGE_GRACE) for message in messages)
    for messages in _messages(TaskResultStatus.RUNNING, tidy).values():
        closed += sum(_close(message, TIDYING_TAKES) for message in messages)
    return closed


def _close(message: Any, grace: dt.timedelta) -> int:
    """Mark one as failed that has been running for longer than ``grace``."""
    started = message.started_at
    if not started or timezone.now() - started <= grace:
        return 0
    return DBTaskResult.objects.filter(pk=message.pk, status=TaskResultStatus.RUNNING).update(
        status=TaskResultStatus.FAILED, finished_at=timezone.now()
    )


def prune_messages() -> int:
    """Delete messages that were dealt with more than a day ago; returns how many."""
    old = DBTaskResult.objects.finished().filter(finished_at__lt=timezone.now() - KEEP_MESSAGES)
    return old.delete()[0]
