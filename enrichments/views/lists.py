"""Data > Enrichment > My enrichments: the list."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from connections.models import Connection
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
    return web.page_or_fragment(request, "enrichments/list.html", "enrichments/_table.html", context)


def _around(user: User, want: listing.Wanted) -> dict[str, Any]:
    """What stands around the table: tabs, filters, the menu of types."""
    used = Connection.objects.filter(enrichments__isnull=False).order_by("name_key", "pk").distinct()
    connections = [(str(uuid), name) for uuid, name in used.values_list("uuid", "name")]
    return {
        "types": menu() if may_edit(user) else [],
        "type_choices": [(c.key, types.type_name(c.key)) for c in types.all_types()],
        "states": STATES,
        "statuses": STATUSES,
        "connections": connections,
        "chosen_connection": str(want.connection or ""),
        "tab": "mine",
        "mine_count": Enrichment.objects.count(),
    }


def _waiting(user: User, want: listing.Wanted) -> Banner | None:
    show_url = "" if want.state == "waiting" else f"{reverse('enrichments:mine')}?state=waiting"
    return banner_for(user, show_url=show_url)
