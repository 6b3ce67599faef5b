"""What is saved already: a *Save* that was pressed twice asks for nothing new."""

from collections.abc import Mapping, Sequence

from connections import connectors
from connections.models import Connection
from connections_portal.models import User
from exports.item import Item
from exports.models import Export
from exports.operations.edit import Timing, items_of, schedule_values


def saved_already(
    *,
    export: Export | None,
    name: str,
    connection: Connection | None,
    options: Mapping[str, str],
    items: Sequence[Item],
    schedule: Timing,
    actor: User,
) -> Export | None:
    """The export that ``actor`` saved last and that holds exactly these values; None where there is none.

    ``export`` is the one that was edited; without it, one that ``actor`` made and nobody changed since. The values are
    those of ``create_export``.
    """
    saved = Export.objects.select_related("connection", "schedule").filter(updated_by=actor, name=name)
    saved = saved.filter(pk=export.pk) if export else saved.filter(created_by=actor, version=1)
    found = saved.first()
    if found is None or found.connection != connection or not has_schedule(found, schedule):
        return None
    same = found.options == _answers(found.type_key, options) and items_of(found) == list(items)
    return found if same else None


def has_schedule(export: Export, timing: Timing) -> bool:
    """Whether this is the export's schedule."""
    stored = export.schedule
    return all(getattr(stored, part) == value for part, value in schedule_values(timing).items())


def _answers(type_key: str, options: Mapping[str, str]) -> dict[str, str]:
    """The answers to the type's export options, what is missing by its default."""
    connector = connectors.get(type_key)
    asked = connector.export_options if connector is not None else ()
    return {field.key: options.get(field.key, field.default) for field in asked}
