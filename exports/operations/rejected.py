"""Records that a service refused: sent again alone, read by somebody, forgotten after a while."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import ACTIVE_STATES, Trigger, User
from exports.models import ExportRun, RejectedRow
from exports.operations.run import enqueue_run
from exports.permissions import require_edit

AT_A_TIME = 20_000


def retry_rejected(*, run: ExportRun, actor: User) -> ExportRun:
    """Queue a run that sends only the records that were refused in ``run``, as the export maps them now.

    Raises CannotRun, NotAllowed and Stale as ``enqueue_run``, and OperationError where nothing is kept any more.
    """
    with transaction.atomic():
        require_edit(actor, run.export)
        if not RejectedRow.objects.filter(rejection__task__run=run).exists():
            raise OperationError(_("The refused records are not kept any more. Run the whole export."))
        return enqueue_run(export=run.export, actor=actor, trigger=Trigger.PERSON, retries=run)


def record_download(*, run: ExportRun, actor: User) -> None:
    """Put into the audit that somebody takes the list of refused records (rule S12). Raises NotAllowed."""
    require_edit(actor, run.export)
    audit.record(
        "export.rejected_downloaded", actor=actor, target=run.export, run=str(run.uuid), count=run.rejected
    )


def stage(run: ExportRun, path: Path) -> None:
    """Write the keys that the run sends again to a Parquet file: ``source`` of the item and ``key``."""
    found = RejectedRow.objects.filter(rejection__task__run_id=run.retries_id).order_by("pk")
    schema = pa.schema([("source", pa.string()), ("key", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        batch: list[tuple[str, str]] = []
        for pair in found.values_list("rejection__task__source", "key").iterator(chunk_size=AT_A_TIME):
            batch.append(pair)
            if len(batch) == AT_A_TIME:
                writer.write_table(_table(batch, schema))
                batch = []
        writer.write_table(_table(batch, schema))


def _table(pairs: list[tuple[str, str]], schema: pa.Schema) -> pa.Table:
    sources, keys = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"source": list(sources), "key": list(keys)}, schema=schema)


def forget_rejected(*, now: dt.datetime | None = None) -> int:
    """Delete refused records of runs that ended more than REJECTED_DAYS ago, some at a time; returns how many."""
    before = (now or timezone.now()) - dt.timedelta(days=settings.REJECTED_DAYS)
    old = RejectedRow.objects.filter(rejection__task__run__finished_at__lt=before).exclude(
        rejection__task__run__retried_by__state__in=ACTIVE_STATES
    )
    return RejectedRow.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:AT_A_TIME])).delete()[0]
