"""Settings > Audit: who did what, filtered by the address, and the same as a file."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from connections.models import Connection
from connections_portal import audit, audit_listing, audit_story
from connections_portal.audit_listing import Wanted
from connections_portal.models import AuditEntry, Run, User
from connections_portal.roles import Role
from connections_portal.spreadsheets import neutral
from connections_portal.web import PortalRequest, page_or_fragment, role_required
from enrichments.models import Enrichment, EnrichmentRun
from exports.models import Export, ExportRun

MOST_ROWS = 100_000
MOST_PEOPLE = 500
COLUMNS = (
    gettext_lazy("Time (UTC)"),
    gettext_lazy("Person"),
    gettext_lazy("What happened"),
    gettext_lazy("Action"),
    gettext_lazy("Outcome"),
    gettext_lazy("Kind of object"),
    gettext_lazy("Object"),
    gettext_lazy("Identifier"),
    gettext_lazy("Details"),
)
_PAGES: dict[str, tuple[type[Model], str]] = {
    "connection": (Connection, "connections:detail"),
    "export": (Export, "exports:detail"),
    "enrichment": (Enrichment, "enrichments:detail"),
}
_RUNS: tuple[tuple[type[Run], str, str], ...] = (
    (ExportRun, "export", "exports:run"),
    (EnrichmentRun, "enrichment", "enrichments:run"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry for the table; ``history`` and ``by_person`` are queries of the list itself."""

    entry: AuditEntry
    sentence: SafeString
    actor: str
    refused: bool
    details: list[audit_story.Detail]
    run_url: str
    history: str
    by_person: str


@dataclass
class _Around:
    """What a page of entries points at: address by object, and address and name of what it is a run of by run."""

    objects: dict[UUID, str] = field(default_factory=dict)
    runs: dict[str, tuple[str, str]] = field(default_factory=dict)


@require_safe
@role_required(Role.ADMINISTRATOR)
def audit_page(request: PortalRequest) -> HttpResponse:
    """Entries newest first, as the address asks for them."""
    want = audit_listing.wanted(request.GET, timezone.now())
    page = audit_listing.page(want)
    context: dict[str, Any] = {
        "want": want,
        "page": page,
        "rows": rows(page.entries),
        "most_rows": MOST_ROWS,
        "named": _named(want),
    }
    context |= _choices(want)
    status = 422 if want.errors else 200
    return page_or_fragment(request, "audit/list.html", "audit/_table.html", context, status=status)


@require_safe
@role_required(Role.ADMINISTRATOR)
def download(request: PortalRequest) -> HttpResponse:
    """The entries that the address asks for as CSV, newest first; the download itself is an entry, too."""
    want = audit_listing.wanted(request.GET, timezone.now())
    if request.method == "GET":
        audit.record("audit.downloaded", actor=request.user, filters=dict(want.typed))
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}Z.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    lines = _lines(want) if request.method == "GET" else iter(())
    return StreamingHttpResponse(  # type: ignore[return-value] # an answer, though no HttpResponse
        lines, content_type="text/csv; charset=utf-8", headers=headers
    )


def rows(entries: list[AuditEntry]) -> list[Row]:
    """The entries in words, with links to what still exists: one query per kind of object, whatever their number."""
    around = _around(entries)
    return [_row(entry, around) for entry in entries]


def _row(entry: AuditEntry, around: _Around) -> Row:
    run_url, _item = around.runs.get(str(entry.details.get("run", "")), ("", ""))
    url = around.objects.get(entry.object_uuid, "") if entry.object_uuid else ""
    return Row(
        entry=entry,
        sentence=audit_story.sentence(entry).html({"object": url, "item": run_url}),
        actor=audit_story.actor(entry),
        refused=entry.outcome == AuditEntry.Outcome.REFUSED,
        details=audit_story.details(entry, for_administrators=True),
        run_url=run_url,
        history=f"object={entry.object_uuid}" if entry.object_uuid else "",
        by_person=f"person={entry.actor_id or audit_listing.PORTAL}",
    )


def _around(entries: Iterable[AuditEntry]) -> _Around:
    """Look up what the entries are about; an entry that does not say what its run was of is told so."""
    entries = list(entries)
    around = _Around()
    for kind, (model, name) in _PAGES.items():
        wanted = {entry.object_uuid for entry in entries if entry.object_type == kind and entry.object_uuid}
        there = (
            model._default_manager.filter(uuid__in=wanted).values_list("uuid", flat=True) if wanted else ()
        )
        around.objects |= {uuid: reverse(name, args=[uuid]) for uuid in there}
    runs = {str(entry.details["run"]) for entry in entries if entry.details.get("run")}
    identifiers = [uuid for uuid in map(_uuid, runs) if uuid]
    for run_model, owner, name in _RUNS:
        there = run_model._default_manager.filter(uuid__in=identifiers)
        for uuid, of, label in there.values_list("uuid", f"{owner}__uuid", f"{owner}__name"):
            around.runs[str(uuid)] = reverse(name, args=[of, uuid]), label
    for entry in entries:
        item = around.runs.get(str(entry.details.get("run", "")), ("", ""))[1]
        if item and entry.action == "secret.used":
            entry.details.setdefault("item", item)
    return around


def _named(want: Wanted) -> str:
    """The name of the one object whose history is shown, as its last entry has it."""
    if want.object is None:
        return ""
    last = AuditEntry.objects.filter(audit_listing.about([want.object])).exclude(object_label="")
    return last.order_by("-pk").values_list("object_label", flat=True).first() or str(want.object)


def _choices(want: Wanted) -> dict[str, Any]:
    """What the filters offer. Somebody who is asked for stands among the people even where these are too many."""
    people = User.objects.order_by("first_name", "last_name", "username")
    offered = list(people[:MOST_PEOPLE])
    if want.person.isdecimal() and int(want.person) not in {person.pk for person in offered}:
        offered += people.filter(pk=int(want.person))
    return {
        "people": [(str(person.pk), str(person)) for person in offered],
        "portal": audit_listing.PORTAL,
        "kinds": [(key, words) for key, (words, _types) in audit_listing.KINDS.items()],
        "actions": audit_listing.actions(),
        "outcomes": AuditEntry.Outcome.choices,
        "periods": [(key, words) for key, (words, _length) in audit_listing.PERIODS.items()],
        "zone": timezone.get_current_timezone_name(),
    }


def _lines(want: Wanted) -> Iterator[str]:
    """The file, piece by piece: UTF-8 with a byte-order mark, so that spreadsheet programs know it."""
    yield "\ufeff" + _written([[str(column) for column in COLUMNS]])
    written = 0
    for entries in audit_listing.all_of(want, MOST_ROWS):
        _around(entries)
        yield _written(map(_cells, entries))
        written += len(entries)
    if written == MOST_ROWS:
        words = _(
            "Only the newest %(most)s entries are in this file. Choose a shorter time to get the others."
        )
        yield _written([[words % {"most": f"{MOST_ROWS:,}"}]])


def _cells(entry: AuditEntry) -> list[str]:
    return [
        f"{entry.at:%Y-%m-%dT%H:%M:%SZ}",
        audit_story.actor(entry),
        audit_story.describe(entry),
        entry.action,
        entry.get_outcome_display(),
        entry.object_type,
        entry.object_label,
        str(entry.object_uuid or ""),
        json.dumps(entry.details, ensure_ascii=False) if entry.details else "",
    ]


def _written(lines: Iterable[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([neutral(cell) for cell in line] for line in lines)
    return out.getvalue()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
