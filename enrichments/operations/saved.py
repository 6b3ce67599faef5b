"""What is saved already: a *Save* that was pressed twice asks for nothing new."""

from collections.abc import Mapping

from connections.models import Connection
from connections_portal.models import User
from enrichments.models import Enrichment


def saved_already(
    *,
    enrichment: Enrichment | None,
    type_key: str,
    name: str,
    connection: Connection | None,
    segment: str,
    options: Mapping[str, str],
    actor: User,
) -> Enrichment | None:
    """The enrichment that ``actor`` saved last and that holds exactly these values; None where there is none.

    ``enrichment`` is the one that was edited; without it, one that ``actor`` made and nobody changed since.
    """
    saved = Enrichment.objects.filter(
        updated_by=actor, type_key=type_key, name=name, connection=connection, segment=segment
    )
    saved = saved.filter(pk=enrichment.pk) if enrichment else saved.filter(created_by=actor, version=1)
    found = saved.first()
    return found if found is not None and found.options == dict(options) else None
