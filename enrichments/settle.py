"""Enrichments on a connection that is to be removed: what the dialog shows of each, and what it offers."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.dependents import Blocker, Blockers, Choice, Dependent
from connections.models import Connection, State
from connections_portal import refresh
from connections_portal.models import RunState, User
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.settle import BLOCKS, DEACTIVATE, DELETE, MOVE
from enrichments.permissions import may_view


def blocking(connection: Connection, user: User, most: int) -> Blockers:
    """Every active enrichment on the connection blocks; the first ones by name, as far as the person may open them."""
    active = Enrichment.objects.filter(BLOCKS, connection=connection)
    total = active.count()
    if not may_view(user):
        return Blockers(total=total, hidden=total, items=[])
    refresh_at = refresh.next_at()
    items = [
        Blocker(
            uuid=enrichment.uuid,
            name=enrichment.name,
            url=reverse("enrichments:detail", args=[enrichment.uuid]),
            content=_("Enrichment, table %(table)s") % {"table": enrichment.table_name},
            responsible=str(enrichment.responsible) if enrichment.responsible else "",
            next_run=None if connection.state == State.PAUSED else refresh_at,
            schedule=refresh.following(refresh_on=refresh_at is not None),
            people=enrichment.people,
            last_run=enrichment.last_ended,
            last_status=str(RunState(enrichment.last_state).label) if enrichment.last_state else "",
        )
        for enrichment in _with_last_runs(active).order_by("name_key", "pk")[:most]
    ]
    return Blockers(total=total, hidden=0, items=items)


def loose(connection: Connection, user: User) -> list[Dependent]:
    """The inactive enrichments on the connection: they keep their settings and merely lose it."""
    if not may_view(user):
        return []
    inactive = Enrichment.objects.filter(~BLOCKS, connection=connection).order_by("name_key", "pk")
    return [dependent(enrichment) for enrichment in inactive]


def dependent(enrichment: Enrichment) -> Dependent:
    """The enrichment by its name and page."""
    url = reverse("enrichments:detail", args=[enrichment.uuid])
    return Dependent(name=enrichment.name, url=url, uuid=enrichment.uuid)


def _with_last_runs(enrichments: QuerySet[Enrichment]) -> QuerySet[Any]:
    """Each with when and how its last run ended, and how many people its data set held when that was counted."""
    runs = EnrichmentRun.objects.filter(enrichment=OuterRef("pk"))
    ended = runs.filter(finished_at__isnull=False).order_by("-finished_at", "-pk")
    counted = runs.filter(selected__isnull=False).order_by("-queued_at", "-pk")
    return enrichments.select_related("responsible").annotate(
        last_ended=Subquery(ended.values("finished_at")[:1]),
        last_state=Subquery(ended.values("state")[:1]),
        people=Subquery(counted.values("selected")[:1]),
    )


def lock(connection: Connection) -> None:
    """Lock every enrichment on the connection until the caller's transaction ends."""
    enrichments = Enrichment.objects.filter(connection=connection).select_for_update(of=("self",))
    list(enrichments.order_by("pk").values_list("pk"))


def marks(connection_ids: Iterable[int]) -> dict[int, list[tuple[UUID, int]]]:
    """By id of the connection, identifier and version of each enrichment on it."""
    rows = Enrichment.objects.filter(connection__in=list(connection_ids)).order_by()
    found: dict[int, list[tuple[UUID, int]]] = {}
    for connection_id, uuid, version in rows.values_list("connection_id", "uuid", "version"):
        if connection_id is not None:
            found.setdefault(connection_id, []).append((uuid, version))
    return found


def choices() -> list[Choice]:
    """*Deactivate*, *Move to*, *Delete*."""
    return [
        Choice(
            key=DEACTIVATE,
            label=_("Deactivate"),
            outcome=lambda n, target: (
                ngettext(
                    "%(n)d enrichment keeps its settings and stops until it gets a connection.",
                    "%(n)d enrichments keep their settings and stop until they get a connection.",
                    n,
                )
                % {"n": n}
            ),
            button=lambda n: _("deactivate %(n)d") % {"n": n},
            gentle=True,
        ),
        Choice(
            key=MOVE,
            label=_("Move to"),
            outcome=lambda n, target: (
                ngettext(
                    "%(n)d enrichment goes on over %(target)s.", "%(n)d enrichments go on over %(target)s.", n
                )
                % {"n": n, "target": target}
            ),
            button=lambda n: _("move %(n)d") % {"n": n},
            moves=True,
        ),
        Choice(
            key=DELETE,
            label=_("Delete"),
            outcome=lambda n, target: (
                ngettext(
                    "%(n)d enrichment is deleted with its history and output table.",
                    "%(n)d enrichments are deleted with their history and output tables.",
                    n,
                )
                % {"n": n}
            ),
            button=lambda n: _("delete %(n)d") % {"n": n},
        ),
    ]
