"""Data > Tables: what can be sent, with counts, columns and, for those who may build exports, a sample."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from connections_portal import audit, customer_data, roles
from connections_portal.customer_data import CUSTOMER, CustomerDataError, Kind, Listed, Origin, TimedOut
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, role_required

SIGNED_IN = (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER)
SAMPLED_BY = (Role.ADMINISTRATOR, Role.CONTRIBUTOR)


@role_required(*SIGNED_IN)
@require_safe
def list_tables(request: PortalRequest) -> HttpResponse:
    """Tables, what enrichments brought in, and segments, with their counts; one that cannot be read says so."""
    try:
        with customer_data.open_for_page() as engine:
            listed = customer_data.list_items(engine)
    except CustomerDataError as error:
        return render(request, "tables/list.html", {"groups": [], "error": error.message})
    groups = [
        {"title": title, "count_label": count_label, "items": items, "has_columns": kind is Kind.TABLE}
        for title, count_label, kind, origin in (
            (_("Tables"), _("Rows"), Kind.TABLE, Origin.SOURCE),
            (_("Enrichment"), _("Rows"), Kind.TABLE, Origin.ENRICHMENT),
            (_("Segments"), _("Members"), Kind.SEGMENT, Origin.SOURCE),
        )
        if (items := [_row(e) for e in listed if (e.item.kind, e.item.origin) == (kind, origin)])
    ]
    return render(request, "tables/list.html", {"groups": groups})


def _row(entry: Listed) -> dict[str, Any]:
    item = entry.item
    return {
        "label": item.label,
        "name": item.name,
        "url": reverse("tables:detail", args=[item.kind, item.name]),
        "count": entry.count,
        "columns": len(entry.columns),
        "error": entry.error,
    }


@role_required(*SIGNED_IN)
@require_safe
def table(request: PortalRequest, kind: str, name: str) -> HttpResponse:
    """One table or segment. ``?sample=1`` adds rows for administrators and contributors, and is recorded (S12)."""
    if kind not in set(Kind):
        raise Http404
    may_see_rows = roles.role_of(request.user) in SAMPLED_BY
    wants_rows = may_see_rows and request.GET.get("sample") == "1"
    try:
        with customer_data.open_for_page() as engine:
            item = next((i for i in engine.items() if (i.kind, i.name) == (kind, name)), None)
            if item is None:
                raise Http404
            context: dict[str, Any] = {"item": item, "asks_for_sample": may_see_rows}
            try:
                # a segment is a list of customers: what can be sent of it are their columns
                source = (Kind.TABLE, CUSTOMER) if item.kind is Kind.SEGMENT else (item.kind, item.name)
                context["columns"] = engine.columns(*source)
                try:
                    context["count"] = customer_data.count(engine, item.kind, item.name)
                except TimedOut:
                    context["count"] = None
                context["summary"] = _summary(item.kind, context["count"], len(context["columns"]))
                if wants_rows:
                    audit.record(
                        "table.sample_viewed", actor=request.user, label=item.label, kind=kind, name=name
                    )
                    context["sample"] = customer_data.sample(engine, item.kind, item.name)
            except CustomerDataError as error:
                context["error"] = error.message
    except CustomerDataError as error:
        return render(request, "tables/list.html", {"groups": [], "error": error.message})
    return render(request, "tables/detail.html", context)


def _summary(kind: Kind, number: int | None, columns: int) -> str:
    if number is None:
        rows = _("Not counted: it takes too long")
    elif kind is Kind.SEGMENT:
        rows = ngettext("%(n)s member", "%(n)s members", number) % {"n": f"{number:,}"}
    else:
        rows = ngettext("%(n)s row", "%(n)s rows", number) % {"n": f"{number:,}"}
    fields = ngettext("%(n)d column", "%(n)d columns", columns) % {"n": columns}
    return f"{rows}, {fields}"
