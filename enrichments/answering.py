"""Enrichments as something that people answer for: the system refresh runs them by somebody's right."""

from collections.abc import Collection

from django.db.models import Q
from django.urls import reverse

from connections_portal.answering import Item, Kind
from connections_portal.models import RefreshKind, RefreshSchedule
from enrichments import usage
from enrichments.models import Enrichment
from enrichments.permissions import EDITING_ROLES


def _running(people: Collection[int]) -> list[Item]:
    """Active enrichments of these people who may run enrichments."""
    may = Q(responsible__is_superuser=True) | Q(responsible__groups__name__in=EDITING_ROLES)
    theirs = Enrichment.objects.filter(active=True, responsible__in=people, responsible__is_active=True)
    refreshed = RefreshSchedule.objects.exclude(kind=RefreshKind.OFF).exists()
    return [
        Item(name=name, uuid=uuid, url=reverse("enrichments:detail", args=[uuid]), by_itself=refreshed)
        for name, uuid in theirs.filter(may).distinct().values_list("name", "uuid")
    ]


KIND = Kind(key="enrichments", phrase=usage.KIND.phrase, running=_running)
