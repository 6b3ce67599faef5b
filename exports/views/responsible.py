"""*Take over* an export whose responsible person has lost the right, or has left."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from connections_portal import refresh, web
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.web import PortalRequest, role_required
from exports.models import Export
from exports.operations.responsible import take_over_export
from exports.permissions import EDITING_ROLES
from exports.schedules import next_run
from exports.views.loading import load_to_change


@require_POST
@role_required(*EDITING_ROLES)
def take_over(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Become responsible; back to the export's page either way."""
    export, _rights = load_to_change(request, uuid)
    try:
        taken = take_over_export(
            export=export,
            version=web.version_in(request.POST.get("version", "")),
            actor=request.user,
        )
    except NotAllowed:
        web.refuse(request, export)
    except OperationError as refusal:
        # theirs since the button was pressed the first time is nothing to complain of
        theirs = Export.objects.filter(pk=export.pk, responsible=request.user).exists()
        (messages.info if theirs else messages.error)(request, refusal.message)
    else:
        done = _("You are responsible for %(name)s now.") % {"name": taken.name}
        goes_on = _("Its schedule goes on.") if next_run(taken, refresh.next_at()) else ""
        messages.success(request, f"{done} {goes_on}".strip())
    return web.go_to(request, reverse("exports:detail", args=[export.uuid]))
