"""Exports as something that people answer for: they run by the right of their responsible person (rule S11)."""

from collections.abc import Collection

from django.db.models import F, OuterRef
from django.urls import reverse

from connections import access
from connections_portal.answering import Item, Kind
from exports import usage
from exports.models import Export, ScheduleKind


def _running(people: Collection[int]) -> list[Item]:
    """Exports of these people whose connection they may use."""
    theirs = Export.objects.filter(responsible__in=people, connection__isnull=False)
    allowed = theirs.annotate(
        why=access.why(
            person=OuterRef("responsible_id"),
            connection=OuterRef("connection_id"),
            open_to_all=access.NEVER,
        )
    ).filter(why__in=access.ALLOWED)
    rows = allowed.annotate(kind=F("schedule__kind")).values_list("name", "uuid", "kind")
    return [
        Item(
            name=name,
            uuid=uuid,
            url=reverse("exports:detail", args=[uuid]),
            by_itself=kind not in (None, ScheduleKind.MANUAL),
        )
        for name, uuid, kind in rows
    ]


KIND = Kind(key="exports", phrase=usage.KIND.phrase, running=_running)
