"""Data > Exports: the list."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections.connectors import keys_for
from connections.models import Connection, State
from connections.types import type_name
from connections.waiting import Banner
from connections_portal import roles, web
from connections_portal.models import User
from connections_portal.web import PortalRequest, role_required
from exports import listing
from exports.permissions import VIEWING_ROLES, may_create
from exports.status import FILTERS
from exports.waiting import banner_for


@require_safe
@role_required(*VIEWING_ROLES)
def list_exports(request: PortalRequest) -> HttpResponse:
    """Every export, searched, filtered, ordered and paged by the address."""
    want = listing.wanted(request.GET, request.user)
    found = listing.found(want, request.user)
    # a search looks at every export: asked for all ids it need not be repeated to count them
    page = web.paginate(request, list(found) if want.text or want.status or want.permissions else found)
    rows = listing.rows(listing.page(page.object_list, request.user), timezone.now())
    context: dict[str, Any] = {
        "page_obj": page,
        "rows": rows,
        "want": want,
        "sort": want.sort,
        "may_create": may_create(request.user),
        "waiting": None if want.connection else _waiting(request.user, want),
    }
    if not web.is_fragment(request):
        # a row that may be duplicated has a ready connection: then there is one, and nobody has to be asked
        nothing = "" if any(row.may_duplicate for row in rows) else nothing_shared(request.user)
        context |= _around(want, request.user) | whom_to_ask(nothing)
    return web.page_or_fragment(request, "exports/list.html", "exports/_table.html", context)


def _around(want: listing.Wanted, user: User) -> dict[str, Any]:
    """What stands around the table: the filters."""
    return {
        "types": sorted(((key, type_name(key)) for key in keys_for("export")), key=lambda entry: entry[1]),
        "statuses": FILTERS,
        "permissions": listing.PERMISSIONS if roles.is_contributor(user) else (),
        "connection": Connection.objects.filter(uuid=want.connection).first() if want.connection else None,
    }


def whom_to_ask(nothing: str) -> dict[str, Any]:
    """The note of somebody without a connection, which says why; ``nothing`` is empty for everybody else."""
    return {
        "nothing_shared": nothing,
        "administrators": administrators() if nothing else [],
        "ask_url": reverse("requests:ask") if nothing else "",
    }


def _waiting(user: User, want: listing.Wanted) -> Banner | None:
    show_url = "" if want.status == "inactive" else f"{reverse('exports:list')}?status=inactive"
    return banner_for(user, show_url=show_url)


def nothing_shared(user: User) -> str:
    """Why a contributor has no connection to build an export on; empty for one who has, and for everybody else."""
    if not roles.is_contributor(user):
        return ""
    usable = Connection.objects.usable_by(user).order_by()
    if usable.filter(state=State.READY).exists():
        return ""
    if usable.exists():
        return _("No connection that is shared with you can be used at present. Ask an administrator:")
    return _("No connection has been shared with you. Ask an administrator:")


def administrators() -> list[str]:
    """The names of the administrators, for people who have to ask one."""
    people = roles.administrators().order_by("first_name", "last_name", "username")
    return [str(person) for person in people[:10]]
