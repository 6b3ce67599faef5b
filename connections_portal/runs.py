"""The life of a run, for every kind of run: claim, heartbeat, fenced writes, requeue, finish.

The run's row is the truth; a queue message only wakes a worker. Every write is a conditional update under the
run's token, so a worker that was frozen, cut off or replaced changes nothing when it wakes up. Lease times come from
the database's clock; a worker measures its own deadline on a clock that also counts suspended time (rule S26).
"""

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from connections_portal.models import LEASED_STATES, Run, RunState

logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The run is not this worker's any more: canceled, removed, or taken up by another one."""


class Claimed(StrEnum):
    """What came of asking for a run."""

    YES = "claimed"
    BUSY = "busy"
    REFUSED = "refused"
    NO = "not due"


@dataclass(frozen=True)
class Refusal:
    """Why a due run cannot start: the fields to write on the failed run."""

    code: str
    cause: str
    remedy: str
    who_acts: str


@dataclass
class Lease:
    """A worker's hold on a run. ``still`` is what must stay true of the run's surroundings (rule S4).

    ``on_lost`` is called from the heartbeat's thread once the lease is lost: it interrupts what may take long.
    """

    model: type[Run]
    run_id: int
    token: uuid.UUID
    still: Q = field(default_factory=Q)
    on_lost: Callable[[], None] = field(default=lambda: None)
    _lost: threading.Event = field(default_factory=threading.Event)
    _deadline: float = field(default_factory=lambda: _clock() + settings.RUN_LEASE_SECONDS)

    def rows(self, *states: RunState) -> QuerySet[Any]:
        """The run as long as it is ours, in one of these states (running or publishing unless named)."""
        return self.model._default_manager.filter(
            self.still, pk=self.run_id, lease_token=self.token, state__in=states or LEASED_STATES
        )

    def update(self, *states: RunState, **values: Any) -> bool:
        """A fenced update of the run; false when it is not ours any more."""
        with transaction.atomic():
            self._lock()
            return bool(self.rows(*states).update(**values))

    def write(self, *states: RunState, **values: Any) -> None:
        """As ``update``; raises LeaseLost when it changed nothing."""
        self.check()
        if not self.update(*states, **values):
            self._lost.set()
            raise LeaseLost

    def hold(self, *states: RunState) -> None:
        """Keep the run ours until the caller's transaction ends, to write what belongs to it; raises LeaseLost."""
        self.check()
        self._lock()
        if not self.rows(*states).exists():
            self._lost.set()
            raise LeaseLost

    def _lock(self) -> None:
        """Lock the run by its key alone, inside a transaction; what is asked afterwards is asked of the present.

        PostgreSQL would wait in the middle of an update that joins, and then carry it out by what the joined rows
        and those of subqueries said before.
        """
        self.model._default_manager.select_for_update().filter(pk=self.run_id).values_list("pk").first()

    def is_lost(self) -> bool:
        """Whether the heartbeat failed or the lease ran out by our own clock."""
        if _clock() > self._deadline:
            self._lost.set()
        return self._lost.is_set()

    def check(self) -> None:
        """Raise LeaseLost once the run is not ours any more."""
        if self.is_lost():
            raise LeaseLost

    def beat(self) -> None:
        """Renew the lease; a database out of reach is left to the deadline."""
        started = _clock()
        try:
            renewed = self.update(lease_until=in_seconds(settings.RUN_LEASE_SECONDS), heartbeat_at=Now())
        except Error:
            logger.warning("heartbeat of run %s: the database did not answer", self.run_id)
            return
        if renewed:
            self._deadline = started + settings.RUN_LEASE_SECONDS
        else:
            self._lost.set()


def _clock() -> float:
    """Seconds on a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def in_seconds(seconds: float) -> "ExpressionWrapper[Any]":
    """The database's present plus so many seconds."""
    return ExpressionWrapper(Now() + dt.timedelta(seconds=seconds), output_field=DateTimeField())


