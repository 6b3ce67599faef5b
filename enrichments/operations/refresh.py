"""Active enrichments, as the first stage of the system refresh: they have no schedule of their own."""

from connections.operations.refresh import follower
from connections_portal.models import RefreshStage
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.run import enqueue_run

FOLLOWER = follower(
    RefreshStage.ENRICHMENTS,
    EnrichmentRun,
    following=lambda: Enrichment.objects.filter(active=True),
    enqueue=lambda enrichment, **more: enqueue_run(enrichment=enrichment, **more),
)
