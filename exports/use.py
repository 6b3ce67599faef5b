"""What exports do with a connection, in business terms: how often, how much, for how many people, and what next."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Subquery, Sum
from django.urls import reverse

from connections.dependents import Dependent, Use
from connections.models import Connection, State
from connections_portal import refresh
from connections_portal.models import ACTIVE_STATES, RunState
from exports.models import Export, ExportItem, ExportRun, ExportTask, ItemKind, ScheduleKind


def use(connection: Connection, since: datetime) -> Use:
    """The runs are those that went over the connection, whatever has become of their exports since (eight queries)."""
    runs = ExportRun.objects.filter(connection_uuid=connection.uuid, finished_at__isnull=False).order_by()
    recent = runs.filter(finished_at__gte=since).aggregate(runs=Count("pk"), rows=Sum("sent"))
    last = runs.order_by("-finished_at", "-pk").values("finished_at", "state").first()
    exports = Export.objects.filter(connection=connection)
    return Use(
        runs=recent["runs"],
        rows=recent["rows"] or 0,
        last_run=last["finished_at"] if last else None,
        last_status=str(RunState(last["state"]).label) if last else "",
        next_run=_next_run(connection, exports),
        people=_people(exports),
    )


def _next_run(connection: Connection, exports: Any) -> datetime | None:
    own: datetime | None = exports.aggregate(next=Min("schedule__next_at"))["next"]
    if connection.state == State.PAUSED or not exports.filter(schedule__kind=ScheduleKind.SYSTEM).exists():
        return own
    return min((moment for moment in (own, refresh.next_at()) if moment), default=None)


def _people(exports: Any) -> int | None:
    """How many people the segments on the connection held when each was last sent; None if one never was."""
    items = ExportItem.objects.filter(export__in=exports, kind=ItemKind.SEGMENT).order_by()
    segments = set(items.values_list("source", flat=True))
    counted = ExportRun.objects.filter(export=OuterRef("pk"), selected__isnull=False)
    last = exports.order_by().annotate(run=Subquery(counted.order_by("-queued_at", "-pk").values("pk")[:1]))
    return _sum(segments, [pk for pk in last.values_list("run", flat=True) if pk])


def _sum(segments: set[str], runs: Iterable[int]) -> int | None:
    tasks = ExportTask.objects.filter(run__in=runs, kind=ItemKind.SEGMENT, selected__isnull=False)
    known = dict(tasks.order_by("run__queued_at").values_list("source", "selected"))
    return sum(known[name] or 0 for name in segments) if segments <= set(known) else None


def under_way(connection: Connection) -> list[Dependent]:
    """The runs on the connection that have not ended, by the names of their exports."""
    runs = ExportRun.objects.filter(export__connection=connection, state__in=ACTIVE_STATES)
    return [
        Dependent(
            name=run.export.name,
            url=reverse("exports:run", args=[run.export.uuid, run.uuid]),
            finishing=run.state == RunState.PUBLISHING,
        )
        for run in runs.select_related("export").order_by("export__name_key", "pk")
    ]
