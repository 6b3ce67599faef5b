"""The page of one export: what it is set to, its last run, its history."""

from typing import Any
from uuid import UUID, uuid4

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections import connectors
from connections.types import type_name
from connections_portal import refresh, web
from connections_portal.web import PortalRequest, role_required
from exports.models import Export, ItemKind
from exports.permissions import VIEWING_ROLES
from exports.responsible import of_export as responsibility_for
from exports.schedules import describe, next_run
from exports.sources import label_of
from exports.status import of_export
from exports.views.loading import last_run, load
from exports.views.runs import HISTORY, history_of


@require_safe
@role_required(*VIEWING_ROLES)
def detail(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Settings, status and history of an export; the same for everybody but the commands."""
    export, allowed = load(request, uuid)
    run = last_run(export)
    page = web.paginate(request, export.runs.all(), HISTORY)
    context: dict[str, Any] = {
        "export": export,
        "rights": allowed,
        "run": run,
        "status": of_export(export, run, timezone.now()),
        "last": history_of(export, [run]).lines[0] if run else None,
        "responsibility": responsibility_for(export, request.user, allowed),
        "press": uuid4(),
        "what_next": "next" in request.GET and allowed.run,
        "page_obj": page,
        "history": history_of(export, page.object_list),
        "next_run": next_run(export, refresh.next_at()),
        **summary(export),
    }
    return web.page_or_fragment(request, "exports/detail.html", "_run_history.html", context)


def summary(export: Export) -> dict[str, Any]:
    """What ``_summary.html`` shows of an export's settings."""
    items = [
        {"label": label_of(item.source), "kind": item.kind, "fields": item.fields}
        for item in export.items.all()
    ]
    return {
        "type_name": type_name(export.type_key),
        "segments": [item for item in items if item["kind"] == ItemKind.SEGMENT],
        "tables": [item for item in items if item["kind"] == ItemKind.TABLE],
        "options": answers(export),
        "schedule": describe(export.schedule, refresh_on=refresh.is_on()),
    }


def answers(export: Export) -> list[tuple[str, str]]:
    """The export options as label and answer, in the connector's words."""
    connector = connectors.get(export.type_key)
    if connector is None:
        return []
    pairs = []
    for option in connector.export_options:
        answer = export.options.get(option.key, option.default)
        label = next((choice.label for choice in option.choices if choice.value == answer), answer)
        pairs.append((_(option.label), _(label) if label else ""))
    return pairs
