"""The list of exports as a query and as rows: search, filters, order, and what each row says and offers.

A page costs the same number of queries however many exports there are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import (
    Case,
    CharField,
    Count,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils.translation import ngettext

from connections.connectors import CONNECTORS
from connections.permissions import can_edit as can_edit_connections
from connections_portal.models import ACTIVE_STATES, RunState, User
from connections_portal.names import name_key
from exports.forms import type_name
from exports.models import Export, ExportItem, ExportRun, ItemKind, ScheduleKind
from exports.permissions import Rights, rights, with_edit_right
from exports.schedules import describe
from exports.status import FILTERS, Status, of_export

DEFAULT_SORT = "name"
SORTS: dict[str, tuple[str, ...]] = {
    "name": ("name_key",),
    "type": ("type_name",),
    "connection": ("connection__name_key",),
    "status": ("status_rank", "name_key"),
    "refreshed": ("refreshed",),
    "next": ("schedule__next_at",),
    "schedule": ("schedule_rank", "schedule__local_time"),
    "permissions": ("can_edit",),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; anything unknown in it is as if it were not there."""

    text: str = ""
    type_key: str = ""
    status: str = ""
    connection: UUID | None = None
    sort: str = DEFAULT_SORT

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.text or self.type_key or self.status or self.connection)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One export in the list. ``run`` is its last one."""

    export: Export
    type_name: str
    icon: str
    category: str
    content: str
    run: ExportRun | None
    status: Status
    refreshed: datetime | None
    schedule: str
    rights: Rights


def wanted(params: Mapping[str, str], user: User) -> Wanted:
    """Read the address. Only administrators may ask for one connection's exports."""
    sort = params.get("sort", DEFAULT_SORT)
    connection: UUID | None = None
    if can_edit_connections(user) and (text := params.get("connection")):
        try:
            connection = UUID(text)
        except ValueError:
            connection = UUID(int=0)
    status = params.get("status", "")
    type_key = params.get("type", "")
    return Wanted(
        text=" ".join(params.get("q", "").replace("\x00", "").split())[:100],
        type_key=type_key if type_key in {c.key for c in CONNECTORS} else "",
        status=status if status in dict(FILTERS) else "",
        connection=connection,
        sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
    )


def found(want: Wanted, user: User) -> QuerySet[Export]:
    """The exports that match, in order."""
    exports = _annotated(with_edit_right(Export.objects.select_related("connection", "schedule"), user))
    for word in want.text.split():
        types = [c.key for c in CONNECTORS if word.casefold() in type_name(c.key).casefold()]
        exports = exports.filter(
            Q(name_key__contains=name_key(word))
            | Q(connection__name_key__contains=name_key(word))
            | Q(type_key__in=types)
        )
    if want.type_key:
        exports = exports.filter(type_key=want.type_key)
    if want.status:
        exports = exports.filter(Q(status_name=want.status))
    if want.connection:
        exports = exports.filter(connection__uuid=want.connection)
    descending = want.sort.startswith("-")
    keys = SORTS[want.sort.removeprefix("-")]
    order = [
        F(key).desc(nulls_last=True) if descending else F(key).asc(nulls_last=True)
        for key in (*keys, "name_key")
    ]
    return exports.order_by(*order, "pk")


def _annotated(exports: QuerySet[Export]) -> QuerySet[Export]:
    runs = ExportRun.objects.filter(export=OuterRef("pk")).order_by("-queued_at", "-pk")
    ended = runs.filter(finished_at__isnull=False).order_by("-finished_at")
    exports = exports.annotate(
        last_run_id=Subquery(runs.values("pk")[:1]),
        last_state=Subquery(runs.values("state")[:1]),
        refreshed=Subquery(ended.values("finished_at")[:1]),
    )
    return exports.annotate(
        status_name=Case(
            When(connection__isnull=True, then=Value("inactive")),
            When(last_state__isnull=True, then=Value("not_started")),
            When(last_state__in=ACTIVE_STATES, then=Value("processing")),
            default=Coalesce(F("last_state"), Value(RunState.CANCELED.value)),
            output_field=CharField(),
        ),
        type_name=Case(
            *(When(type_key=c.key, then=Value(type_name(c.key))) for c in CONNECTORS),
            default=F("type_key"),
            output_field=CharField(),
        ),
        schedule_rank=Case(
            *(When(schedule__kind=k.value, then=Value(i)) for i, k in enumerate(ScheduleKind)),
            output_field=IntegerField(),
        ),
    ).annotate(
        status_rank=Case(
            *(When(status_name=name, then=Value(i)) for i, (name, _label) in enumerate(FILTERS)),
            output_field=IntegerField(),
        )
    )


def rows(exports: Iterable[Export], now: datetime) -> list[Row]:
    """The rows of one page (two queries more): items counted, last runs read."""
    page = list(exports)
    contents = _contents([export.pk for export in page])
    runs = ExportRun.objects.in_bulk([e.last_run_id for e in page if e.last_run_id])  # type: ignore[attr-defined]
    made = []
    for export in page:
        connector = next((c for c in CONNECTORS if c.key == export.type_key), None)
        run = runs.get(export.last_run_id)  # type: ignore[attr-defined]
        made.append(
            Row(
                export=export,
                type_name=type_name(export.type_key),
                icon=connector.icon if connector else "plug_disconnected",
                category=connector.category if connector else "",
                content=contents.get(export.pk, ""),
                run=run,
                status=of_export(export, run, now),
                refreshed=export.refreshed,  # type: ignore[attr-defined]
                schedule=describe(export.schedule),
                rights=rights(export, can_edit=export.can_edit),  # type: ignore[attr-defined]
            )
        )
    return made


def _contents(export_ids: list[int]) -> dict[int, str]:
    counted = (
        ExportItem.objects.filter(export__in=export_ids)
        .order_by()
        .values_list("export_id", "kind")
        .annotate(number=Count("pk"))
    )
    numbers: dict[int, dict[str, int]] = {}
    for export_id, kind, number in counted:
        numbers.setdefault(export_id, {})[kind] = number
    return {export_id: content_phrase(kinds) for export_id, kinds in numbers.items()}


def content_phrase(numbers: Mapping[str, int]) -> str:
    """*2 segments*, *3 tables*, *1 segment, 1 table*."""
    parts = []
    if segments := numbers.get(ItemKind.SEGMENT, 0):
        parts.append(ngettext("%(n)d segment", "%(n)d segments", segments) % {"n": segments})
    if tables := numbers.get(ItemKind.TABLE, 0):
        parts.append(ngettext("%(n)d table", "%(n)d tables", tables) % {"n": tables})
    return ", ".join(parts)
