"""Data > Enrichment > Discover: the types of enrichment, how many there are of each, and whether another fits."""

from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections.connectors.base import Connector
from connections.models import Connection, State
from connections.permissions import can_edit as can_edit_connections
from connections_portal import roles
from connections_portal.models import User
from connections_portal.web import PortalRequest, role_required
from enrichments import types
from enrichments.models import Enrichment
from enrichments.permissions import VIEWING_ROLES, may_edit


@require_safe
@role_required(*VIEWING_ROLES)
def discover(request: PortalRequest) -> HttpResponse:
    """A tile per type."""
    context = {
        "tiles": tiles(request.user),
        "types": menu() if may_edit(request.user) else [],
        "tab": "discover",
        "mine_count": Enrichment.objects.count(),
    }
    return render(request, "enrichments/discover.html", context)


def menu() -> list[dict[str, Any]]:
    """The types under *Add enrichment*."""
    return [types.facts(connector) for connector in types.all_types()]


def tiles(user: User) -> list[dict[str, Any]]:
    """What a tile shows of each type, with the reason why this person cannot add an enrichment of it now."""
    used = dict(Enrichment.objects.order_by().values_list("type_key").annotate(Count("pk")))
    ready = set(_ready_types(user))
    return [
        _tile(
            connector,
            used.get(connector.key, 0),
            _why_not(connector, used.get(connector.key, 0), ready, user),
        )
        for connector in types.all_types()
    ]


def _tile(connector: type[Connector], used: int, why_not: str) -> dict[str, Any]:
    most = connector.limits.max_enrichments
    mine = reverse("enrichments:mine")
    return types.facts(connector) | {
        "used": used,
        "available": None if most is None else max(0, most - used),
        "list_url": f"{mine}?{urlencode({'type': connector.key})}",
        "add_url": reverse("enrichments:set_up", args=[connector.key]),
        "why_not": why_not,
    }


def _ready_types(user: User) -> list[str]:
    usable = Connection.objects.filter(state=State.READY).usable_by(user, "enrichment")
    return list(usable.order_by().values_list("type_key", flat=True).distinct())


def _why_not(connector: type[Connector], used: int, ready: set[str], user: User) -> str:
    if not may_edit(user):
        return _("You can look at enrichments. A contributor or an administrator adds one.")
    most = connector.limits.max_enrichments
    if most is not None and used >= most:
        return types.limit_reached(most)
    if connector.key not in ready and not can_edit_connections(user):
        names = ", ".join(str(person) for person in roles.administrators()[:10])
        return _("There is no %(type)s connection ready. Ask an administrator: %(names)s.") % {
            "type": connector.connection_name,
            "names": names or "–",
        }
    return ""
