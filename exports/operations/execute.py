"""What a worker does with a run: take it up, deliver, publish, and say truthfully how it ended."""

import logging
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from connections import connectors
from connections.connectors.base import N_, Connector
from connections.connectors.errors import ConnectorError
from connections.models import Connection, State
from connections.operations.attention import clear_attention, mark_needs_attention
from connections.operations.connector import open_connector
from connections.permissions import can_use
from connections_portal import audit, customer_data, runs
from connections_portal.models import LEASED_STATES, RunState, Trigger, WhoActs
from connections_portal.runs import Claimed, Lease, LeaseLost, Refusal
from exports.models import Export, ExportAttempt, ExportRun, TaskState
from exports.operations.deliver import discard_leftovers, send
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
        ExportRun, run_id, worker=worker, slot_free=_slot_free, refuses=_refuses, still=STILL
    )
    if lease is None:
        if claimed is Claimed.REFUSED:
            refused = ExportRun.objects.select_related("export").get(pk=run_id)
            record_end(refused, RunState.FAILED, refused.code)
            _after_the_end(refused)
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


def _slot_free(run: ExportRun) -> bool:
    """Whether the connection has room for one more; locks the connection's row."""
    connection = Connection.objects.select_for_update().get(exports=run.export_id)
    running = ExportRun.objects.filter(
        export__connection=connection, state__in=LEASED_STATES, lease_until__gte=Now()
    )
    return running.count() < connection.max_parallel


def _refuses(run: ExportRun) -> Refusal | None:
    """Why the run must not start, checked before any secret is read (rules S10, S11, S16)."""
    connection = run.export.connection
    administrator, editor = WhoActs.ADMINISTRATOR.value, WhoActs.EDITOR.value
    if connection is None:
        return Refusal(
            "no_connection",
            N_("The export has no connection."),
            N_("Add a connection to the export."),
            editor,
        )
    if connectors.get(connection.type_key) is None:
        return Refusal(
            "unknown_type",
            N_("This connection type does not exist any more."),
            N_("Move the export to another connection."),
            administrator,
        )
    if connection.epoch != run.connection_epoch:
        return Refusal(
            "connection_changed",
            N_("The connection was changed after the run was started."),
            N_("Start the run again."),
            editor,
        )
    if connection.state == State.PAUSED:
        return Refusal(
            "paused", N_("The connection is paused."), N_("An administrator resumes it."), administrator
        )
    if connection.state == State.NOT_VERIFIED or connection.verified_at is None:
        return Refusal(
            "not_verified",
            N_("The connection is not verified."),
            N_("An administrator verifies it."),
            administrator,
        )
    if connection.consent is None or connection.consent.target_digest != connection.target_digest:
        return Refusal(
            "no_consent",
            N_("Nobody has agreed to the privacy terms for where this connection leads."),
            N_("An administrator agrees to them."),
            administrator,
        )
    by_hand = run.trigger in (Trigger.PERSON, Trigger.COMMAND) and run.attempt == 0
    person = run.started_by if by_hand else run.export.responsible
    if person is None or not can_use(person, connection):
        return Refusal(
            "no_right",
            N_("The person responsible for the export may not use its connection any more."),
            N_("Somebody who may use the connection saves the export; they become responsible for it."),
            administrator,
        )
    return None


def _attempt(run: ExportRun, lease: Lease) -> str:
    """One attempt from selection to published files."""
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
            discard_leftovers(run, delivery)
            send(run, lease, delivery, engine)
            run.refresh_from_db()
            delivery.publish(run.temporary_folder, run.final_folder, run.manifest["files"])
    except Failed as failed:
        failure = failed.failure
    if failure is None:
        return _succeed(run, lease)
    run.refresh_from_db()
    if run.state == RunState.PUBLISHING:
        return _publish_later(run, lease, failure)
    return _fail_attempt(run, lease, failure)


def _publish(run: ExportRun, lease: Lease) -> str:
    """Repeat the rename that somebody else began; nothing is sent again (rule S25)."""
    try:
        with _connector(run) as connector, connector.deliver() as delivery:
            delivery.publish(run.temporary_folder, run.final_folder, run.manifest["files"])
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
        texts = {"code": "", "cause": "", "remedy": "", "detail": "", "who_acts": ""}
        if not runs.finish(lease, RunState.PUBLISHING, state=state, **texts):
            raise LeaseLost
        run.attempts.filter(outcome=ExportAttempt.Outcome.RUNNING).update(
            outcome=ExportAttempt.Outcome.DONE, ended_at=Now()
        )
        if run.export.connection_id:
            clear_attention(connection_id=run.export.connection_id)
        record_end(run, state)
    return state.value


def _fail_attempt(run: ExportRun, lease: Lease, failure: Failure) -> str:
    """Queue the next attempt, or end the run as failed. Raises LeaseLost when it is not ours to say."""
    again = failure.retry and run.attempt < run.max_attempts
    delay = _backoff(run.attempt, failure.after) if again else 0.0
    with transaction.atomic():
        if again:
            held = runs.requeue(lease, delay=delay, **failure.texts())
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
        connection_id = run.export.connection_id
        if connection_id and not failure.retry and failure.who_acts is WhoActs.ADMINISTRATOR:
            mark_needs_attention(connection_id=connection_id, cause=failure.cause, code=failure.code)
    return "retry" if again else RunState.FAILED.value


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
    if run.publish_attempt + 1 >= PUBLISH_ATTEMPTS:
        return give_up_publishing(run, lease, failure)
    delay = _backoff(run.publish_attempt + 1, failure.after)
    with transaction.atomic():
        lease.write(RunState.PUBLISHING, lease_until=runs.in_seconds(delay), **failure.texts())
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
