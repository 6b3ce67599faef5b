"""What enrichments do with a connection, in business terms: how often, how much, for how many people."""

from datetime import datetime

from django.db.models import Count, OuterRef, Subquery, Sum
from django.urls import reverse

from connections.dependents import Dependent, Use
from connections.models import Connection, State
from connections_portal import refresh
from connections_portal.models import ACTIVE_STATES, RunState
from enrichments.models import Enrichment, EnrichmentRun


def use(connection: Connection, since: datetime) -> Use:
    """The runs are those that went over the connection, whatever has become of their enrichments since.

    Active enrichments follow the system refresh.
    """
    runs = EnrichmentRun.objects.filter(connection_uuid=connection.uuid, finished_at__isnull=False).order_by()
    recent = runs.filter(finished_at__gte=since).aggregate(runs=Count("pk"), rows=Sum("sent"))
    last = runs.order_by("-finished_at", "-pk").values("finished_at", "state").first()
    return Use(
        runs=recent["runs"],
        rows=recent["rows"] or 0,
        last_run=last["finished_at"] if last else None,
        last_status=str(RunState(last["state"]).label) if last else "",
        next_run=refresh.next_at() if _follows(connection) else None,
        people=_people(connection),
    )


def _follows(connection: Connection) -> bool:
    active = Enrichment.objects.filter(connection=connection, active=True)
    return connection.state != State.PAUSED and active.exists()


def _people(connection: Connection) -> int | None:
    """How many people the data sets held at the last run of each; None where one was never counted."""
    counted = EnrichmentRun.objects.filter(enrichment=OuterRef("pk"), selected__isnull=False)
    enrichments = Enrichment.objects.filter(connection=connection, active=True).order_by()
    last = enrichments.annotate(people=Subquery(counted.order_by("-queued_at", "-pk").values("selected")[:1]))
    known: dict[str, int | None] = {}
    for segment, people in last.values_list("segment", "people"):
        known[segment] = people if people is not None else known.get(segment)
    numbers = [number for number in known.values() if number is not None]
    return sum(numbers) if len(numbers) == len(known) else None


def under_way(connection: Connection) -> list[Dependent]:
    """The runs on the connection that have not ended, by the names of their enrichments."""
    runs = EnrichmentRun.objects.filter(enrichment__connection=connection, state__in=ACTIVE_STATES)
    return [
        Dependent(
            name=run.enrichment.name,
            url=reverse("enrichments:run", args=[run.enrichment.uuid, run.uuid]),
            finishing=run.state == RunState.PUBLISHING,
        )
        for run in runs.select_related("enrichment").order_by("enrichment__name_key", "pk")
    ]
