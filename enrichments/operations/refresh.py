"""Active enrichments, as the first stage of the system refresh: they have no schedule of their own."""

import datetime as dt
import logging

from connections.models import State
from connections.operations.locks import lock_all
from connections_portal.errors import OperationError
from connections_portal.models import ACTIVE_STATES, Refresh, RefreshStage, Trigger
from connections_portal.refresh import Follower
from enrichments.models import Enrichment
from enrichments.operations.run import enqueue_run

logger = logging.getLogger(__name__)


def start(refresh: Refresh, now: dt.datetime) -> int:
    """Queue a run of every active enrichment that may run; returns how many were queued."""
    active = Enrichment.objects.filter(active=True).exclude(connection__state=State.PAUSED)
    lock_all(active.values("connection"))
    queued = 0
    for enrichment in active.order_by("connection_id", "pk"):
        try:
            enqueue_run(enrichment=enrichment, actor=None, trigger=Trigger.REFRESH, refresh=refresh, now=now)
            queued += 1
        except OperationError as refused:
            logger.info("system refresh, enrichment %s: %s", enrichment.pk, refused.message)
    return queued


def is_active(refresh: Refresh) -> bool:
    """Whether a run of this refresh has not ended yet."""
    return refresh.enrichmentruns.filter(state__in=ACTIVE_STATES).exists()


FOLLOWER = Follower(RefreshStage.ENRICHMENTS, start, is_active)
