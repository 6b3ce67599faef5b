"""What a worker does with a run: take it up, deliver, publish, and say truthfully how it ended."""

import logging
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from connections.connectors.base import N_, Connector, FileDelivery
from connections.connectors.errors import ConnectorError
from connections.models import Connection
from connections.operations.attention import clear_attention, mark_needs_attention
from connections.operations.connector import open_connector
from connections_portal import audit, customer_data, runs
from connections_portal.models import LEASED_STATES, RunState, WhoActs
from connections_portal.runs import Claimed, Lease, LeaseLost
from exports.models import Export, ExportAttempt, ExportRun, TaskState
from exports.operations import leftovers, places, refusals
from exports.operations.deliver import send
from exports.operations.failures import Failed, Failure, of_connector, of_portal
from exports.tasks import wake

logger = logging.getLogger(__name__)

PUBLISH_ATTEMPTS = 10
BACKOFF_SECONDS = 15
LONGEST_BACKOFF_SECONDS = 300

# The target, consent or pause of the connection changes its epoch; a run goes on only under the one it began with (S4).
STILL = Q(export__connection__epoch=F("connection_epoch"))


def execute_run(*, run_id: int, worker: str) -> str:
    """Take the run up if it is due, and carry it to its end or its next attempt. Returns what came of it."""
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(settings.VAR_DIR).free < settings.MIN_FREE_BYTES:
        logger.error("run %s waits: less than MIN_FREE_MB is free", run_id)
        return "no space"
    claimed, lease = runs.claim(
        ExportRun,
        run_id,
        worker=worker,
        lock_first=_lock_connection,
        slot_free=_slot_free,
        refuses=refusals.of_run,
        on_refused=lambda run, refusal: record_end(run, RunState.FAILED, refusal.code),
        still=STILL,
    )
    if lease is None:
        if claimed is Claimed.REFUSED:
            _after_the_end(ExportRun.objects.select_related("export").filter(pk=run_id).first())
        return claimed.value
    run = ExportRun.objects.select_related("export__connection", "export__responsible", "started_by").get(
        pk=run_id
    )
    with runs.keep(lease):
        try:
            outcome = _publish(run, lease) if run.state == RunState.PUBLISHING else _attempt(run, lease)
        except LeaseLost:
            outcome = "lost"
    _after_the_end(ExportRun.objects.select_related("export").filter(pk=run_id).first())
    return outcome


def _lock_connection(run_id: int) -> None:
    """Lock what slots are counted on; always before the run, as those do who change a connection."""
    Connection.objects.select_for_update(of=("self",)).filter(exports__runs=run_id).first()


def _slot_free(run: ExportRun) -> bool:
    """Whether the connection, whose row is locked, has room for one more."""
    return refusals.has_room(Connection.objects.get(exports=run.export_id))


def _attempt(run: ExportRun, lease: Lease) -> str:
    """One attempt from selection to published files."""
    with transaction.atomic():
        # under the token: a run that was canceled since it was claimed has no attempt that goes on for ever
        lease.hold(RunState.RUNNING)
        ExportAttempt.objects.update_or_create(
            run=run,
            number=run.attempt,
            defaults={"started_at": timezone.now(), "outcome": ExportAttempt.Outcome.RUNNING},
        )
    failure = None
    try:
        with (
            _connector(run) as connector,
            customer_data.open_for_run() as engine,
            connector.deliver() as delivery,
        ):
            lease.on_lost = engine.interrupt
            leftovers.discard_on_the_way(run, delivery)
            _send(run, lease, delivery, engine)
            # without its export: the connection stays as it was when the line was opened
            run.refresh_from_db(fields=["state", "temporary_folder", "final_folder", "manifest", "rejected"])
            _give_final_name(run, delivery)
    except Failed as failed:
        failure = failed.failure
    if failure is None:
        return _succeed(run, lease)
    run.refresh_from_db()
    if run.state == RunState.PUBLISHING:
        return _publish_later(run, lease, failure)
    return _fail_attempt(run, lease, failure)


