"""What has to happen to enrichments without anybody asking. Idempotent; any number of machines may run it."""

import datetime as dt

from connections.operations import attempts
from connections_portal import messages
from connections_portal.models import LEASED_STATES
from enrichments import tables
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.execute import CARRIER
from enrichments.tasks import execute, wake


def tick(*, now: dt.datetime) -> dict[str, int]:
    """Do everything once; returns how much of each was done."""
    known = set(Enrichment.objects.values_list("table_name", flat=True))
    kept = set()
    for run in EnrichmentRun.objects.filter(state__in=LEASED_STATES):
        kept |= {run.result_folder, tables.folder_name(run.uuid, run.lease_token) if run.lease_token else ""}
    return {
        "leases": attempts.take_back_lost(EnrichmentRun, execute, carrier=CARRIER),
        "messages": messages.renew(EnrichmentRun, execute, wake),
        "dead": messages.close_dead(execute, model=EnrichmentRun),
        "results": tables.tidy_old(now=now, known=known, kept=kept),
    }
