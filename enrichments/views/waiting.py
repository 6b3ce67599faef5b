"""*Add connection* to all enrichments of one type that wait for one, which makes them active."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from connections.models import Connection
from connections.permissions import can_edit as can_edit_connections
from connections_portal import bulk, web
from connections_portal.errors import OperationError
from connections_portal.web import PortalRequest, role_required
from enrichments.listing import waiting as all_waiting
from enrichments.models import Enrichment
from enrichments.operations.state import activate
from enrichments.permissions import EDITING_ROLES
from enrichments.types import type_name
from enrichments.views.commands import ConnectionForm, connection_name_of
from enrichments.views.loading import connections_for
from enrichments.waiting import phrase, waiting_types


@require_safe
@role_required(*EDITING_ROLES)
def waiting(request: PortalRequest) -> HttpResponse:
    """The types of what waits, each with its own dialog."""
    numbers = sorted(waiting_types().items(), key=lambda entry: type_name(entry[0]).casefold())
    context = {
        "fragment": "_waiting_types.html",
        "title": _("Add connection"),
        "text": _("Choose a type. All its enrichments that wait get the same connection.")
        if numbers
        else _("No enrichment waits for a connection."),
        "kinds": [
            {
                "label": type_name(type_key),
                "text": phrase(number),
                "url": reverse("enrichments:attach_waiting", args=[type_key]),
            }
            for type_key, number in numbers
        ],
        "cancel_url": reverse("enrichments:mine"),
    }
    return web.page_or_fragment(request, "bulk.html", "_waiting_types.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def attach_waiting(request: PortalRequest, type_key: str) -> HttpResponse:
    """Choose one connection for all of them; each gets it under *Activate* of a single one."""
    offered = connections_for(request.user, type_key)
    try:
        enrichments, left_out = _chosen(request, type_key)
    except OperationError as refusal:
        list_url = reverse("enrichments:mine")
        return bulk.refuse(request, title=_("Add connection"), error=refusal.message, list_url=list_url)
    if not offered or not (enrichments or left_out):
        return _nothing_to_do(request, type_key, waits=bool(enrichments or left_out))
    posted = request.method == "POST"
    form = ConnectionForm(request.POST if posted else None, connections=offered)
    if posted and form.is_valid():
        chosen = next(c for c in offered if str(c.uuid) == form.cleaned_data["connection"])
        return _attach(request, enrichments, left_out, chosen)
    return bulk.ask(
        request,
        title=_("Add connection"),
        sentences=[
            _("They keep their settings, become active, and you become responsible for them."),
            _("They run with the system refresh again. Nothing is caught up."),
        ],
        rows=enrichments,
        left_out=left_out,
        button=_("Add connection"),
        list_url=reverse("enrichments:mine"),
        fields="enrichments/_connection_fields.html",
        form=form,
        connection_name=connection_name_of(type_key),
        status=422 if posted else 200,
    )


def _chosen(request: PortalRequest, type_key: str) -> tuple[list[Enrichment], list[bulk.LeftOut]]:
    """What waits now; once that was shown, what was shown and still waits, and the others (rule S13)."""
    waits = all_waiting().filter(type_key=type_key)
    if request.method != "POST":
        return list(waits[: bulk.MOST]), []
    shown = bulk.selected(request)
    known: dict[UUID, Enrichment] = {e.uuid: e for e in waits.filter(uuid__in=shown)}
    left_out = [
        bulk.LeftOut(
            name=_("Unknown enrichment"), reason=_("It has a connection already, or was deleted meanwhile.")
        )
        for uuid in shown
        if uuid not in known
    ]
    return list(known.values()), left_out


def _attach(
    request: PortalRequest,
    enrichments: list[Enrichment],
    left_out: list[bulk.LeftOut],
    connection: Connection,
) -> HttpResponse:
    outcome = bulk.each(
        enrichments,
        lambda enrichment: activate(enrichment=enrichment, actor=request.user, connection=connection),
        bulk.Outcome(left_out=left_out),
    )
    number = len(outcome.done)
    success = ngettext(
        "%(n)d enrichment now uses %(connection)s.", "%(n)d enrichments now use %(connection)s.", number
    ) % {"n": number, "connection": connection}
    list_url = reverse("enrichments:mine")
    return bulk.finish(request, outcome, title=_("Add connection"), success=success, list_url=list_url)


def _nothing_to_do(request: PortalRequest, type_key: str, *, waits: bool) -> HttpResponse:
    words = {"type": connection_name_of(type_key)}
    links: list[dict[str, str]] = []
    if not waits:
        sentence = _("No enrichment of this type waits for a connection.")
    elif can_edit_connections(request.user):
        sentence = _("There is no %(type)s connection ready. Set one up, or resume one.") % words
        links = [{"label": _("Connections"), "url": reverse("connections:enrichment"), "text": ""}]
    else:
        sentence = _("There is no %(type)s connection ready. Ask an administrator to set one up.") % words
    context: dict[str, Any] = {
        "title": _("Add connection"),
        "sentences": [sentence],
        "links": links,
        "refused": True,
        "action": request.path,
        "cancel_url": reverse("enrichments:mine"),
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context)
