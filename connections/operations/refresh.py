"""A stage of the system refresh in which one kind of run over connections is started."""

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from connections.models import State
from connections.operations.locks import lock_all
from connections_portal.errors import OperationError
from connections_portal.models import ACTIVE_STATES, Refresh, RefreshStage, Run, Trigger
from connections_portal.refresh import Follower

logger = logging.getLogger(__name__)


def follower(
    stage: RefreshStage,
    model: type[Run],
    *,
    following: Callable[[], QuerySet[Any]],
    enqueue: Callable[..., object],
) -> Follower:
    """What follows the refresh in ``stage``: everything in ``following`` whose connection is not paused.

    ``enqueue`` queues a run of one of them, given ``actor``, ``trigger``, ``refresh`` and ``now`` by name; what it
    refuses with an OperationError is passed over.
    """

    def start(refresh: Refresh, now: dt.datetime) -> int:
        found = following().exclude(connection__state=State.PAUSED)
        lock_all(found.values("connection"))
        queued = 0
        for item in found.order_by("connection_id", "pk"):
            try:
                enqueue(item, actor=None, trigger=Trigger.REFRESH, refresh=refresh, now=now)
                queued += 1
            except OperationError as refused:
                logger.info("system refresh, %s %s: %s", model.subject_name, item.pk, refused.message)
        return queued

    def is_active(refresh: Refresh) -> bool:
        return model._default_manager.filter(refresh=refresh, state__in=ACTIVE_STATES).exists()

    return Follower(stage, start, is_active)
