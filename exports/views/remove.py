"""*Remove* an export."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from connections_portal import web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.web import PortalRequest, role_required
from exports.operations.remove import remove_export
from exports.permissions import EDITING_ROLES
from exports.views.loading import load_to_change


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def remove(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then delete the export; files at the destination stay."""
    export, _rights = load_to_change(request, uuid)
    error, status = "", 200
    if request.method == "POST":
        try:
            remove_export(export=export, actor=request.user)
        except NotAllowed:
            web.refuse(request, export)
        except OperationError as refusal:
            error, status = refusal.message, refusal.status
        else:
            messages.success(request, _("%(name)s was removed.") % {"name": export.name})
            return web.back_to_list(request, reverse("exports:list"))
    context = {
        "title": _("Remove export"),
        "subject": export.name,
        "sentences": [
            _(
                "The export is removed with its settings, its schedule and its history. A run under way is canceled."
            ),
            _("Files that were delivered stay where they are. This cannot be undone."),
        ],
        "action": reverse("exports:remove", args=[export.uuid]),
        "button": _("Remove"),
        "cancel_url": reverse("exports:detail", args=[export.uuid]),
        "error": error,
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)
