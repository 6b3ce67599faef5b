"""*Undo* after *Detach connection*, of one export or of several."""

from collections.abc import Iterable

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from connections_portal import bulk, undo, web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import User
from connections_portal.undo import Item, Offer
from connections_portal.web import PortalRequest, role_required
from exports.models import Export
from exports.operations.connection import undo_detach
from exports.permissions import EDITING_ROLES

DETACH = "exports.detach"


def offer(actor: User, items: Iterable[Item | None]) -> Offer | None:
    """The button that puts the connections of these exports back; None when none can be."""
    known = [item for item in items if item]
    if not known:
        return None
    return undo.offer(DETACH, actor=actor, url=reverse("exports:undo_detach"), items=known)


@require_POST
@role_required(*EDITING_ROLES)
def detach(request: PortalRequest) -> HttpResponse:
    """Put back what the token says, each export by itself; nothing when it is too late."""
    list_url = reverse("exports:list")
    try:
        items = undo.sent(request, DETACH)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name="", back=list_url)
    exports = {e.uuid: e for e in Export.objects.filter(uuid__in=[item.uuid for item in items])}
    if len(items) == 1:
        return _one(request, items[0], exports.get(items[0].uuid))
    return bulk.undo_each(
        request,
        items,
        {uuid: export.name for uuid, export in exports.items()},
        lambda item: undo_detach(item=item, actor=request.user),
        success=lambda n: (
            ngettext(
                "%(n)d export has its connection again.", "%(n)d exports have their connections again.", n
            )
            % {"n": n}
        ),
        list_url=list_url,
    )


def _one(request: PortalRequest, item: Item, export: Export | None) -> HttpResponse:
    list_url = reverse("exports:list")
    url = reverse("exports:detail", args=[export.uuid]) if export else list_url
    try:
        restored = undo_detach(item=item, actor=request.user)
    except NotAllowed as refusal:
        web.refuse(request, export, refusal.message)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name=str(export or ""), back=url)
    messages.success(
        request,
        _("%(name)s uses %(connection)s again. A run that was canceled stays canceled.")
        % {"name": restored.name, "connection": restored.connection},
    )
    return web.back_to_list(request, list_url, elsewhere=url)
