"""*Undo* after *Detach connection*, of one export or of several."""

from collections.abc import Iterable

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from connections_portal import bulk, undo
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
    return bulk.undo_command(
        request,
        DETACH,
        Export.objects.all(),
        lambda item: undo_detach(item=item, actor=request.user),
        one=lambda export: (
            _("%(name)s uses %(connection)s again. A run that was canceled stays canceled.")
            % {"name": export.name, "connection": export.connection}
        ),
        several=lambda n: (
            ngettext(
                "%(n)d export has its connection again.", "%(n)d exports have their connections again.", n
            )
            % {"n": n}
        ),
        list_url=reverse("exports:list"),
        page=lambda export: reverse("exports:detail", args=[export.uuid]),
    )
