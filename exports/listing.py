"""The list of exports as a query and as rows: search, filters, order, and what each row says and offers.

A page costs the same number of queries however many exports there are.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db.models import (
    Case,
    CharField,
    Count,
    DateTimeField,
    Exists,
    F,
    IntegerField,
    OrderBy,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connections.connectors import CONNECTORS, keys_for
from connections.models import State
from connections.permissions import can_edit as can_edit_connections
from connections.types import type_name
from connections_portal import refresh, roles
from connections_portal.models import ACTIVE_STATES, RunState, User
from connections_portal.names import name_key, search_words
from connections_portal.run_words import Status
from exports.models import Export, ExportItem, ExportRun, ItemKind, ScheduleKind
from exports.permissions import Rights, rights, with_edit_right
from exports.schedules import describe, next_run
from exports.status import FILTERS, of_export

DEFAULT_SORT = "name"
_NONE = UUID(int=0)
_LINKS = ("detail", "run_now", "edit", "rename", "duplicate", "schedule", "attach", "detach", "remove")
# What each column sorts by before the name; what is no column of the database is in ``_MADE``.
SORTS: dict[str, tuple[str, ...]] = {
    "name": (),
    "type": ("type_name",),
    "connection": ("connection__name_key",),
    "status": ("status_rank",),
    "refreshed": ("refreshed",),
    "next": ("next_run",),
    "schedule": ("schedule_rank", "schedule__local_time"),
    "updated": ("updated_at",),
    "permissions": ("can_edit",),
}
# What a contributor may do with an export: to the others the same is allowed with all of them.
PERMISSIONS = (("edit", gettext_lazy("Can edit")), ("view", gettext_lazy("View only")))
_RANKS = {name: rank for rank, (name, _label) in enumerate(FILTERS)}
_NEVER_NULL = {"type_name", "status_rank", "schedule_rank", "updated_at", "can_edit"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; anything unknown in it is as if it were not there."""

    text: str = ""
    type_key: str = ""
    status: str = ""
    connection: UUID | None = None
    permissions: str = ""
    sort: str = DEFAULT_SORT

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.text or self.type_key or self.status or self.connection or self.permissions)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One export in the list. ``run`` is its last one, ``links`` the addresses of its pages, ``press`` stands for its
    button *Create duplicate*.
    """

    export: Export
    type_name: str
    icon: str
    category: str
    content: str
    run: ExportRun | None
    status: Status
    refreshed: datetime | None
    schedule: str
    next_run: datetime | None
    rights: Rights
    may_duplicate: bool
    links: Mapping[str, str]
    select_label: str
    actions_label: str
    press: UUID = field(default_factory=uuid4)


def wanted(params: Mapping[str, str], user: User) -> Wanted:
    """Read the address. Only administrators may ask for one connection's exports, and only contributors by right."""
    sort = params.get("sort", DEFAULT_SORT)
    connection: UUID | None = None
    if can_edit_connections(user) and (text := params.get("connection")):
        try:
            connection = UUID(text)
        except ValueError:
            connection = UUID(int=0)
    status = params.get("status", "")
    type_key = params.get("type", "")
    permissions = params.get("permissions", "") if roles.is_contributor(user) else ""
    return Wanted(
        text=search_words(params.get("q", "")),
        type_key=type_key if type_key in keys_for("export") else "",
        status=status if status in dict(FILTERS) else "",
        connection=connection,
        permissions=permissions if permissions in dict(PERMISSIONS) else "",
        sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
    )


def found(want: Wanted, user: User) -> QuerySet[Export, int]:
    """The ids of the exports that match, in order.

    Ids alone, because whole rows are slow to sort: on 20,000 exports the database then reads nothing but indexes.
    """
    exports = Export.objects.order_by()
    for word in want.text.split():
        types = [key for key in keys_for("export") if word.casefold() in type_name(key).casefold()]
        exports = exports.filter(
            Q(name_key__contains=name_key(word))
            | Q(connection__name_key__contains=name_key(word))
            | Q(type_key__in=types)
        )
    if want.type_key:
        exports = exports.filter(type_key=want.type_key)
    if want.status:
        exports = with_status(exports, want.status)
    if want.permissions:
        exports = with_edit_right(exports, user).filter(Q(can_edit=want.permissions == "edit"))
    if want.connection:
        exports = exports.filter(connection__uuid=want.connection)
    descending = want.sort.startswith("-")
    keys = SORTS[want.sort.removeprefix("-")]
    order = [F("name_key").desc() if descending and not keys else F("name_key").asc()]
    if keys == ("can_edit",) and not roles.is_contributor(user):
        keys = ()  # the same for every export, and PostgreSQL refuses to order by a constant
    exports = _with_columns(exports, keys, user)
    order = [*(_ordered(key, descending) for key in keys), *order]
    return exports.order_by(*order).values_list("pk", flat=True)


def _ordered(key: str, descending: bool) -> OrderBy:
    # what has no value stands last both ways; where there always is one, saying so would keep an index from being used
    nulls_last = None if key in _NEVER_NULL else True
    return F(key).desc(nulls_last=nulls_last) if descending else F(key).asc(nulls_last=nulls_last)


def _with_columns(exports: QuerySet[Export], keys: tuple[str, ...], user: User) -> QuerySet[Export]:
    """The columns of ``keys`` that the database does not have."""
    if "can_edit" in keys:
        return with_edit_right(exports, user)
    return exports.annotate(**{key: _MADE[key]() for key in keys if key in _MADE})


def _type_name() -> Case:
    return Case(
        *(When(type_key=key, then=Value(type_name(key))) for key in keys_for("export")),
        default=F("type_key"),
        output_field=CharField(),
    )


