"""What a worker does with a run: take it up, deliver, publish, and say truthfully how it ended."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import Error, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from connections.connectors.base import N_, Connector, FileDelivery
from connections.connectors.errors import ConnectorError
from connections.models import Connection
from connections.operations import attempts
from connections.operations.attention import clear_attention
from connections.operations.connector import open_connector
from connections.operations.failures import Failed, of_connector
from connections.operations.refusals import has_room
from connections_portal import audit, customer_data, runs
from connections_portal.models import LEASED_STATES, RunState
from connections_portal.runs import Claimed, Lease, LeaseLost
from exports.models import Export, ExportRun, TaskState
from exports.operations import leftovers, places, refusals
from exports.operations.deliver import Ahead, look_ahead, send
from exports.operations.failures import of_portal
from exports.tasks import wake

# The target, consent or pause of the connection changes its epoch; a run goes on only under the one it began with (S4).
STILL = Q(export__connection__epoch=F("connection_epoch"))
# Removed while a worker has it in its hands.
GONE = (Export.DoesNotExist, ExportRun.DoesNotExist)


def execute_run(*, run_id: int, worker: str) -> str:
    """Take the run up if it is due, and carry it to its end or its next attempt. Returns what came of it."""
    if not attempts.has_space(run_id):
        return "no space"
    claimed, lease = runs.claim(
        ExportRun,
        run_id,
        worker=worker,
        lock_first=_lock_connection,
        slot_free=lambda run: has_room(Connection.objects.get(exports=run.export_id)),
        refuses=refusals.of_run,
        on_refused=lambda run, refusal: record_end(run, RunState.FAILED, refusal.code),
        still=STILL,
    )
    if lease is None:
        if claimed is Claimed.REFUSED:
            _after_the_end(ExportRun.objects.select_related("export").filter(pk=run_id).first())
        return claimed.value
    taken = ExportRun.objects.select_related("export__connection", "export__responsible", "started_by")
    with runs.keep(lease):
        try:
            run = taken.get(pk=run_id)
            outcome = _publish(run, lease) if run.state == RunState.PUBLISHING else _attempt(run, lease)
        except (LeaseLost, *GONE):
            # canceled, or removed together with its export
            outcome = "lost"
    _after_the_end(ExportRun.objects.select_related("export").filter(pk=run_id).first())
    return outcome


def _lock_connection(run_id: int) -> None:
    """Lock what slots are counted on; always before the run, as those do who change a connection."""
    Connection.objects.select_for_update(of=("self",)).filter(exports__runs=run_id).first()


def _attempt(run: ExportRun, lease: Lease) -> str:
    """One attempt from selection to published files."""
    attempts.begin(run, lease)
    failure = None
    try:
        with (
            _connector(run) as connector,
            _signing_in(connector) as line,
            customer_data.open_for_run() as engine,
        ):
            lease.on_lost = engine.interrupt
            ahead = look_ahead(run, engine)
            delivery = line.result()
            leftovers.discard_on_the_way(run, delivery)
            _send(run, lease, delivery, engine, ahead)
            # without its export: the connection stays as it was when the line was opened
            run.refresh_from_db(fields=["state", "temporary_folder", "final_folder", "manifest", "rejected"])
            _give_final_name(run, delivery)
    except Failed as failed:
        failure = failed.failure
    if failure is None:
        return _succeed(run, lease)
    run.refresh_from_db()
    if run.state == RunState.PUBLISHING:
        return attempts.publish_later(run, lease, failure, carrier=CARRIER)
    return attempts.fail(run, lease, failure, connection_id=run.export.connection_id, carrier=CARRIER)


@contextmanager
def _signing_in(connector: Connector) -> Iterator[Future[FileDelivery]]:
    """Open the line from a thread of its own: reading can begin meanwhile. The result raises ConnectorError."""
    delivering = connector.deliver()
    with ThreadPoolExecutor(1, "line") as pool, ExitStack() as stack:
        entering = pool.submit(delivering.__enter__)

        @stack.push
        def leave(*raised: Any) -> bool | None:
            wait([entering])
            return None if entering.exception() else delivering.__exit__(*raised)

        yield entering


def _send(
    run: ExportRun, lease: Lease, delivery: FileDelivery, engine: customer_data.Engine, ahead: Ahead | None
) -> None:
    """Send everything; what no later attempt can use is deleted while the line is open. Raises Failed."""
    try:
        send(run, lease, delivery, engine, ahead)
    except (LeaseLost, Error):
        raise
    except Exception as error:  # noqa: BLE001  # told in words by whoever asked for the connector
        failure = of_connector(error) if isinstance(error, ConnectorError) else of_portal(run, error)
        if not attempts.goes_again(run, failure) and failure.code not in leftovers.LINE_GONE:
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
        return attempts.publish_later(run, lease, failed.failure, carrier=CARRIER)
    return _succeed(run, lease)


@contextmanager
def _connector(run: ExportRun) -> Iterator[Connector]:
    """The run's connector; whatever goes wrong becomes a Failure while its secrets can still be masked."""
    connection = run.export.connection
    if connection is None:
        raise LeaseLost
    try:
        with open_connector(
            connection, purpose="run", actor=run.started_by or run.export.responsible, run=run
        ) as connector:
            try:
                yield connector
            except ConnectorError as error:
                raise Failed(of_connector(error)) from None
    except (Failed, LeaseLost, *GONE, Error):
        # a run that is gone has no end. The database is not the run's fault: the worker stops, its lease ends, and the
        # next one goes on
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
        attempts.succeed(run)
        record_end(run, state)
    return state.value


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


def _close_items(run: ExportRun, again: bool) -> None:
    run.tasks.filter(state=TaskState.RUNNING).update(state=TaskState.WAITING if again else TaskState.FAILED)


CARRIER = attempts.Carrier(
    wake=lambda run_id, delay: wake(run_id, delay=delay),
    record_end=record_end,
    close_items=_close_items,
    not_published=N_("The files were uploaded but could not be given their final name."),
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
