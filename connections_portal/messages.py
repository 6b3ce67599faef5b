"""Messages of the queue: which runs have one, which worker died over one, and pruning. The kernel knows no task."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections_portal.models import LEASED_STATES, Run, RunState

KEEP = dt.timedelta(days=1)
# A message younger than this may just be on its way.
GRACE = dt.timedelta(seconds=10)


def waiting(task: Any) -> set[int]:
    """The ids in messages of this task that no worker has taken yet."""
    return set(_by_id(task, TaskResultStatus.READY))


def renew(model: type[Run], task: Any, wake: Callable[[int], None]) -> int:
    """Queue again the message of due runs that have none (a restored backup, a purged queue); returns how many."""
    has_one = waiting(task)
    due = model._default_manager.filter(state=RunState.QUEUED, not_before__lte=timezone.now() - GRACE)
    lost = [run_id for run_id in due.values_list("pk", flat=True) if run_id not in has_one]
    for run_id in lost:
        wake(run_id)
    return len(lost)


def close_dead(task: Any, *, model: type[Run] | None = None, after: dt.timedelta = GRACE) -> int:
    """Mark messages as failed that a killed worker left as running for longer than ``after``; returns how many.

    With ``model`` the messages are about its runs, and one whose lease holds is alive.
    """
    closed = 0
    for object_id, messages in _by_id(task, TaskResultStatus.RUNNING).items():
        if model is not None:
            alive = model._default_manager.filter(
                pk=object_id, state__in=LEASED_STATES, lease_until__gte=Now()
            )
            if alive.exists():
                continue
        closed += sum(_close(message, after) for message in messages)
    return closed


def prune() -> int:
    """Delete messages that were dealt with more than a day ago; returns how many."""
    old = DBTaskResult.objects.finished().filter(finished_at__lt=timezone.now() - KEEP)
    return old.delete()[0]


def _by_id(task: Any, status: TaskResultStatus) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for message in DBTaskResult.objects.filter(task_path=task.module_path, status=status):
        found.setdefault(int(message.args_kwargs["args"][0]), []).append(message)
    return found


def _close(message: Any, after: dt.timedelta) -> int:
    started = message.started_at
    if not started or timezone.now() - started <= after:
        return 0
    return DBTaskResult.objects.filter(pk=message.pk, status=TaskResultStatus.RUNNING).update(
        status=TaskResultStatus.FAILED, finished_at=timezone.now()
    )
