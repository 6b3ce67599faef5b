"""Exports on a connection that is to be removed: what the dialog shows of each, and what it offers."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.dependents import Blocker, Blockers, Choice
from connections.models import Connection
from connections_portal import refresh, roles
from connections_portal.models import RunState, User
from exports.listing import contents_of
from exports.models import Export, ExportRun, ExportTask, ItemKind, ScheduleKind
from exports.operations.settle import DETACH, MOVE, REMOVE
from exports.permissions import VIEWING_ROLES
from exports.schedules import describe, next_run


def blocking(connection: Connection, user: User, most: int) -> Blockers:
    """Every export on the connection blocks; the first ones by name, as far as the person may open them."""
    exports = Export.objects.filter(connection=connection)
    total = exports.count()
    if roles.role_of(user) not in VIEWING_ROLES:
        return Blockers(total=total, hidden=total, items=[])
    listed = list(_with_last_runs(exports).order_by("name_key", "pk")[:most])
    contents = contents_of([export.pk for export in listed])
    people = _people(listed)
    follows = any(e.schedule.kind == ScheduleKind.SYSTEM for e in listed)
    refresh_at = refresh.next_at() if follows else None
    items = [
        Blocker(
            uuid=export.uuid,
            name=export.name,
            url=reverse("exports:detail", args=[export.uuid]),
            content=", ".join(filter(None, [_("Export"), contents.get(export.pk, "")])),
            responsible=str(export.responsible) if export.responsible else "",
            next_run=next_run(export, refresh_at),
            schedule=describe(export.schedule, refresh_on=refresh_at is not None),
            people=people.get(export.pk),
            last_run=export.last_ended,
            last_status=_status(export.last_state),
        )
        for export in listed
    ]
    return Blockers(total=total, hidden=0, items=items)


def _with_last_runs(exports: QuerySet[Export]) -> QuerySet[Any]:
    """Each with when and how its last run ended, and the last run that counted its segments."""
    runs = ExportRun.objects.filter(export=OuterRef("pk"))
    ended = runs.filter(finished_at__isnull=False).order_by("-finished_at", "-pk")
    counted = runs.filter(selected__isnull=False).order_by("-queued_at", "-pk")
    return exports.select_related("responsible", "schedule", "connection").annotate(
        last_ended=Subquery(ended.values("finished_at")[:1]),
        last_state=Subquery(ended.values("state")[:1]),
        counted_run=Subquery(counted.values("pk")[:1]),
    )


def _people(exports: Iterable[Any]) -> dict[int, int]:
    """By id of the export how many people its segments held at its last run; without segments it is absent."""
    runs = [export.counted_run for export in exports if export.counted_run]
    tasks = ExportTask.objects.filter(run__in=runs, kind=ItemKind.SEGMENT, selected__isnull=False).order_by()
    summed = tasks.values(export_id=F("run__export")).annotate(people=Sum("selected"))
    return {row["export_id"]: row["people"] for row in summed}


def _status(state: str | None) -> str:
    return str(RunState(state).label) if state else ""


def lock(connection: Connection) -> None:
    """Lock every export on the connection until the caller's transaction ends."""
    exports = Export.objects.filter(connection=connection).select_for_update(of=("self",))
    list(exports.order_by("pk").values_list("pk"))


def marks(connection_ids: Iterable[int]) -> dict[int, list[tuple[UUID, int]]]:
    """By id of the connection, identifier and version of each export on it."""
    exports = Export.objects.filter(connection__in=list(connection_ids)).order_by()
    found: dict[int, list[tuple[UUID, int]]] = {}
    for connection_id, uuid, version in exports.values_list("connection_id", "uuid", "version"):
        if connection_id is not None:
            found.setdefault(connection_id, []).append((uuid, version))
    return found


def choices() -> list[Choice]:
    """*Detach connection*, *Move to*, *Remove*."""
    return [
        Choice(
            key=DETACH,
            label=_("Detach connection"),
            outcome=_counted(
                lambda n: ngettext(
                    "%(n)d export keeps its settings and stops until it gets a connection.",
                    "%(n)d exports keep their settings and stop until they get a connection.",
                    n,
                )
            ),
            button=lambda n: _("detach %(n)d") % {"n": n},
            gentle=True,
        ),
        Choice(
            key=MOVE,
            label=_("Move to"),
            outcome=_counted(
                lambda n: ngettext(
                    "%(n)d export goes on over %(target)s.", "%(n)d exports go on over %(target)s.", n
                )
            ),
            button=lambda n: _("move %(n)d") % {"n": n},
            moves=True,
        ),
        Choice(
            key=REMOVE,
            label=_("Remove"),
            outcome=_counted(
                lambda n: ngettext(
                    "%(n)d export is removed with its history; files already sent stay.",
                    "%(n)d exports are removed with their history; files already sent stay.",
                    n,
                )
            ),
            button=lambda n: _("remove %(n)d") % {"n": n},
        ),
    ]


def _counted(words: Callable[[int], str]) -> Callable[[int, str], str]:
    return lambda number, target: words(number) % {"n": number, "target": target}
