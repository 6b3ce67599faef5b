"""The page of one enrichment: its results, settings and history."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections import connectors
from connections.models import State
from connections_portal import audit, customer_data, refresh, web
from connections_portal.customer_data import CustomerDataError, Kind
from connections_portal.web import PortalRequest, role_required
from enrichments import chart, data_sets, story, types
from enrichments.listing import PUBLISHED
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.permissions import VIEWING_ROLES, may_edit
from enrichments.status import of_enrichment, state_of
from enrichments.views.loading import last_run, load
from enrichments.views.runs import HISTORY, history_of

PREVIEW_ROWS = 5


@require_safe
@role_required(*VIEWING_ROLES)
def detail(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Results, settings and history; ``days`` is the chart's period, ``preview=1`` adds rows and is recorded (S12)."""
    enrichment = load(uuid)
    now = timezone.now()
    run = last_run(enrichment)
    result = _result(enrichment)
    page = web.paginate(request, enrichment.runs.all(), HISTORY)
    context: dict[str, Any] = {
        "enrichment": enrichment,
        "type_name": types.type_name(enrichment.type_key),
        "provider": _provider(enrichment),
        "may_edit": may_edit(request.user),
        "run": run,
        "status": of_enrichment(run, now),
        "state": state_of(enrichment),
        **_by_itself(enrichment),
        "result": result,
        "page_obj": page,
        "history": history_of(enrichment, page.object_list),
        "data_set": data_sets.label_of(enrichment.segment),
        "answers": types.answers(enrichment.type_key, enrichment.options) if may_edit(request.user) else [],
        "table_url": reverse("tables:detail", args=[Kind.TABLE, enrichment.table_name]),
    }
    if result is not None:
        context |= _results(request, enrichment, result)
    target = request.headers.get("HX-Target", "") if web.is_fragment(request) else ""
    fragment = "enrichments/_chart.html" if target == "enrichment-chart" else "_run_history.html"
    return web.page_or_fragment(request, "enrichments/detail.html", fragment, context)


def _by_itself(enrichment: Enrichment) -> dict[str, Any]:
    """When an active one runs next (``next_at``), or that the system refresh is off (``refresh_off``)."""
    if not enrichment.active:
        return {}
    refresh_at = refresh.next_at()
    paused = enrichment.connection is not None and enrichment.connection.state == State.PAUSED
    return {"next_at": None if paused else refresh_at, "refresh_off": refresh_at is None}


def _result(enrichment: Enrichment) -> EnrichmentRun | None:
    """The run whose result the output table shows."""
    results = enrichment.runs.filter(state__in=PUBLISHED)
    return results.order_by("-finished_at", "-pk").first()


def _provider(enrichment: Enrichment) -> str:
    connector = connectors.get(enrichment.type_key)
    return _(connector.provider) if connector else ""


def _results(request: PortalRequest, enrichment: Enrichment, result: EnrichmentRun) -> dict[str, Any]:
    """The cards of the results page."""
    days = chart.period(request.GET.get("days", ""))
    fields = story.coverage(result)
    return {
        "share": story.share(result),
        "sums": story.sums(result),
        "coverage": fields[: story.FIELDS_SHOWN],
        "more_coverage": fields[story.FIELDS_SHOWN :],
        "chart": chart.draw(enrichment, days, timezone.now()),
        "periods": chart.period_choices(),
        **_preview(request, enrichment),
    }


def _preview(request: PortalRequest, enrichment: Enrichment) -> dict[str, Any]:
    """Sample rows for those who may see them and ask for them; that they looked is recorded before they do."""
    if not may_edit(request.user):
        return {"preview_offered": False}
    if request.GET.get("preview") != "1" or request.method == "HEAD":
        return {"preview_offered": True}
    name = enrichment.table_name
    try:
        with customer_data.open_for_page() as engine:
            audit.record(
                "table.sample_viewed", actor=request.user, label=name, kind=Kind.TABLE.value, name=name
            )
            sample = customer_data.sample(engine, Kind.TABLE, name, PREVIEW_ROWS)
    except CustomerDataError as error:
        return {"preview_offered": True, "preview_error": error.message}
    return {"preview_offered": True, "preview": sample}
