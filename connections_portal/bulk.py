"""One command on several selected rows: which rows, what will happen, what was done (rule S13).

The check boxes of a list post ``selected`` to one address per command. The first answer says what will happen and
changes nothing; the second post, with ``confirmed``, does it, row by row, under the operation of a single row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal import undo, web
from connections_portal.errors import OperationError

MOST = 200
NAMED = 5


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A row to which nothing happens, and why; ``url`` leads to what stands in the way."""

    name: str
    reason: str
    url: str = ""


@dataclass(kw_only=True)
class Outcome:
    """What came of a command: the names of the rows it was done to, and the others."""

    done: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def selected(request: HttpRequest, *, key: Callable[[str], Any] = UUID) -> list[Any]:
    """The ticked rows, each once; what is no identifier (``key`` raises ValueError) is passed over.

    Raises OperationError when nothing is ticked, and for more than ``MOST`` rows.
    """
    chosen: dict[Any, None] = {}
    for text in request.POST.getlist("selected"):
        try:
            chosen[key(text)] = None
        except ValueError:
            continue
    if not chosen:
        raise OperationError(_("Nothing is selected. Tick the rows first."))
    if len(chosen) > MOST:
        raise OperationError(_("At most %(most)d rows can be selected at once.") % {"most": MOST})
    return list(chosen)


def number(text: str) -> int:
    """The identifier of a row that has no ``uuid``, as a ``key``. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(text)
    return int(text)


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the person has seen what will happen and pressed the button below it."""
    return request.POST.get("confirmed") == "1"


def each(rows: Iterable[Any], operation: Callable[[Any], object], outcome: Outcome) -> Outcome:
    """Do it row by row, each in its own transaction; a refusal leaves that row out and the others go on."""
    for row in rows:
        try:
            operation(row)
        except OperationError as refusal:
            outcome.left_out.append(LeftOut(name=str(row), reason=refusal.message, url=refusal.url))
        else:
            outcome.done.append(str(row))
    return outcome


def ask(
    request: HttpRequest,
    *,
    title: str,
    sentences: Sequence[str],
    rows: Sequence[Any],
    left_out: Sequence[LeftOut],
    button: str,
    list_url: str,
    danger: bool = False,
    fields: str = "",
    status: int = 200,
    key: Callable[[Any], object] = attrgetter("uuid"),
    **context: Any,
) -> HttpResponse:
    """The dialog before the command: what happens to ``rows`` (told apart by ``key``), and who is left out, why.

    ``fields`` is a template with further fields of the form, which reads ``context``. Without any row only *Close* is
    offered.
    """
    names = [str(row) for row in rows]
    return _dialog(
        request,
        "_bulk_ask.html",
        context
        | {
            "title": f"{title} ({len(rows)})" if rows else title,
            "sentences": sentences if rows else [],
            "names": names[:NAMED],
            "more": max(0, len(names) - NAMED),
            "selected": [str(key(row)) for row in rows],
            "left_out": left_out,
            "left_out_title": left_out_phrase(len(left_out)),
            "button": button,
            "danger": danger,
            "fields": fields if rows else "",
        },
        list_url,
        status,
    )


def refuse(request: HttpRequest, *, title: str, error: str, list_url: str) -> HttpResponse:
    """The dialog that says why the command cannot even be asked about (422)."""
    return _dialog(request, "_bulk_ask.html", {"title": title, "error": error}, list_url, 422)


def finish(
    request: HttpRequest,
    outcome: Outcome,
    *,
    title: str,
    success: str,
    list_url: str,
    undoing: undo.Offer | None = None,
) -> HttpResponse:
    """Back to the list with ``success`` when all was done, else the dialog with what was not, and why.

    With ``undoing`` what was done can be undone from there.
    """
    if not outcome.left_out:
        undo.announce(request, success, undoing)
        return web.back_to_list(request, list_url)
    context = {
        "title": title,
        "success": success if outcome.done else "",
        "undo": undoing,
        "left_out": outcome.left_out,
        "left_out_title": left_out_phrase(len(outcome.left_out)),
    }
    response = _dialog(request, "_bulk_result.html", context, list_url, 200)
    return web.trigger(response, listChanged=True) if web.is_fragment(request) else response


def undo_each(
    request: HttpRequest,
    items: Iterable[undo.Item],
    names: Mapping[UUID, str],
    operation: Callable[[undo.Item], object],
    *,
    success: Callable[[int], str],
    list_url: str,
) -> HttpResponse:
    """*Undo* of a command on several rows, each by itself; ``names`` lacks those that are gone by now."""
    outcome = Outcome()
    for item in items:
        name = names.get(item.uuid) or _("Not there any more")
        try:
            operation(item)
        except OperationError as refusal:
            outcome.left_out.append(LeftOut(name=name, reason=refusal.message))
        else:
            outcome.done.append(name)
    return finish(request, outcome, title=_("Undo"), success=success(len(outcome.done)), list_url=list_url)


def left_out_phrase(number: int) -> str:
    """*2 are left out*."""
    return ngettext("%(n)d is left out", "%(n)d are left out", number) % {"n": number}


def _dialog(
    request: HttpRequest, fragment: str, context: dict[str, Any], list_url: str, status: int
) -> HttpResponse:
    query = web.list_query(request)
    context |= {
        "fragment": fragment,
        "query": query,
        "action": request.path,
        "cancel_url": f"{list_url}?{query}" if query else list_url,
    }
    return web.page_or_fragment(request, "bulk.html", fragment, context, status=status)
