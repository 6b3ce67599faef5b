"""One attempt of a run over a connection, of whatever kind: begin it, end it, queue the next one or fail the run.

Exports and enrichments differ in what they do and agree in this; what differs is a ``Carrier``. Locks are taken in
one order: the connection before the run.
"""

import logging
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from connections.connectors.base import N_
from connections.operations.attention import mark_needs_attention
from connections.operations.failures import Failure
from connections_portal import messages, runs
from connections_portal.models import Attempt, Run, RunState, WhoActs
from connections_portal.runs import Lease, LeaseLost

logger = logging.getLogger(__name__)

PUBLISH_ATTEMPTS = 10
BACKOFF_SECONDS = 15
LONGEST_BACKOFF_SECONDS = 300
WORKER_LOST = Failure(
    "worker_lost",
    N_("The worker that carried this run was lost."),
    WhoActs.OPERATOR,
    N_("Nothing to do while attempts are left; otherwise whoever operates the portal looks at the workers."),
    retry=True,
)


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """What one kind of run adds.

    ``wake`` has a worker look at the run with this id so many seconds from now; ``record_end`` puts the end into the
    audit under a state and a code; ``close_items`` ends what belongs to the attempt, for the next one or for good;
    ``not_published`` says that results are there and could not be made visible. All run inside the transaction.
    """

    wake: Callable[[int, float], None]
    record_end: Callable[[Any, RunState, str], None]
    close_items: Callable[[Any, bool], None]
    not_published: str


def has_space(run_id: int) -> bool:
    """Whether enough is free under VAR_DIR to begin anything (rule S30)."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(settings.VAR_DIR).free >= settings.MIN_FREE_BYTES:
        return True
    logger.error("run %s waits: less than MIN_FREE_MB is free", run_id)
    return False


def begin(run: Any, lease: Lease) -> None:
    """Write down the attempt, under the token: a run that was canceled since it was claimed has none that goes on for
    ever. Raises LeaseLost.
    """
    with transaction.atomic():
        lease.hold(RunState.RUNNING)
        run.attempts.update_or_create(
            run=run,
            number=run.attempt,
            defaults={"started_at": timezone.now(), "outcome": Attempt.Outcome.RUNNING},
        )


def succeed(run: Any) -> None:
    """Close the attempt of a run that succeeded, inside the caller's transaction."""
    _running(run).update(outcome=Attempt.Outcome.DONE, ended_at=Now())


def cancel(run: Any) -> None:
    """Close the attempt of a run that was canceled, inside the caller's transaction."""
    _running(run).update(outcome=Attempt.Outcome.CANCELED, ended_at=Now())


def goes_again(run: Any, failure: Failure) -> bool:
    """Whether another attempt follows this failure."""
    return failure.retry and (run.attempt < run.max_attempts or not failure.uses_up)


def fail(run: Any, lease: Lease, failure: Failure, *, connection_id: int | None, carrier: Carrier) -> str:
    """Queue the next attempt, or end the run as failed; returns which. Raises LeaseLost when it is not ours to say."""
    again = goes_again(run, failure)
    delay = _backoff(run.attempt, failure.after) if again else 0.0
    with transaction.atomic():
        # the connection before the run, as everywhere
        if connection_id and not failure.retry and failure.who_acts is WhoActs.ADMINISTRATOR:
            mark_needs_attention(connection_id=connection_id, cause=failure.cause, code=failure.code)
        # one more attempt in place of one that does not count
        more = {} if failure.uses_up or not again else {"max_attempts": F("max_attempts") + 1}
        if not _end(run, lease, failure, again=again, delay=delay, more=more):
            raise LeaseLost
        _close(run, Attempt.Outcome.FAILED, failure, again, carrier)
        if again:
            carrier.wake(run.pk, delay)
        else:
            carrier.record_end(run, RunState.FAILED, failure.code)
    return "retry" if again else RunState.FAILED.value


