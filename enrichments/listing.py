"""*My enrichments* as a query and as rows: search, filters, order, and what each row says and offers.

A page costs the same number of queries however many enrichments there are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import (
    Case,
    CharField,
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
from django.utils.translation import gettext as _

from connections import connectors
from connections_portal.models import ACTIVE_STATES, RunState
from connections_portal.names import name_key, search_words
from connections_portal.run_words import Status
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.status import STATES, STATUSES, of_enrichment, state_of
from enrichments.types import all_types, type_name

DEFAULT_SORT = "name"
PUBLISHED = (RunState.SUCCESSFUL, RunState.WARNINGS)
# What each column sorts by before the name; what is no column of the database is in ``_MADE``.
SORTS: dict[str, str] = {
    "name": "name_key",
    "type": "type_name",
    "state": "state_rank",
    "status": "status_rank",
    "connection": "connection__name_key",
    "enriched": "enriched",
    "refreshed": "refreshed",
    "updated": "updated_at",
}
_RANKS = {name: rank for rank, (name, _label) in enumerate(STATUSES)}
_WAITING = Q(connection__isnull=True, needs_connection=True)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; anything unknown in it is as if it were not there."""

    text: str = ""
    type_key: str = ""
    state: str = ""
    status: str = ""
    connection: UUID | None = None
    sort: str = DEFAULT_SORT

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.text or self.type_key or self.state or self.status or self.connection)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One enrichment in the list. ``run`` is its last one, ``result`` the last one that filled the output table."""

    enrichment: Enrichment
    type_name: str
    icon: str
    category: str
    state: Status
    status: Status
    run: EnrichmentRun | None
    result: EnrichmentRun | None
    select_label: str
    actions_label: str


def wanted(params: Mapping[str, str]) -> Wanted:
    """Read the address."""
    sort = params.get("sort", DEFAULT_SORT)
    return Wanted(
        text=search_words(params.get("q", "")),
        type_key=_one_of(params.get("type", ""), {c.key for c in all_types()}),
        state=_one_of(params.get("state", ""), dict(STATES)),
        status=_one_of(params.get("status", ""), dict(STATUSES)),
        connection=_uuid(params.get("connection", "")),
        sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
    )


def _one_of(value: str, known: Iterable[str]) -> str:
    return value if value in set(known) else ""


def _uuid(text: str) -> UUID | None:
    """The connection asked for; one that cannot exist for what is no identifier, so that nothing is found."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


def found(want: Wanted) -> QuerySet[Enrichment]:
    """The enrichments that match, in order, with all that a row needs but the runs themselves."""
    enrichments = Enrichment.objects.select_related("connection", "updated_by").order_by()
    for word in want.text.split():
        types = [c.key for c in all_types() if word.casefold() in _(c.name).casefold()]
        enrichments = enrichments.filter(
            Q(name_key__contains=name_key(word))
            | Q(connection__name_key__contains=name_key(word))
            | Q(type_key__in=types)
        )
    if want.type_key:
        enrichments = enrichments.filter(type_key=want.type_key)
    if want.connection:
        enrichments = enrichments.filter(connection__uuid=want.connection)
    enrichments = with_status(_with_state(enrichments, want.state), want.status)
    enrichments = enrichments.annotate(
        last_run_id=Subquery(_runs().values("pk")[:1]), result_id=Subquery(_results().values("pk")[:1])
    )
    return _ordered(enrichments, want.sort)


def _ordered(enrichments: QuerySet[Enrichment], sort: str) -> QuerySet[Enrichment]:
    key = SORTS[sort.removeprefix("-")]
    if key in _MADE:
        enrichments = enrichments.annotate(**{key: _MADE[key]()})
    field = F(key)
    # what has no value stands last both ways
    first: OrderBy = field.desc(nulls_last=True) if sort.startswith("-") else field.asc(nulls_last=True)
    return enrichments.order_by(first, "name_key", "pk")


def _with_state(enrichments: QuerySet[Enrichment], state: str) -> QuerySet[Enrichment]:
    match state:
        case "active":
            return enrichments.filter(active=True)
        case "inactive":
            return enrichments.filter(active=False)
        case "waiting":
            return enrichments.filter(_WAITING)
    return enrichments


def with_status(enrichments: QuerySet[Enrichment], status: str) -> QuerySet[Enrichment]:
    """Those of a status of ``STATUSES``; all of them for none."""
    if not status:
        return enrichments
    if status == "not_started":
        return enrichments.filter(~Exists(_runs()))
    return enrichments.alias(last_rank=_last_rank()).filter(last_rank=_RANKS[status])


def waiting() -> QuerySet[Enrichment]:
    """The enrichments that wait for a connection, by name."""
    return Enrichment.objects.filter(_WAITING).order_by("name_key", "pk")


def _runs() -> QuerySet[EnrichmentRun]:
    return EnrichmentRun.objects.filter(enrichment=OuterRef("pk")).order_by("-queued_at", "-pk")


def _results() -> QuerySet[EnrichmentRun]:
    """The runs that filled the output table, the newest first."""
    return _runs().filter(state__in=PUBLISHED).order_by("-finished_at", "-pk")


def _type_name() -> Case:
    names = (When(type_key=c.key, then=Value(type_name(c.key))) for c in all_types())
    return Case(*names, default=F("type_key"), output_field=CharField())


def _state_rank() -> Case:
    return Case(
        When(active=True, then=Value(0)),
        When(_WAITING, then=Value(2)),
        default=Value(1),
        output_field=IntegerField(),
    )


def _last_rank() -> Subquery:
    """Where the state of the last run stands in the order of ``STATUSES``; null for one that never ran."""
    ranked = _runs().annotate(
        rank=Case(
            When(state=RunState.QUEUED, attempt__gt=0, then=Value(_RANKS["failed"])),  # Failed (retrying)
            When(state__in=ACTIVE_STATES, then=Value(_RANKS["processing"])),
            *(When(state=state, then=Value(_RANKS[state])) for state in RunState if state in _RANKS),
            output_field=IntegerField(),
        )
    )
    return Subquery(ranked.values("rank")[:1])


_MADE: dict[str, Callable[[], Case | Coalesce | Subquery]] = {
    "type_name": _type_name,
    "state_rank": _state_rank,
    "status_rank": lambda: Coalesce(_last_rank(), Value(_RANKS["not_started"])),
    "enriched": lambda: Subquery(_results().values("sent")[:1]),
    "refreshed": lambda: Subquery(_results().values("finished_at")[:1]),
}


def rows(enrichments: Iterable[Any], now: datetime) -> list[Row]:
    """The rows of one page of ``found``, with one query more for their runs."""
    listed = list(enrichments)
    ids = {pk for e in listed for pk in (e.last_run_id, e.result_id) if pk}
    runs = EnrichmentRun.objects.in_bulk(ids)
    return [_row(e, runs.get(e.last_run_id), runs.get(e.result_id), now) for e in listed]


def _row(
    enrichment: Enrichment, run: EnrichmentRun | None, result: EnrichmentRun | None, now: datetime
) -> Row:
    connector = connectors.get(enrichment.type_key)
    return Row(
        enrichment=enrichment,
        type_name=type_name(enrichment.type_key),
        icon=connector.icon if connector else "plug_disconnected",
        category=connector.category if connector else "",
        state=state_of(enrichment),
        status=of_enrichment(run, now),
        run=run,
        result=result,
        select_label=_("Select %(name)s") % {"name": enrichment.name},
        actions_label=_("More actions for %(name)s") % {"name": enrichment.name},
    )
