"""*Delete* an enrichment, with its output table."""

import functools

from django.db import transaction

from connections_portal import audit
from connections_portal.models import User
from enrichments import tables
from enrichments.models import Enrichment
from enrichments.operations.locks import lock_with_connection
from enrichments.operations.run import cancel_active_runs
from enrichments.permissions import require_edit


def delete_enrichment(*, enrichment: Enrichment, actor: User) -> None:
    """Delete the enrichment with its history and output table; exports that send the table show it as gone.

    The run under way is canceled. Raises Stale when it is gone already, NotAllowed, and FinishingRun while a run is
    publishing.
    """
    require_edit(actor)
    with transaction.atomic():
        locked = lock_with_connection(enrichment.pk)
        cancel_active_runs(enrichment=locked, actor=actor)
        audit.record(
            "enrichment.deleted",
            actor=actor,
            target=locked,
            type=locked.type_key,
            table=locked.table_name,
            runs=locked.runs.count(),
        )
        locked.delete()
        # after the row is gone for certain; what a stop leaves behind in between is tidied by the clock
        transaction.on_commit(functools.partial(tables.delete_table, locked.table_name))
