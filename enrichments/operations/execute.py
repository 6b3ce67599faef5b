"""What a worker does with a run of an enrichment: take it up, bring the file in, publish, say truthfully how it ended.

The result is written into a folder of its own below the output table's; the fenced step to *publishing* stores its
name, and only then is the table led to it (rule S25).
"""

import time
from pathlib import Path

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from connections.connectors.base import N_
from connections.operations import attempts, failures
from connections.operations.carrying import carry, connector_of, succeed
from connections.operations.failures import Failed, Failure
from connections_portal import audit
from connections_portal.models import RunState, WhoActs
from connections_portal.runs import Lease, LeaseLost
from enrichments import tables
from enrichments.importing import Imported, ImportProblem, SourceChanged, run_import
from enrichments.models import EnrichmentRun
from enrichments.operations import refusals
from enrichments.tasks import wake

PROGRESS_SECONDS = 1.0

# The target, consent or pause of the connection changes its epoch; a run goes on only under the one it began with (S4).
STILL = Q(enrichment__connection__epoch=F("connection_epoch"), enrichment__active=True)


def execute_run(*, run_id: int, worker: str) -> str:
    """See ``carrying.carry``."""
    return carry(
        EnrichmentRun,
        run_id,
        worker=worker,
        still=STILL,
        refuses=refusals.of_run,
        attempt=_attempt,
        publish=_publish,
        carrier=CARRIER,
    )


def _attempt(run: EnrichmentRun, lease: Lease) -> str:
    """One attempt from the server's file to the published table."""
    attempts.begin(run, lease)
    name = tables.folder_name(run.uuid, lease.token)
    folder = None
    try:
        folder = _new_folder(run.table_name, name)
        imported = _bring_in(run, lease, folder)
        _to_publishing(run, lease, name, imported)
    except Failed as failed:
        if folder:
            tables.discard(folder)
        return attempts.fail(
            run, lease, failed.failure, connection_id=run.enrichment.connection_id, carrier=CARRIER
        )
    except LeaseLost:
        if folder:
            tables.discard(folder)
        raise
    return _publish(run, lease)


def _new_folder(table: str, name: str) -> Path:
    try:
        return tables.new_folder(table, name)
    except OSError as error:
        cause = N_("The folder of the output table cannot be written to.")
        raise Failed(_place_is_unusable("no_folder", cause, error)) from None


def _place_is_unusable(code: str, cause: str, error: OSError) -> Failure:
    """Nobody but the operator can help; it is tried again."""
    return Failure(
        code,
        cause,
        WhoActs.OPERATOR,
        N_("Whoever operates the portal looks at ENRICHMENTS_DIR."),
        type(error).__name__,
        retry=True,
    )


def _bring_in(run: EnrichmentRun, lease: Lease, folder: Path) -> Imported:
    """Read and check the file into ``folder``. Raises Failed and LeaseLost."""
    with connector_of(run, _of_portal) as connector, connector.fetch() as source:
        return run_import(
            source=source,
            options=run.options,
            segment=run.segment,
            folder=folder,
            report=_Report(lease),
            check=lease.check,
        )


class _Report:
    """Progress on the run's row, at most once a second; also notices that the run was canceled."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._reported = 0.0

    def __call__(self, bytes_read: int, rows_read: int) -> None:
        if time.monotonic() - self._reported >= PROGRESS_SECONDS:
            self._reported = time.monotonic()
            self._lease.write(RunState.RUNNING, bytes_sent=bytes_read, read=rows_read)


def _to_publishing(run: EnrichmentRun, lease: Lease, name: str, imported: Imported) -> None:
    """Store what came of it with the step to *publishing*, fenced. Raises LeaseLost."""
    lease.write(
        RunState.RUNNING,
        state=RunState.PUBLISHING,
        result_folder=name,
        selected=imported.selected,
        read=imported.read,
        sent=imported.enriched,
        rejected=imported.rejected,
        left_out=imported.left_out,
        reasons=imported.reasons,
        coverage=[list(field) for field in imported.coverage],
        bytes_sent=imported.bytes_read,
        heartbeat_at=Now(),
    )
    run.refresh_from_db()


def _publish(run: EnrichmentRun, lease: Lease) -> str:
    """Lead the output table to the run's result; may be repeated by whoever finds the run here (rule S25).

    The run stays locked meanwhile: a worker that froze before it, and was replaced, cannot put an older result back.
    """
    try:
        with transaction.atomic():
            lease.hold(RunState.PUBLISHING)
            tables.publish(run.table_name, run.result_folder)
    except OSError as error:
        failure = _place_is_unusable("not_published", N_("The output table could not be replaced."), error)
        return attempts.publish_later(run, lease, failure, carrier=CARRIER)
    return succeed(run, lease, carrier=CARRIER)


def _of_portal(run: EnrichmentRun, error: Exception) -> Failure:
    """What went wrong on this side, or with the file itself."""
    match error:
        case ImportProblem():
            return Failure(error.code, error.cause, WhoActs.EDITOR, error.remedy)
        case SourceChanged():
            # also read once no attempt is left
            remedy = (
                N_("It is tried again. If it stays, run it while nothing is written there.")
                if error.code == "customers_changed"
                else N_(
                    "It is tried again. Have files written under another name and renamed once they are complete."
                )
            )
            return Failure(error.code, error.cause, WhoActs.NOBODY, remedy, retry=True)
    return failures.of_portal(run, error)


def record_end(run: EnrichmentRun, state: RunState, code: str = "") -> None:
    """Put how the run ended into the audit, with its counts, inside the caller's transaction."""
    counts = EnrichmentRun.objects.values("read", "sent", "rejected", "left_out").get(pk=run.pk)
    audit.record(
        "enrichment.run_finished",
        actor=None,
        target=run.enrichment,
        run=str(run.uuid),
        state=state.value,
        code=code,
        **counts,
    )


CARRIER = attempts.Carrier(
    wake=lambda run_id, delay: wake(run_id, delay=delay),
    record_end=record_end,
    close_items=lambda run, again: None,
    not_published=N_("The file was read but the output table could not be replaced."),
)
