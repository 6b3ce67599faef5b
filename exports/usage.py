"""Exports as dependents of a connection: what *Used by* counts and *Remove* stops at."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count
from django.urls import reverse
from django.utils.translation import ngettext

from connections.dependents import Dependent, Kind
from connections.models import Connection
from connections_portal.models import ACTIVE_STATES, User
from exports.models import Export, ExportSchedule
from exports.operations.edit import set_next_run
from exports.operations.run import cancel_active_runs


def _phrase(number: int) -> str:
    return ngettext("%(number)d export", "%(number)d exports", number) % {"number": number}


def _count(connection_ids: Iterable[int]) -> dict[int, int]:
    rows = (
        Export.objects.filter(connection__in=list(connection_ids))
        .order_by()
        .values("connection_id")
        .annotate(number=Count("pk"))
    )
    return {row["connection_id"]: row["number"] for row in rows}


def _find(connection: Connection, user: User) -> list[Dependent]:
    """Every export on the connection; whoever may remove a connection may see them all."""
    return [
        Dependent(name=export.name, url=reverse("exports:detail", args=[export.uuid]))
        for export in Export.objects.filter(connection=connection)
    ]


def _list_url(connection: Connection) -> str:
    return f"{reverse('exports:list')}?connection={connection.uuid}"


def _interrupt(connection: Connection, actor: User) -> int:
    running = Export.objects.filter(connection=connection, runs__state__in=ACTIVE_STATES).distinct()
    exports = list(running)
    for export in exports:
        cancel_active_runs(export=export, actor=actor)
    return len(exports)


def _hold(connection: Connection) -> int:
    due = ExportSchedule.objects.filter(export__connection=connection, next_at__isnull=False)
    return due.update(next_at=None)


def _go_on(connection: Connection, now: datetime) -> int:
    exports = list(Export.objects.filter(connection=connection).select_related("schedule", "connection"))
    for export in exports:
        set_next_run(export, now)
    return len(exports)


KIND = Kind(
    key="exports",
    phrase=_phrase,
    count=_count,
    find=_find,
    list_url=_list_url,
    interrupt=_interrupt,
    hold=_hold,
    go_on=_go_on,
)