def take_back_lost(model: type[Run], task: Any, *, carrier: Carrier) -> int:
    """Queue or fail runs whose worker is lost; returns how many. ``task`` is the one whose messages wake workers."""
    taken = 0
    for run, lease in runs.expired(model):
        if run.state != RunState.PUBLISHING:
            taken += take_back(run, lease, carrier=carrier)
        elif run.publish_attempt >= PUBLISH_ATTEMPTS:
            with suppress(LeaseLost):
                give_up_publishing(run, lease, WORKER_LOST, carrier=carrier)
                taken += 1
        elif run.pk not in messages.waiting(task):
            carrier.wake(run.pk, 0)
            taken += 1
    return taken


def take_back(run: Any, lease: Lease, *, carrier: Carrier, anyway: bool = False) -> bool:
    """Queue a running run whose worker is lost again, or fail it when no attempt is left; false when its worker came
    back meanwhile. ``anyway``: with one more attempt where none is left.
    """
    left = run.attempt < run.max_attempts
    again = left or anyway
    more = {} if left or not anyway else {"max_attempts": F("max_attempts") + 1}
    with transaction.atomic():
        if not _end(run, lease, WORKER_LOST, again=again, delay=0, more=more):
            return False
        _close(run, Attempt.Outcome.LOST, WORKER_LOST, again, carrier)
        if again:
            carrier.wake(run.pk, 0)
        else:
            carrier.record_end(run, RunState.FAILED, WORKER_LOST.code)
    return True


def publish_later(run: Any, lease: Lease, failure: Failure, *, carrier: Carrier) -> str:
    """Leave the run in *publishing* for the next try; after ten it failed. Raises LeaseLost."""
    if failure.uses_up and run.publish_attempt + 1 >= PUBLISH_ATTEMPTS:
        return give_up_publishing(run, lease, failure, carrier=carrier)
    delay = _backoff(run.publish_attempt + 1, failure.after)
    with transaction.atomic():
        less = {} if failure.uses_up else {"publish_attempt": Greatest(F("publish_attempt") - 1, 0)}
        runs.publish_later(lease, delay=delay, **failure.texts(), **less)
        # a second later, so that the lease is certainly over when the message is read
        carrier.wake(run.pk, delay + 1)
    return "publishing later"


def give_up_publishing(run: Any, lease: Lease, failure: Failure, *, carrier: Carrier) -> str:
    """End a run whose results are there and could not be made visible. Raises LeaseLost."""
    texts = failure.texts() | {"code": "not_published", "cause": carrier.not_published}
    with transaction.atomic():
        if not runs.finish(
            lease, RunState.PUBLISHING, state=RunState.FAILED, who_acts=WhoActs.ADMINISTRATOR, **texts
        ):
            raise LeaseLost
        _close(run, Attempt.Outcome.FAILED, failure, False, carrier)
        carrier.record_end(run, RunState.FAILED, "not_published")
    return RunState.FAILED.value


def _end(
    run: Any, lease: Lease, failure: Failure, *, again: bool, delay: float, more: dict[str, Any]
) -> bool:
    if again:
        return runs.requeue(lease, delay=delay, **failure.texts(), **more)
    return runs.finish(
        lease, RunState.RUNNING, state=RunState.FAILED, who_acts=failure.who_acts, **failure.texts()
    )


def _close(run: Any, outcome: Attempt.Outcome, failure: Failure, again: bool, carrier: Carrier) -> None:
    """Close the running attempt and its items; they begin anew with the next one, or stay failed."""
    rows = type(run)._default_manager.filter(pk=run.pk)
    next_at = rows.values_list("not_before", flat=True).first() if again else None
    _running(run).update(outcome=outcome, ended_at=Now(), next_at=next_at, **failure.texts())
    carrier.close_items(run, again)


def _running(run: Any) -> Any:
    return run.attempts.filter(outcome=Attempt.Outcome.RUNNING)


def _backoff(attempt: int, after: float | None) -> float:
    """Seconds to the next attempt: what the service asked for, else doubling, with jitter, up to five minutes."""
    wait = after if after is not None else BACKOFF_SECONDS * 2 ** (attempt - 1)
    jitter = random.uniform(1.0, 1.2)  # noqa: S311  # spreads load, guards nothing
    return min(LONGEST_BACKOFF_SECONDS, wait) * jitter