def _status_rank() -> Case:
    return Case(
        When(connection__isnull=True, then=Value(_RANKS["inactive"])),
        When(pk__in=_retrying(), then=Value(_RANKS["failed"])),
        default=Coalesce(_last_rank(), Value(_RANKS["not_started"])),
        output_field=IntegerField(),
    )


def _schedule_rank() -> Case:
    kinds = (When(schedule__kind=kind.value, then=Value(rank)) for rank, kind in enumerate(ScheduleKind))
    return Case(*kinds, output_field=IntegerField())


def _next_run() -> Case | F:
    """``schedules.next_run`` as a column; while the system refresh is off, the one that has an index."""
    refresh_at = refresh.next_at()
    if refresh_at is None:
        return F("schedule__next_at")
    follows = Q(schedule__kind=ScheduleKind.SYSTEM, connection__isnull=False)
    paused = When(follows & Q(connection__state=State.PAUSED), then=Value(None))
    return Case(
        paused,
        When(follows, then=Value(refresh_at)),
        default=F("schedule__next_at"),
        output_field=DateTimeField(),
    )


def with_status(exports: QuerySet[Export], status: str) -> QuerySet[Export]:
    """Those of a status of ``FILTERS``."""
    if status == "inactive":
        return exports.filter(connection__isnull=True)
    exports = exports.filter(connection__isnull=False)
    if status == "not_started":
        return exports.filter(~Exists(_runs()))
    if status == "processing":
        active = ExportRun.objects.filter(state__in=ACTIVE_STATES)  # a run under way is the last one
        return exports.filter(pk__in=active.values("export")).exclude(pk__in=_retrying())
    has_status = Q(last_state=status)  # the other statuses are called as the states are
    if status == "failed":
        has_status |= Q(pk__in=_retrying())
    return exports.alias(last_state=Subquery(_runs().values("state")[:1])).filter(has_status)


def _retrying() -> QuerySet[ExportRun, Any]:
    """The exports that are *Failed (retrying)*.

    Asked for once for the whole list: how often a run was attempted stands in no index that ``_last_rank`` reads.
    """
    retrying = ExportRun.objects.filter(state=RunState.QUEUED, attempt__gt=0)  # ``Run.is_retrying``
    return retrying.order_by().values("export")


def _runs() -> QuerySet[ExportRun]:
    return ExportRun.objects.filter(export=OuterRef("pk")).order_by("-queued_at", "-pk")


def _last_rank() -> Subquery:
    """Where the state of the last run stands in the order of ``FILTERS``; null for an export that never ran."""
    ranked = _runs().annotate(
        rank=Case(
            When(state__in=ACTIVE_STATES, then=Value(_RANKS["processing"])),
            *(When(state=state, then=Value(_RANKS[state])) for state in RunState if state in _RANKS),
            output_field=IntegerField(),
        )
    )
    return Subquery(ranked.values("rank")[:1])


def _refreshed() -> Subquery:
    ended = _runs().filter(finished_at__isnull=False).order_by("-finished_at")
    return Subquery(ended.values("finished_at")[:1])


_MADE: dict[str, Callable[[], Case | F | Subquery]] = {
    "type_name": _type_name,
    "status_rank": _status_rank,
    "schedule_rank": _schedule_rank,
    "next_run": _next_run,
    "refreshed": _refreshed,
}


def page(ids: Iterable[int], user: User) -> list[Export]:
    """These exports with all that a row needs, in the order of ``ids``."""
    wanted_ids = list(ids)
    exports = with_edit_right(
        Export.objects.select_related("connection", "schedule", "updated_by").filter(pk__in=wanted_ids), user
    ).annotate(last_run_id=Subquery(_runs().values("pk")[:1]), refreshed=_refreshed())
    by_id = {export.pk: export for export in exports}
    return [by_id[pk] for pk in wanted_ids if pk in by_id]


def rows(exports: Iterable[Export], now: datetime) -> list[Row]:
    """The rows of one ``page`` (two or three queries more): items counted, last runs read."""
    listed = list(exports)
    follows = any(export.schedule.kind == ScheduleKind.SYSTEM for export in listed)
    refresh_at = refresh.next_at() if follows else None
    contents = contents_of([export.pk for export in listed])
    runs = ExportRun.objects.in_bulk([e.last_run_id for e in listed if e.last_run_id])  # type: ignore[attr-defined]
    made = []
    for export in listed:
        connector = next((c for c in CONNECTORS if c.key == export.type_key), None)
        run = runs.get(export.last_run_id)  # type: ignore[attr-defined]
        can_edit: bool = export.can_edit  # type: ignore[attr-defined]
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
                schedule=describe(export.schedule, refresh_on=refresh_at is not None),
                next_run=next_run(export, refresh_at),
                rights=rights(export, can_edit=can_edit),
                may_duplicate=can_edit and bool(export.connection and export.connection.state == State.READY),
                links=_links(export.uuid),
                select_label=_("Select %(name)s") % {"name": export.name},
                actions_label=_("More actions for %(name)s") % {"name": export.name},
            )
        )
    return made


@functools.cache
def _patterns() -> dict[str, str]:
    return {name: reverse(f"exports:{name}", args=[_NONE]) for name in _LINKS}


def _links(uuid: UUID) -> dict[str, str]:
    # reversed once and filled in: a page has a dozen for each row, and reversing each took a tenth of its time
    return {name: pattern.replace(str(_NONE), str(uuid)) for name, pattern in _patterns().items()}


def contents_of(export_ids: list[int]) -> dict[int, str]:
    """By id of the export what it sends: *2 segments*."""
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