def _send(run: ExportRun, lease: Lease, delivery: FileDelivery, engine: customer_data.Engine) -> None:
    """Send everything; what no later attempt can use is deleted while the line is open. Raises Failed."""
    try:
        send(run, lease, delivery, engine)
    except (LeaseLost, Error):
        raise
    except Exception as error:  # noqa: BLE001  # told in words by whoever asked for the connector
        failure = of_connector(error) if isinstance(error, ConnectorError) else of_portal(run, error)
        if not _again(run, failure) and failure.code not in leftovers.LINE_GONE:
            leftovers.discard_own(run, delivery)
        raise Failed(failure) from None


def _give_final_name(run: ExportRun, delivery: FileDelivery) -> None:
    """Rename; the temporary folder is gone then, or is left behind where the server keeps it. Raises ConnectorError."""
    delivery.publish(run.temporary_folder, run.final_folder, dict(run.manifest["files"]))
    leftovers.discard_own(run, delivery)


def _publish(run: ExportRun, lease: Lease) -> str:
    """Repeat the rename that somebody else began, where that was; nothing is sent again (rule S25)."""
    if run.export.connection is not None:
        run.export.connection = places.at(run.export.connection, run.manifest.get("place", {}))
    try:
        with _connector(run) as connector, connector.deliver() as delivery:
            _give_final_name(run, delivery)
    except Failed as failed:
        return _publish_later(run, lease, failed.failure)
    return _succeed(run, lease)


@contextmanager
def _connector(run: ExportRun) -> Iterator[Connector]:
    """The run's connector; whatever goes wrong becomes a Failure while its secrets can still be masked."""
    connection = run.export.connection
    if connection is None:
        raise LeaseLost
    try:
        with open_connector(connection, purpose="run", actor=run.started_by, run=run) as connector:
            try:
                yield connector
            except ConnectorError as error:
                raise Failed(of_connector(error)) from None
    except (Failed, LeaseLost, Error):
        # the database is not the run's fault: the worker stops, its lease ends, and the next one goes on
        raise
    except Exception as error:  # noqa: BLE001  # the run must end in a true state whatever happens
        raise Failed(of_portal(run, error)) from None


def _succeed(run: ExportRun, lease: Lease) -> str:
    state = RunState.WARNINGS if run.rejected else RunState.SUCCESSFUL
    with transaction.atomic():
        if run.export.connection_id:
            clear_attention(connection_id=run.export.connection_id)  # before the run, as everywhere
        texts = {"code": "", "cause": "", "remedy": "", "detail": "", "who_acts": ""}
        if not runs.finish(lease, RunState.PUBLISHING, state=state, **texts):
            raise LeaseLost
        run.attempts.filter(outcome=ExportAttempt.Outcome.RUNNING).update(
            outcome=ExportAttempt.Outcome.DONE, ended_at=Now()
        )
        record_end(run, state)
    return state.value


def _fail_attempt(run: ExportRun, lease: Lease, failure: Failure) -> str:
    """Queue the next attempt, or end the run as failed. Raises LeaseLost when it is not ours to say."""
    again = _again(run, failure)
    delay = _backoff(run.attempt, failure.after) if again else 0.0
    connection_id = run.export.connection_id
    with transaction.atomic():
        # the connection before the run, as everywhere
        if connection_id and not failure.retry and failure.who_acts is WhoActs.ADMINISTRATOR:
            mark_needs_attention(connection_id=connection_id, cause=failure.cause, code=failure.code)
        if again:
            # one more attempt in place of one that does not count
            more = {} if failure.uses_up else {"max_attempts": F("max_attempts") + 1}
            held = runs.requeue(lease, delay=delay, **failure.texts(), **more)
        else:
            held = runs.finish(
                lease, RunState.RUNNING, state=RunState.FAILED, who_acts=failure.who_acts, **failure.texts()
            )
        if not held:
            raise LeaseLost
        end_attempt(run, ExportAttempt.Outcome.FAILED, failure, again=again)
        if again:
            wake(run.pk, delay=delay)
        else:
            record_end(run, RunState.FAILED, failure.code)
    return "retry" if again else RunState.FAILED.value


