"""How views reach enrichments and their runs: role first (403), then the object (404)."""

from uuid import UUID

from django.http import Http404

from connections.models import Connection, State
from connections_portal.models import User
from enrichments.models import Enrichment, EnrichmentRun


def load(uuid: UUID) -> Enrichment:
    """The enrichment with its connection and people. Raises Http404."""
    enrichments = Enrichment.objects.select_related("connection", "responsible", "created_by", "updated_by")
    enrichment = enrichments.filter(uuid=uuid).first()
    if enrichment is None:
        raise Http404
    return enrichment


def load_run(enrichment: Enrichment, run_uuid: UUID) -> EnrichmentRun:
    """A run of this enrichment. Raises Http404."""
    run = enrichment.runs.filter(uuid=run_uuid).first()
    if run is None:
        raise Http404
    return run


def last_run(enrichment: Enrichment) -> EnrichmentRun | None:
    """The run that was started last."""
    return enrichment.runs.order_by("-queued_at", "-pk").first()


def connections_for(user: User, type_key: str) -> list[Connection]:
    """The ready connections of this type that the person may use, by name."""
    ready = Connection.objects.filter(state=State.READY, type_key=type_key)
    return list(ready.usable_by(user, "enrichment").order_by("name_key", "pk"))