def claim(
    model: type[Run],
    run_id: int,
    *,
    worker: str,
    lock_first: Callable[[int], None],
    slot_free: Callable[[Any], bool],
    refuses: Callable[[Any], Refusal | None],
    on_refused: Callable[[Any, Refusal], None],
    still: Q,
) -> tuple[Claimed, Lease | None]:
    """Take a due run (queued → running) or one whose publishing was left (publishing → publishing).

    Everything happens in one transaction. ``lock_first`` gets the run's id and locks what ``slot_free`` counts, before
    the run itself is locked: whoever changes a connection locks it before its runs, too. ``refuses`` gives the reason
    why a due run must fail at once; it is failed here, and ``on_refused`` records that.
    """
    token = uuid.uuid4()
    # before the row is written: our own deadline may end early, never late
    deadline = _clock() + settings.RUN_LEASE_SECONDS
    hold = {
        "lease_token": token,
        "lease_until": in_seconds(settings.RUN_LEASE_SECONDS),
        "heartbeat_at": Now(),
        "worker": worker[:80],
    }
    rows = model._default_manager.filter(pk=run_id)
    with transaction.atomic():
        lock_first(run_id)
        run = rows.select_for_update().first()
        if run is None:
            return Claimed.NO, None
        abandoned = rows.filter(state=RunState.PUBLISHING, lease_until__lt=Now())
        if abandoned.update(publish_attempt=F("publish_attempt") + 1, **hold):
            return Claimed.YES, Lease(model, run_id, token, still, _deadline=deadline)
        due = rows.filter(state=RunState.QUEUED, not_before__lte=Now())
        if not due.exists():
            return Claimed.NO, None
        refusal = refuses(run)
        if refusal is not None:
            due.update(
                state=RunState.FAILED,
                finished_at=Now(),
                code=refusal.code,
                cause=refusal.cause,
                remedy=refusal.remedy,
                detail="",
                who_acts=refusal.who_acts,
            )
            on_refused(run, refusal)
            return Claimed.REFUSED, None
        if not slot_free(run):
            return Claimed.BUSY, None
        due.update(state=RunState.RUNNING, attempt=F("attempt") + 1, **hold)
        model._default_manager.filter(pk=run_id, started_at__isnull=True).update(started_at=Now())
    return Claimed.YES, Lease(model, run_id, token, still, _deadline=deadline)


@contextmanager
def keep(lease: Lease) -> Iterator[None]:
    """Renew the lease from a thread with its own database connection while the block runs."""
    stop = threading.Event()

    def beats() -> None:
        try:
            while not stop.wait(settings.RUN_BEAT_SECONDS):
                if not lease.is_lost():
                    lease.beat()
                    connection.close()
                if lease.is_lost():
                    # at every beat: the worker may be between two questions now and in the next one then
                    lease.on_lost()
        finally:
            connection.close()

    thread = threading.Thread(target=beats, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def requeue(lease: Lease, *, delay: float, **values: Any) -> bool:
    """Running → queued, due in ``delay`` seconds; false when the run is not ours any more."""
    return lease.update(
        RunState.RUNNING,
        state=RunState.QUEUED,
        lease_token=None,
        lease_until=None,
        not_before=in_seconds(delay),
        **values,
    )


def publish_later(lease: Lease, *, delay: float, **values: Any) -> None:
    """Leave the run in *publishing* for whoever takes it up in ``delay`` seconds. Raises LeaseLost.

    The token is changed to one that nobody holds, so that a heartbeat on its way cannot move the time.
    """
    lease.write(RunState.PUBLISHING, lease_token=uuid.uuid4(), lease_until=in_seconds(delay), **values)


def finish(lease: Lease, *states: RunState, state: RunState, **values: Any) -> bool:
    """From ``states`` to a final state; false when the run is not ours any more."""
    return lease.update(*states, state=state, lease_token=None, lease_until=None, finished_at=Now(), **values)


def expired(model: type[Run]) -> list[tuple[Any, Lease]]:
    """Runs whose lease ran out by the database's clock, each with the lease that it had.

    That lease writes only while it is over: a worker that comes back in between keeps its run.
    """
    over = Q(lease_until__lt=Now())
    late = model._default_manager.filter(over, state__in=LEASED_STATES)
    return [(run, Lease(model, run.pk, run.lease_token, over)) for run in late if run.lease_token]