def _again(run: ExportRun, failure: Failure) -> bool:
    return failure.retry and (run.attempt < run.max_attempts or not failure.uses_up)


def end_attempt(run: ExportRun, outcome: ExportAttempt.Outcome, failure: Failure, *, again: bool) -> None:
    """Close the running attempt and its tasks; they begin anew with the next one, or stay failed."""
    next_at = (
        ExportRun.objects.filter(pk=run.pk).values_list("not_before", flat=True).first() if again else None
    )
    run.attempts.filter(outcome=ExportAttempt.Outcome.RUNNING).update(
        outcome=outcome, ended_at=Now(), next_at=next_at, **failure.texts()
    )
    run.tasks.filter(state=TaskState.RUNNING).update(state=TaskState.WAITING if again else TaskState.FAILED)


def _publish_later(run: ExportRun, lease: Lease, failure: Failure) -> str:
    """Leave the run in *publishing* for the next try; after ten it failed: uploaded, not published."""
    if failure.uses_up and run.publish_attempt + 1 >= PUBLISH_ATTEMPTS:
        return give_up_publishing(run, lease, failure)
    delay = _backoff(run.publish_attempt + 1, failure.after)
    with transaction.atomic():
        less = {} if failure.uses_up else {"publish_attempt": Greatest(F("publish_attempt") - 1, 0)}
        runs.publish_later(lease, delay=delay, **failure.texts(), **less)
        # a second later, so that the lease is certainly over when the message is read
        wake(run.pk, delay=delay + 1)
    return "publishing later"


def give_up_publishing(run: ExportRun, lease: Lease, failure: Failure) -> str:
    """End a run whose files were uploaded and could not be given their final name."""
    texts = failure.texts() | {
        "code": "not_published",
        "cause": N_("The files were uploaded but could not be given their final name."),
    }
    with transaction.atomic():
        if not runs.finish(
            lease, RunState.PUBLISHING, state=RunState.FAILED, who_acts=WhoActs.ADMINISTRATOR, **texts
        ):
            raise LeaseLost
        end_attempt(run, ExportAttempt.Outcome.FAILED, failure, again=False)
        record_end(run, RunState.FAILED, "not_published")
    return RunState.FAILED.value


def _backoff(attempt: int, after: float | None) -> float:
    """Seconds to the next attempt: what the service asked for, else doubling, with jitter, up to five minutes."""
    wait = after if after is not None else BACKOFF_SECONDS * 2 ** (attempt - 1)
    jitter = random.uniform(1.0, 1.2)  # noqa: S311  # spreads load, guards nothing
    return min(LONGEST_BACKOFF_SECONDS, wait) * jitter


def record_end(run: ExportRun, state: RunState, code: str = "") -> None:
    """Put how the run ended into the audit, with its counts, inside the caller's transaction."""
    counts = ExportRun.objects.values("read", "sent", "rejected", "left_out", "bytes_sent").get(pk=run.pk)
    audit.record(
        "export.run_finished",
        actor=None,
        target=run.export,
        run=str(run.uuid),
        state=state.value,
        code=code,
        **counts,
    )


def _after_the_end(run: ExportRun | None) -> None:
    """Wake the connection's next queued run: unless this one still holds its slot, there is room."""
    if run is None or run.state in LEASED_STATES or run.export.connection_id is None:
        return
    wake_next(run.export)


def wake_next(export: Export) -> None:
    """Wake the oldest due run that waits for a slot of this export's connection."""
    waiting = ExportRun.objects.filter(
        export__connection__exports=export, state=RunState.QUEUED, not_before__lte=Now()
    )
    next_id = waiting.order_by("queued_at", "pk").values_list("pk", flat=True).first()
    if next_id is not None:
        wake(next_id)
