"""Settings > Connections > Discover: what can be set up, and what is planned."""

from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections import listing
from connections.access_requests import open_requests
from connections.connectors import CONNECTORS
from connections.connectors.base import Connector
from connections.connectors.planned import PLANNED
from connections.models import Connection
from connections.vault_choice import supports
from connections.views.steps import type_facts
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, role_required


@require_safe
@role_required(Role.ADMINISTRATOR)
def discover(request: PortalRequest) -> HttpResponse:
    """Tiles per built type in two groups, found by name and category; the rest as one quiet list."""
    words = request.GET.get("q", "").strip()[:100]
    of_vault = request.GET.get("key_vault", "") == "1"
    counts = dict(Connection.objects.values_list("type_key").annotate(Count("pk")))
    tiles = [
        _tile(connector, counts.get(connector.key, 0))
        for connector in CONNECTORS
        if _matches(connector, words) and (supports(connector) or not of_vault)
    ]
    planned = [
        (_(category), names)
        for category, all_names in ([] if of_vault else PLANNED)
        if (names := [n for n in all_names if words.casefold() in f"{n} {_(category)}".casefold()])
    ]
    context = {
        "words": words,
        "of_vault": of_vault,
        "groups": [
            {
                "title": _("Export connections"),
                "text": _("Where data goes out"),
                "tiles": [tile for tile in tiles if tile["direction"] in ("export", "both")],
                "empty": _("No service of this kind matches your search."),
            },
            {
                "title": _("Enrichment connections"),
                "text": _("Where attributes come back"),
                "tiles": [tile for tile in tiles if tile["direction"] in ("enrichment", "both")],
                "empty": _("No service of this kind matches your search."),
            },
        ],
        "types": [type_facts(connector) for connector in CONNECTORS],
        "planned": planned,
        "planned_count": sum(len(names) for _category, names in planned),
        "counts": tab_counts(),
        "tab": "discover",
    }
    return render(request, "connections/discover.html", context)


def tab_counts() -> dict[str, int]:
    """How many connections each tab lists, and how many requests wait for an answer."""
    return {"requests": open_requests().count()} | {
        tab: Connection.objects.filter(type_key__in=[c.key for c in listing.types_of(tab)]).count()
        for tab in listing.TABS
    }


def _matches(connector: type[Connector], words: str) -> bool:
    text = f"{connector.name} {connector.connection_name} {_(connector.category)} {_(connector.description)}"
    return words.casefold() in text.casefold()


def _tile(connector: type[Connector], count: int) -> dict[str, Any]:
    tab = "enrichment" if connector.direction == "enrichment" else "exports"
    listed = f"{reverse(f'connections:{tab}')}?{urlencode({'type': connector.key})}"
    return type_facts(connector) | {"direction": connector.direction, "count": count, "list_url": listed}
