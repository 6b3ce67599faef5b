"""Settings > Connections > Removed: what can still be restored."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Expression, F
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from connections import listing
from connections.models import Connection, RemovedConnection
from connections.operations.remove import KEPT_FOR
from connections.operations.restore import restorable, restore_connection
from connections.views.lists import target_of, type_of
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, paginate, role_required

DEFAULT_SORT = "-removed"
COLUMNS: dict[str, Callable[[], F | Expression]] = {
    "name": lambda: Lower("name"),
    "type": listing.shown_type,
    "removed": lambda: F("removed_at"),
    "until": lambda: F("keep_until"),
}


@require_safe
@role_required(Role.ADMINISTRATOR)
def removed(request: PortalRequest) -> HttpResponse:
    """The removed connections, the latest first unless another order is asked for."""
    sort = request.GET.get("sort", DEFAULT_SORT)
    sort = sort if sort.removeprefix("-") in COLUMNS else DEFAULT_SORT
    column = COLUMNS[sort.removeprefix("-")]()
    ordered = restorable().order_by(
        column.desc() if sort.startswith("-") else column.asc(), "-removed_at", "-pk"
    )
    page = paginate(request, ordered)
    context = {
        "page_obj": page,
        "sort": sort,
        "days": KEPT_FOR.days,
        "rows": [{"removed": row, **_facts(row)} for row in page],
    }
    return page_or_fragment(request, "connections/removed.html", "connections/_removed_table.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def restore(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, under which name too, then restore and go to the connection. One that is back already is shown."""
    back = Connection.objects.editable_by(request.user).filter(uuid=uuid).first()
    if back is not None:
        if request.method == "POST":  # looking leaves no message behind
            messages.info(request, _("%(name)s was restored meanwhile.") % {"name": back.name})
        return go_to(request, reverse("connections:detail", args=[uuid]))
    kept = get_object_or_404(restorable(), uuid=uuid)
    error: OperationError | None = None
    name = kept.name
    if request.method == "POST":
        name = request.POST.get("name", "")[:300]
        try:
            connection = restore_connection(removed=kept, name=name, actor=request.user)
        except OperationError as refused:
            error = refused
        else:
            messages.success(
                request,
                _("%(name)s is restored and paused. Resume it to use it again.") % {"name": connection.name},
            )
            return go_to(request, reverse("connections:detail", args=[connection.uuid]))
    context: dict[str, Any] = _facts(kept) | {
        "removed": kept,
        "name": name,
        "error": error.message if error else "",
        "wrong": error.fields.get("name", "") if error else "",
        "action": reverse("connections:restore", args=[uuid]),
        "cancel_url": reverse("connections:removed"),
    }
    status = error.status if error else 200
    return page_or_fragment(
        request, "connections/restore.html", "connections/_restore.html", context, status=status
    )


def _facts(kept: RemovedConnection) -> dict[str, Any]:
    was = Connection(type_key=kept.type_key, settings=kept.settings)
    return {"type": type_of(was), "target": target_of(was)}
