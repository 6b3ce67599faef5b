"""The message of the queue: look at this run. It holds an id and nothing else."""

import datetime as dt
from typing import Any

from django.utils import timezone
from django_tasks import task


@task(takes_context=True)
def execute(context: Any, run_id: int) -> str:
    """Take the run up if it is due; losing or doubling this message does no harm. Returns what came of it."""
    from enrichments.operations.execute import execute_run

    workers = context.task_result.worker_ids
    return execute_run(run_id=run_id, worker=workers[-1] if workers else "")


def wake(run_id: int, *, delay: float = 0) -> None:
    """Have a worker look at the run, ``delay`` seconds from now; commits with the caller's transaction."""
    if delay > 0:
        execute.using(run_after=timezone.now() + dt.timedelta(seconds=delay)).enqueue(run_id)
    else:
        execute.enqueue(run_id)
