"""*Add connection* to all exports or enrichments that wait for one: choose a type, then one connection for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _

from connections.attach_form import AttachForm
from connections.models import Connection
from connections.permissions import can_edit
from connections_portal import bulk, web
from connections_portal.errors import OperationError
from connections_portal.web import PortalRequest


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What waits of one type, and the words of its app.

    ``rows`` are those to which the person may give a connection, ``connection_type`` is what connections of the type
    are called. ``why_not`` says, by uuid, why some of these are not among the rows (any more), ``nothing`` that no row
    is left. ``sentences`` say what happens to so many, ``operation`` gives a row its connection, ``success`` says what
    was done to how many. ``ask_for`` says whom to ask where there is no connection; whoever can set one up is led to
    ``connections_url``. ``fields`` is the template of the form, whose field is named ``label``.
    """

    rows: QuerySet[Any]
    connection_type: str
    why_not: Callable[[Sequence[UUID]], list[bulk.LeftOut]]
    nothing: str
    sentences: Callable[[int], list[str]]
    operation: Callable[[Any, Connection], object]
    success: Callable[[int, Connection], str]
    ask_for: str
    connections_url: str
    list_url: str
    fields: str
    label: str


def choose_type(
    request: PortalRequest,
    numbers: Mapping[str, int],
    *,
    text: str,
    nothing: str,
    name_of: Callable[[str], str],
    phrase: Callable[[int], str],
    url_of: Callable[[str], str],
    list_url: str,
) -> HttpResponse:
    """The types of what waits, by name, each with its own dialog; ``numbers`` has how many there are of each key."""
    kinds = sorted(numbers.items(), key=lambda entry: name_of(entry[0]).casefold())
    context = {
        "fragment": "_waiting_types.html",
        "title": _("Add connection"),
        "text": text if kinds else nothing,
        "kinds": [
            {"label": name_of(key), "text": phrase(number), "url": url_of(key)} for key, number in kinds
        ],
        "cancel_url": list_url,
    }
    return web.page_or_fragment(request, "bulk.html", "_waiting_types.html", context)


def attach_all(request: PortalRequest, waiting: Waiting, offered: Sequence[Connection]) -> HttpResponse:
    """Choose one of ``offered`` for all of them; each gets it under the operation of a single one."""
    try:
        rows, left_out = _chosen(request, waiting)
    except OperationError as refusal:
        return bulk.refuse(
            request, title=_("Add connection"), error=refusal.message, list_url=waiting.list_url
        )
    if not offered or not (rows or left_out):
        return _nothing_to_do(request, waiting, waits=bool(rows or left_out))
    posted = request.method == "POST"
    form = AttachForm(request.POST if posted else None, connections=offered, label=waiting.label)
    if posted and form.is_valid():
        return _attach(request, waiting, rows, left_out, form.chosen())
    return bulk.ask(
        request,
        title=_("Add connection"),
        sentences=waiting.sentences(len(rows)),
        rows=rows,
        left_out=left_out,
        button=_("Add connection"),
        list_url=waiting.list_url,
        fields=waiting.fields,
        form=form,
        connection_type=waiting.connection_type,
        status=422 if posted else 200,
    )


def _chosen(request: PortalRequest, waiting: Waiting) -> tuple[list[Any], list[bulk.LeftOut]]:
    """What waits now; once that was shown, what was shown and still waits, and the others (rule S13)."""
    if request.method != "POST":
        return list(waiting.rows[: bulk.MOST]), []
    shown = bulk.selected(request)
    known = {row.uuid: row for row in waiting.rows.filter(uuid__in=shown)}
    return list(known.values()), waiting.why_not([uuid for uuid in shown if uuid not in known])


def _attach(
    request: PortalRequest,
    waiting: Waiting,
    rows: Sequence[Any],
    left_out: list[bulk.LeftOut],
    connection: Connection,
) -> HttpResponse:
    outcome = bulk.each(rows, lambda row: waiting.operation(row, connection), bulk.Outcome(left_out=left_out))
    success = waiting.success(len(outcome.done), connection)
    return bulk.finish(
        request, outcome, title=_("Add connection"), success=success, list_url=waiting.list_url
    )


def _nothing_to_do(request: PortalRequest, waiting: Waiting, *, waits: bool) -> HttpResponse:
    links: list[dict[str, str]] = []
    if not waits:
        sentence = waiting.nothing
    elif can_edit(request.user):
        sentence = _("There is no %(type)s connection ready. Set one up, or resume one.") % {
            "type": waiting.connection_type
        }
        links = [{"label": _("Connections"), "url": waiting.connections_url, "text": ""}]
    else:
        sentence = waiting.ask_for
    context: dict[str, Any] = {
        "title": _("Add connection"),
        "sentences": [sentence],
        "links": links,
        "refused": True,
        "action": request.path,
        "cancel_url": waiting.list_url,
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context)
