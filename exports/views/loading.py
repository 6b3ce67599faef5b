"""How views reach exports and runs: role first (403), then the object (404), then the right (403)."""

from uuid import UUID

from django.http import Http404
from django.utils.translation import gettext as _

from connections_portal import web
from connections_portal.web import PortalRequest
from exports.models import Export, ExportRun
from exports.permissions import Rights, rights, with_edit_right


def load(request: PortalRequest, uuid: UUID) -> tuple[Export, Rights]:
    """The export with its connection and schedule, and what this person may do with it. Raises Http404."""
    exports = Export.objects.select_related(
        "connection", "schedule", "responsible", "created_by", "updated_by"
    )
    export = with_edit_right(exports, request.user).filter(uuid=uuid).first()
    if export is None:
        raise Http404
    return export, rights(export, can_edit=export.can_edit)  # type: ignore[attr-defined]


def load_to_change(request: PortalRequest, uuid: UUID) -> tuple[Export, Rights]:
    """As ``load``, for those who may change it; anybody else is refused."""
    export, allowed = load(request, uuid)
    if not allowed.edit:
        web.refuse(request, export, why_not(export))
    return export, allowed


def why_not(export: Export) -> str:
    """Why somebody with the role may not change this export now: the right may have gone since the page was made."""
    if export.connection_id is None:
        return _("Nothing was changed: no connection of the export's type is shared with you now.")
    return _("Nothing was changed: the connection of this export is not shared with you, or not any more.")


def load_run(export: Export, run_uuid: UUID) -> ExportRun:
    """A run of this export. Raises Http404."""
    run = export.runs.filter(uuid=run_uuid).first()
    if run is None:
        raise Http404
    return run


def last_run(export: Export) -> ExportRun | None:
    """The run that was started last."""
    return export.runs.order_by("-queued_at", "-pk").first()
