"""Send a run's items as records: select, cut into chunks, push several at a time, account for every row.

Chunks are confirmed in their order, and what is confirmed is written with the counts, at most once a second and under
the run's token: an attempt goes on behind it as long as the inputs are the same. What was sent and not confirmed is
sent again under the same number, which changes nothing at the service.
"""

import time
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from connections.connectors.base import N_, Connector
from connections.connectors.records import Chunk, Outcome, RecordDelivery
from connections_portal import redaction
from connections_portal.customer_data import Engine
from connections_portal.models import RunState
from connections_portal.runs import Lease
from exports import records
from exports.models import ExportRun, ExportTask, RejectedRow, Rejection, TaskState
from exports.operations.deliver import Interrupted, inputs, selection_of, write_task, write_totals

FLUSH_SECONDS = 1.0


def push(
    run: ExportRun, lease: Lease, connector: Connector, delivery: RecordDelivery, engine: Engine
) -> None:
    """Send every item and take the step to *publishing*: there is nothing more to do then than to say so.

    Raises ConnectorError, PayloadError, CustomerDataError, Interrupted and LeaseLost.
    """
    tasks = list(run.tasks.all())
    for task in tasks:
        if task.state != TaskState.DONE:
            _Item(run, lease, connector, delivery, engine, task).push()
    delivery.finish()
    write_totals(run, lease)
    lease.write(RunState.RUNNING, state=RunState.PUBLISHING, manifest={}, heartbeat_at=Now())


@dataclass
class _Tally:
    """What was confirmed and is not written yet."""

    sent: int = 0
    bytes: int = 0
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    keys: list[tuple[tuple[str, str], str]] = field(default_factory=list)


class _Item:
    """One segment or table on its way to the service."""

    def __init__(
        self,
        run: ExportRun,
        lease: Lease,
        connector: Connector,
        delivery: RecordDelivery,
        engine: Engine,
        task: ExportTask,
    ) -> None:
        self.run, self.lease, self.connector, self.delivery = run, lease, connector, delivery
        self.engine, self.task = engine, task
        self.mapping = records.Mapping(
            targets=[(key, column) for key, column in task.mapping],
            added=[(name, column) for name, column in task.added],
        )
        self.selection = selection_of(task)
        self.staged = run.retries_id is not None
        self.tally = _Tally()
        self.flushed = time.monotonic()

    def push(self) -> None:
        """Send what is not confirmed yet; then the task is done and accounts for every row."""
        before = inputs(self.engine, self.task)
        if self.task.confirmed and before == self.task.identity:
            number, after = self.task.confirmed
        else:
            number, after = self._begin(before)
        self._send(number, after)
        if before is None or inputs(self.engine, self.task) != before:
            raise Interrupted(
                N_("The customer data changed while it was read, so it is read once more."),
                code="inputs_changed",
                remedy=N_("Nothing to do: the run starts over."),
            )
        self._end()

    def _begin(self, before: list[list[Any]] | None) -> tuple[int, str]:
        """Count, and forget what an earlier attempt has written; where to start."""
        counts = records.count(
            self.engine, self.selection, type(self.connector), self.mapping, staged=self.staged
        )
        with transaction.atomic():
            write_task(
                self.lease,
                self.task,
                state=TaskState.RUNNING,
                selected=counts.selected,
                read=0,
                sent=0,
                rejected=0,
                left_out=0,
                bytes_sent=0,
                reasons=counts.left_out,
                identity=before,
                confirmed=[],
                started_at=timezone.now(),
                finished_at=None,
            )
            self.task.rejections.all().delete()
        return 0, ""

    def _send(self, number: int, after: str) -> None:
        """Keep as many requests under way as the service takes; confirm them in order."""
        limits = self.connector.record_limits
        query = records.sql(
            self.engine, self.selection, type(self.connector), self.mapping, after=after, staged=self.staged
        )
        chunks = records.chunks(self.engine.stream(query, records.BATCH_ROWS), limits, first=number)
        under_way: deque[tuple[Chunk, Future[Outcome]]] = deque()
        with ThreadPoolExecutor(limits.parallel, "push") as pool:
            try:
                for chunk in chunks:
                    self.lease.check()
                    under_way.append((chunk, pool.submit(self.delivery.send, chunk)))
                    # twice as many as are under way: the next one is ready when one is answered
                    while len(under_way) >= 2 * limits.parallel or (under_way and under_way[0][1].done()):
                        self._confirm(*under_way.popleft())
                while under_way:
                    self._confirm(*under_way.popleft())
            finally:
                for _chunk, future in under_way:
                    future.cancel()
                self._flush()

    def _confirm(self, chunk: Chunk, future: Future[Outcome]) -> None:
        """Take one answer in; raises what its request raised."""
        outcome = future.result()
        tally = self.tally
        for rejection in outcome.rejected:
            why = (rejection.code[:60], redaction.foreign(rejection.reason)[:300])
            tally.rejected[why] += 1
            tally.keys.append((why, chunk.keys[rejection.index]))
        tally.sent += len(chunk.keys) - len(outcome.rejected)
        tally.bytes += sum(map(len, chunk.records))
        self.task.confirmed = [chunk.number + 1, chunk.keys[-1]]
        if time.monotonic() - self.flushed >= FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        """Write what is confirmed: counts, where to go on, and who was refused why, together."""
        self.flushed = time.monotonic()
        tally, self.tally = self.tally, _Tally()
        refused = sum(tally.rejected.values())
        if not (tally.sent or refused):
            return
        with transaction.atomic():
            write_task(
                self.lease,
                self.task,
                read=self.task.read + tally.sent + refused,
                sent=self.task.sent + tally.sent,
                rejected=self.task.rejected + refused,
                bytes_sent=self.task.bytes_sent + tally.bytes,
                confirmed=self.task.confirmed,
            )
            rows = {}
            for (code, reason), number in tally.rejected.items():
                row, _made = Rejection.objects.get_or_create(task=self.task, code=code, reason=reason)
                Rejection.objects.filter(pk=row.pk).update(rows=F("rows") + number)
                rows[code, reason] = row
            RejectedRow.objects.bulk_create(
                (RejectedRow(rejection=rows[why], key=key) for why, key in tally.keys), batch_size=2_000
            )
            write_totals(self.run, self.lease)

    def _end(self) -> None:
        left_out = sum(self.task.reasons.values())
        if self.task.read + left_out != self.task.selected:
            # other rows than were counted came, though the files are the same: a query that asks for the time
            raise Interrupted(
                N_("The customer data changed while it was read, so it is read once more."),
                code="inputs_changed",
                remedy=N_("Nothing to do: the run starts over."),
            )
        with transaction.atomic():
            write_task(
                self.lease,
                self.task,
                state=TaskState.DONE,
                read=self.task.read + left_out,
                left_out=left_out,
                finished_at=timezone.now(),
            )
            write_totals(self.run, self.lease)
