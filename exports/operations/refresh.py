"""The exports that follow the system refresh, as its second stage."""

import datetime as dt
import logging

from connections.models import State
from connections.operations.locks import lock_all
from connections_portal.errors import OperationError
from connections_portal.models import ACTIVE_STATES, Refresh, RefreshStage, Trigger
from connections_portal.refresh import Follower
from exports.models import Export, ScheduleKind
from exports.operations.run import enqueue_run

logger = logging.getLogger(__name__)


def start(refresh: Refresh, now: dt.datetime) -> int:
    """Queue a run of every export that follows the refresh and may run; returns how many were queued."""
    following = Export.objects.filter(schedule__kind=ScheduleKind.SYSTEM, connection__isnull=False)
    following = following.exclude(connection__state=State.PAUSED)
    lock_all(following.values("connection"))
    queued = 0
    for export in following.order_by("connection_id", "pk"):
        try:
            enqueue_run(export=export, actor=None, trigger=Trigger.REFRESH, refresh=refresh, now=now)
            queued += 1
        except OperationError as refused:
            logger.info("system refresh, export %s: %s", export.pk, refused.message)
    return queued


def is_active(refresh: Refresh) -> bool:
    """Whether a run of this refresh has not ended yet."""
    return refresh.exportruns.filter(state__in=ACTIVE_STATES).exists()


FOLLOWER = Follower(RefreshStage.EXPORTS, start, is_active)
