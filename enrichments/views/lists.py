"""Data > Enrichment > My enrichments: the list."""

from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from connections.models import Connection
from connections.permissions import can_edit as can_edit_connections
from connections.waiting import Banner
from connections_portal import web
from connections_portal.models import User
from connections_portal.web import PortalRequest, role_required
from enrichments import listing, types
from enrichments.models import Enrichment
from enrichments.permissions import VIEWING_ROLES, may_edit
from enrichments.status import STATES, STATUSES
from enrichments.views.discover import menu
from enrichments.waiting import banner_for


@require_safe
@role_required(*VIEWING_ROLES)
def mine(request: PortalRequest) -> HttpResponse:
    """Every enrichment, searched, filtered, ordered and paged by the address."""
    want = listing.wanted(request.GET)
    page = web.paginate(request, listing.found(want))
    context: dict[str, Any] = {
        "page_obj": page,
        "rows": listing.rows(page.object_list, timezone.now()),
        "want": want,
        "sort": want.sort,
        "may_edit": may_edit(request.user),
        "waiting": _waiting(request.user, want),
    }
    if not web.is_fragment(request):
        context |= _around(request.user, want)
        # removing a connection leads here and back; nobody but administrators removes any
        context["removing"] = request.GET.get("removing", "") if can_edit_connections(request.user) else ""
    return web.page_or_fragment(request, "enrichments/list.html", "enrichments/_table.html", context)


def _around(user: User, want: listing.Wanted) -> dict[str, Any]:
    """What stands around the table: tabs, filters, the menu of types."""
    used = Connection.objects.filter(Q(enrichments__isnull=False) | Q(uuid=want.connection))
    found = {connection.uuid: connection for connection in used.order_by("name_key", "pk").distinct()}
    return {
        "types": menu() if may_edit(user) else [],
        "type_choices": [(c.key, types.type_name(c.key)) for c in types.all_types()],
        "states": STATES,
        "statuses": STATUSES,
        "connections": [(str(uuid), connection.name) for uuid, connection in found.items()],
        "chosen_connection": str(want.connection or ""),
        "connection": found.get(want.connection) if want.connection else None,
        "tab": "mine",
        "mine_count": Enrichment.objects.count(),
    }


def _waiting(user: User, want: listing.Wanted) -> Banner | None:
    show_url = "" if want.state == "waiting" else f"{reverse('enrichments:mine')}?state=waiting"
    return banner_for(user, show_url=show_url)
