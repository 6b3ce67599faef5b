"""The exports that follow the system refresh, as its second stage."""

from connections.operations.refresh import follower
from connections_portal.models import RefreshStage
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.run import enqueue_run

FOLLOWER = follower(
    RefreshStage.EXPORTS,
    ExportRun,
    following=lambda: Export.objects.filter(schedule__kind=ScheduleKind.SYSTEM, connection__isnull=False),
    enqueue=lambda export, **more: enqueue_run(export=export, **more),
)
