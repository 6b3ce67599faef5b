"""*Undo* after *Deactivate*, of one enrichment or of several."""

from collections.abc import Sequence

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from connections_portal import bulk, undo
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
    return bulk.undo_command(
        request,
        DEACTIVATE,
        Enrichment.objects.all(),
        lambda item: undo_deactivate(item=item, actor=request.user),
        one=lambda enrichment: (
            _("%(name)s is active again. A run that was canceled stays canceled.") % {"name": enrichment.name}
        ),
        several=lambda n: (
            ngettext("%(n)d enrichment is active again.", "%(n)d enrichments are active again.", n) % {"n": n}
        ),
        list_url=reverse("enrichments:mine"),
        page=lambda enrichment: reverse("enrichments:detail", args=[enrichment.uuid]),
    )
