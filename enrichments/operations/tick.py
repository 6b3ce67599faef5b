"""What has to happen to enrichments without anybody asking. Idempotent; any number of machines may run it."""

import datetime as dt

from connections.operations import attempts
from connections_portal import messages
from enrichments import tables
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.execute import CARRIER
from enrichments.tasks import execute, wake


def tick(*, now: dt.datetime) -> dict[str, int]:
    """Do everything once; returns how much of each was done."""
    known = set(Enrichment.objects.values_list("table_name", flat=True))
    return {
        "leases": attempts.take_back_lost(EnrichmentRun, execute, carrier=CARRIER),
        "messages": messages.renew(EnrichmentRun, execute, wake),
        "dead": messages.close_dead(execute, model=EnrichmentRun),
        "results": tables.tidy_old(now=now, known=known),
    }
