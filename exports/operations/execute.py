"""What a worker does with a run: take it up, deliver, publish, and say truthfully how it ended."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db import Error
from django.db.models import F, Q

from connections.connectors.base import N_, Connector
from connections.connectors.errors import ConnectorError
from connections.connectors.files import FileDelivery
from connections.operations import attempts
from connections.operations.carrying import carry, connector_of, succeed
from connections.operations.failures import Failed, of_connector
from connections.types import takes_files
from connections_portal import audit, customer_data
from connections_portal.models import RunState
from connections_portal.runs import Lease, LeaseLost
from exports.models import ExportRun, TaskState
from exports.operations import leftovers, places, refusals
from exports.operations.deliver import Ahead, look_ahead, send
from exports.operations.failures import of_portal
from exports.operations.push import push
from exports.operations.rejected import stage
from exports.tasks import wake

# The target, consent or pause of the connection changes its epoch; a run goes on only under the one it began with (S4).
STILL = Q(export__connection__epoch=F("connection_epoch"))


def execute_run(*, run_id: int, worker: str) -> str:
    """See ``carrying.carry``."""
    return carry(
        ExportRun,
        run_id,
        worker=worker,
        still=STILL,
        refuses=refusals.of_run,
        attempt=_attempt,
        publish=_publish,
        carrier=CARRIER,
    )


def _attempt(run: ExportRun, lease: Lease) -> str:
    """One attempt from selection to published files, or to the last confirmed record."""
    attempts.begin(run, lease)
    failure = None
    try:
        with connector_of(run, of_portal) as connector:
            if connector.takes_files():
                _deliver(run, lease, connector)
            else:
                _push(run, lease, connector)
    except Failed as failed:
        failure = failed.failure
    if failure is None:
        return succeed(run, lease, carrier=CARRIER)
    run.refresh_from_db()
    if run.state == RunState.PUBLISHING:
        return attempts.publish_later(run, lease, failure, carrier=CARRIER)
    return attempts.fail(run, lease, failure, connection_id=run.export.connection_id, carrier=CARRIER)


def _deliver(run: ExportRun, lease: Lease, connector: Connector) -> None:
    """Write files and give them their final name. Raises Failed, LeaseLost, ConnectorError."""
    with _signing_in(connector) as line, customer_data.open_for_run() as engine:
        lease.on_lost = engine.interrupt
        ahead = look_ahead(run, engine)
        delivery = line.result()
        leftovers.discard_on_the_way(run, delivery)
        _send(run, lease, delivery, engine, ahead)
        # without its export: the connection stays as it was when the line was opened
        run.refresh_from_db(fields=["state", "temporary_folder", "final_folder", "manifest", "rejected"])
        _give_final_name(run, delivery)


def _push(run: ExportRun, lease: Lease, connector: Connector) -> None:
    """Send records; with the last one confirmed nothing is left to be published. Raises what ``push`` raises."""
    with (
        connector.push(run.options, run=str(run.uuid), check=lease.check) as delivery,
        _staged(run) as staged,
        customer_data.open_for_run(staged=staged) as engine,
    ):
        lease.on_lost = engine.interrupt
        push(run, lease, connector, delivery, engine)
        run.refresh_from_db(fields=["state", "manifest", "rejected"])


@contextmanager
def _staged(run: ExportRun) -> Iterator[Path | None]:
    """The file with the keys that the run sends again, while it lasts; None for a run that sends everything."""
    if run.retries_id is None:
        yield None
        return
    settings.ENRICHMENTS_DIR.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".refused-", dir=settings.ENRICHMENTS_DIR) as folder:
        path = Path(folder).resolve() / "keys.parquet"
        stage(run, path)
        yield path


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
    if not takes_files(run.connection_type):
        return succeed(run, lease, carrier=CARRIER)
    if run.export.connection is not None:
        run.export.connection = places.at(run.export.connection, run.manifest.get("place", {}))
    try:
        with connector_of(run, of_portal) as connector, connector.deliver() as delivery:
            _give_final_name(run, delivery)
    except Failed as failed:
        return attempts.publish_later(run, lease, failed.failure, carrier=CARRIER)
    return succeed(run, lease, carrier=CARRIER)


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
