"""What support staff do to runs of enrichments, in the Django admin."""

from django.db import transaction

from connections.operations import support
from connections_portal import audit
from connections_portal.models import User
from enrichments.models import EnrichmentRun
from enrichments.operations.locks import lock_with_connection
from enrichments.operations.run import cancel
from enrichments.tasks import execute


def cancel_run(*, run: EnrichmentRun, actor: User, reason: str) -> None:
    """Cancel a queued or running run, whoever's it is. Raises NotSupport, NotLost for an ended one, FinishingRun."""
    with transaction.atomic():
        support.check(actor, reason)
        lock_with_connection(run.enrichment_id)
        if not cancel(run, actor, reason=reason):
            raise support.ended()


def requeue_lost(*, run: EnrichmentRun, actor: User, reason: str) -> None:
    """Have a worker look at a lost run again. Raises NotSupport, and NotLost for one that is alive or has ended."""
    from enrichments.operations.execute import CARRIER  # slow to load, and the web seldom needs it

    with transaction.atomic():
        support.check(actor, reason)
        lock_with_connection(run.enrichment_id)
        support.requeue(run, task=execute, carrier=CARRIER)
        audit.record(
            "enrichment.run_requeued",
            actor=actor,
            target=run.enrichment,
            run=str(run.uuid),
            reason=reason.strip(),
        )
