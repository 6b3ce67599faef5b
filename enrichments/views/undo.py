"""*Undo* after *Deactivate*, of one enrichment or of several."""

from collections.abc import Sequence

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
from enrichments.models import Enrichment
from enrichments.operations.state import undo_deactivate
from enrichments.permissions import EDITING_ROLES

DEACTIVATE = "enrichments.deactivate"


def offer(actor: User, items: Sequence[Item]) -> Offer | None:
    """The button that activates these again; None for none."""
    if not items:
        return None
    return undo.offer(DEACTIVATE, actor=actor, url=reverse("enrichments:undo_deactivate"), items=items)


@require_POST
@role_required(*EDITING_ROLES)
def deactivate(request: PortalRequest) -> HttpResponse:
    """Activate again what the token says, each by itself; nothing when it is too late."""
    list_url = reverse("enrichments:mine")
    try:
        items = undo.sent(request, DEACTIVATE)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name="", back=list_url)
    found = {e.uuid: e for e in Enrichment.objects.filter(uuid__in=[item.uuid for item in items])}
    if len(items) == 1:
        return _one(request, items[0], found.get(items[0].uuid))
    return bulk.undo_each(
        request,
        items,
        {uuid: enrichment.name for uuid, enrichment in found.items()},
        lambda item: undo_deactivate(item=item, actor=request.user),
        success=lambda n: (
            ngettext("%(n)d enrichment is active again.", "%(n)d enrichments are active again.", n) % {"n": n}
        ),
        list_url=list_url,
    )


def _one(request: PortalRequest, item: Item, enrichment: Enrichment | None) -> HttpResponse:
    list_url = reverse("enrichments:mine")
    url = reverse("enrichments:detail", args=[enrichment.uuid]) if enrichment else list_url
    try:
        active = undo_deactivate(item=item, actor=request.user)
    except NotAllowed as refusal:
        web.refuse(request, enrichment, refusal.message)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name=str(enrichment or ""), back=url)
    messages.success(
        request,
        _("%(name)s is active again. A run that was canceled stays canceled.") % {"name": active.name},
    )
    return web.back_to_list(request, list_url, elsewhere=url)
