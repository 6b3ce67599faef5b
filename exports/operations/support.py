"""What support staff do to runs of exports, in the Django admin."""

from django.db import transaction

from connections.operations import support
from connections_portal import audit
from connections_portal.models import User
from exports.models import ExportRun
from exports.operations.run import cancel, lock_export
from exports.tasks import execute


def cancel_run(*, run: ExportRun, actor: User, reason: str) -> None:
    """Cancel a queued or running run, whoever's it is. Raises NotSupport, NotLost for an ended one, FinishingRun."""
    with transaction.atomic():
        support.check(actor, reason)
        lock_export(run.export_id)
        if not cancel(run, actor, reason=reason):
            raise support.ended()


def requeue_lost(*, run: ExportRun, actor: User, reason: str) -> None:
    """Have a worker look at a lost run again. Raises NotSupport, and NotLost for one that is alive or has ended."""
    from exports.operations.execute import CARRIER  # slow to load, and the web seldom needs it

    with transaction.atomic():
        support.check(actor, reason)
        lock_export(run.export_id)
        support.requeue(run, task=execute, carrier=CARRIER)
        audit.record(
            "export.run_requeued", actor=actor, target=run.export, run=str(run.uuid), reason=reason.strip()
        )
