"""*Add connection* to all exports of one type that wait for one."""

from typing import Any

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
from exports.forms import AttachForm, type_name
from exports.models import Export
from exports.operations.connection import attach_connection
from exports.permissions import EDITING_ROLES
from exports.views.connection import connections_for
from exports.waiting import phrase, waiting_for, waiting_types


@require_safe
@role_required(*EDITING_ROLES)
def waiting(request: PortalRequest) -> HttpResponse:
    """The types of what waits, each with its own dialog."""
    numbers = sorted(waiting_types(request.user).items(), key=lambda entry: type_name(entry[0]).casefold())
    context = {
        "fragment": "_waiting_types.html",
        "title": _("Add connection"),
        "text": _("Choose a type. All its exports that wait get the same connection.")
        if numbers
        else _("No export that you may change waits for a connection."),
        "kinds": [
            {
                "label": type_name(type_key),
                "text": phrase(number),
                "url": reverse("exports:attach_waiting", args=[type_key]),
            }
            for type_key, number in numbers
        ],
        "cancel_url": reverse("exports:list"),
    }
    return web.page_or_fragment(request, "bulk.html", "_waiting_types.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def attach_waiting(request: PortalRequest, type_key: str) -> HttpResponse:
    """Choose one connection for all of them; each gets it under the operation of a single export."""
    offered = connections_for(request.user, type_key)
    try:
        exports, left_out = _chosen(request, type_key)
    except OperationError as refusal:
        list_url = reverse("exports:list")
        return bulk.refuse(request, title=_("Add connection"), error=refusal.message, list_url=list_url)
    if not offered or not (exports or left_out):
        return _nothing_to_do(request, type_key, waits=bool(exports or left_out))
    posted = request.method == "POST"
    form = AttachForm(request.POST if posted else None, connections=offered)
    if posted and form.is_valid():
        chosen = next(c for c in offered if str(c.uuid) == form.cleaned_data["connection"])
        return _attach(request, exports, left_out, chosen)
    return bulk.ask(
        request,
        title=_("Add connection"),
        sentences=_what_happens(request, type_key, len(exports)),
        rows=exports,
        left_out=left_out,
        button=_("Add connection"),
        list_url=reverse("exports:list"),
        fields="exports/_attach_fields.html",
        form=form,
        type_name=type_name(type_key),
        status=422 if posted else 200,
    )


def _chosen(request: PortalRequest, type_key: str) -> tuple[list[Export], list[bulk.LeftOut]]:
    """What waits now; once that was shown, what was shown and still waits, and the others (rule S13)."""
    mine = waiting_for(request.user).filter(type_key=type_key)
    if request.method != "POST":
        return list(mine[: bulk.MOST]), []
    shown = bulk.selected(request)
    known = {export.uuid: export for export in mine.filter(uuid__in=shown)}
    gone = Export.objects.filter(uuid__in=shown, connection__isnull=False)
    names = {export.uuid: export.name for export in gone}
    left_out = [
        bulk.LeftOut(name=names[uuid], reason=_("It has a connection already."))
        if uuid in names
        else bulk.LeftOut(
            name=_("Unknown export"), reason=_("You cannot change it, or it was removed meanwhile.")
        )
        for uuid in shown
        if uuid not in known
    ]
    return list(known.values()), left_out


def _what_happens(request: PortalRequest, type_key: str, number: int) -> list[str]:
    sentences = [
        ngettext(
            "It keeps its settings, and you become responsible for it.",
            "They keep their settings, and you become responsible for them.",
            number,
        ),
        ngettext(
            "Its schedule applies again from now on. What was missed meanwhile is not made up for.",
            "Their schedules apply again from now on. What was missed meanwhile is not made up for.",
            number,
        ),
    ]
    total = waiting_types(request.user).get(type_key, 0) if number == bulk.MOST else number
    if total > number:
        sentences.append(
            _("%(total)d wait. These are the first %(number)d; do it again for the others.")
            % {"total": total, "number": number}
        )
    return sentences


def _attach(
    request: PortalRequest, exports: list[Export], left_out: list[bulk.LeftOut], connection: Connection
) -> HttpResponse:
    outcome = bulk.each(
        exports,
        lambda export: attach_connection(export=export, connection=connection, actor=request.user),
        bulk.Outcome(left_out=left_out),
    )
    number = len(outcome.done)
    success = ngettext(
        "%(n)d export now uses %(connection)s.", "%(n)d exports now use %(connection)s.", number
    ) % {"n": number, "connection": connection}
    list_url = reverse("exports:list")
    return bulk.finish(request, outcome, title=_("Add connection"), success=success, list_url=list_url)


def _nothing_to_do(request: PortalRequest, type_key: str, *, waits: bool) -> HttpResponse:
    words = {"type": type_name(type_key)}
    links: list[dict[str, str]] = []
    if not waits:
        sentence = _("No %(type)s export that you may change waits for a connection.") % words
    elif can_edit_connections(request.user):
        sentence = _("There is no %(type)s connection ready. Set one up, or resume one.") % words
        links = [{"label": _("Connections"), "url": reverse("connections:exports"), "text": ""}]
    else:
        sentence = (
            _(
                "There is no %(type)s connection ready that you may use. Ask an administrator to set one up or to "
                "share one with you."
            )
            % words
        )
    context: dict[str, Any] = {
        "title": _("Add connection"),
        "sentences": [sentence],
        "links": links,
        "refused": True,
        "action": request.path,
        "cancel_url": reverse("exports:list"),
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context)
