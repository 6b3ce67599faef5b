"""One command on several selected rows: which rows, what will happen, what was done (rule S13).

The check boxes of a list post ``selected`` to one address per command. The first answer says what will happen and
changes nothing; the second post, with ``confirmed``, does it, row by row, under the operation of a single row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal import undo, web
from connections_portal.errors import NotAllowed, OperationError

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


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a command on several rows says and does. ``why_not`` gives the reason that leaves a row out, or nothing;
    ``undoing`` the button *Undo* for what was done.
    """

    title: str
    sentences: Sequence[str]
    button: str
    success: Callable[[int], str]
    operation: Callable[[Any], object]
    why_not: Callable[[Any], str] = lambda row: ""
    undoing: Callable[[], undo.Offer | None] = lambda: None
    danger: bool = False


def answer(
    request: web.PortalRequest,
    command: Command,
    rows: QuerySet[Any],
    *,
    unknown: LeftOut,
    list_url: str,
    may_change: Callable[[Any], bool] = lambda row: True,
    form: Any = None,
    fields: str = "",
    fill_in: Callable[[Sequence[Any]], None] = lambda rows: None,
) -> HttpResponse:
    """Ask about the command on those of ``rows`` that are selected; confirmed, carry it out.

    ``unknown`` is said of what is not there or what ``may_change`` refuses, both alike (rule S13). A command that
    needs more than *yes* has a ``form``: ``fields`` is its template, ``fill_in`` begins it for the selected rows.
    """
    try:
        kept, left_out = _sort_out(request, command, rows, unknown, may_change)
    except OperationError as refusal:
        return refuse(request, title=command.title, error=refusal.message, list_url=list_url)
    confirmed = is_confirmed(request)
    if confirmed and (form is None or form.is_valid()):
        outcome = each(kept, command.operation, Outcome(left_out=left_out))
        return finish(
            request,
            outcome,
            title=command.title,
            success=command.success(len(outcome.done)),
            list_url=list_url,
            undoing=command.undoing(),
        )
    if not confirmed:
        fill_in(kept)
    return ask(
        request,
        title=command.title,
        sentences=command.sentences,
        rows=kept,
        left_out=left_out,
        button=command.button,
        danger=command.danger,
        list_url=list_url,
        fields=fields,
        form=form,
        status=422 if confirmed else 200,
    )


def _sort_out(
    request: web.PortalRequest,
    command: Command,
    rows: QuerySet[Any],
    unknown: LeftOut,
    may_change: Callable[[Any], bool],
) -> tuple[list[Any], list[LeftOut]]:
    """The selected rows to which the command applies, and the others. Raises OperationError as ``selected``."""
    chosen = selected(request)
    known = {row.uuid: row for row in rows.filter(uuid__in=chosen)}
    kept: list[Any] = []
    left_out: list[LeftOut] = []
    for uuid in chosen:
        row = known.get(uuid)
        if row is None or not may_change(row):
            reason = unknown.reason
            if is_confirmed(request):
                web.record_refusal(request, row)
        else:
            reason = command.why_not(row)
        if row is not None and not reason:
            kept.append(row)
        else:
            left_out.append(LeftOut(name=str(row or unknown.name), reason=reason))
    return kept, left_out


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


def undo_command(
    request: web.PortalRequest,
    action: str,
    rows: QuerySet[Any],
    operation: Callable[[undo.Item], Any],
    *,
    one: Callable[[Any], str],
    several: Callable[[int], str],
    list_url: str,
    page: Callable[[Any], str],
) -> HttpResponse:
    """*Undo* of ``action`` on what the token says, each of ``rows`` by itself; nothing when it is too late.

    ``operation`` puts one back and returns it; ``one`` and ``several`` say what was done. A single one leads to its
    ``page`` unless *Undo* was pressed in the list.
    """
    try:
        items = undo.sent(request, action)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name="", back=list_url)
    found = {row.uuid: row for row in rows.filter(uuid__in=[item.uuid for item in items])}
    if len(items) == 1:
        row = found.get(items[0].uuid)
        url = page(row) if row else list_url
        try:
            restored = operation(items[0])
        except NotAllowed as refusal:
            web.refuse(request, row, refusal.message)
        except OperationError as refusal:
            return undo.refuse(request, refusal, name=str(row or ""), back=url)
        messages.success(request, one(restored))
        return web.back_to_list(request, list_url, elsewhere=url)
    outcome = Outcome()
    for item in items:
        name = str(found.get(item.uuid) or _("Not there any more"))
        try:
            operation(item)
        except OperationError as refusal:
            outcome.left_out.append(LeftOut(name=name, reason=refusal.message))
        else:
            outcome.done.append(name)
    return finish(request, outcome, title=_("Undo"), success=several(len(outcome.done)), list_url=list_url)


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
