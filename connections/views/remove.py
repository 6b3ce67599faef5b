"""*Remove* one connection or several: what uses them is settled in the dialog of one, and keeps one of several."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from connections import connectors, dependents, listing
from connections.models import Connection
from connections.operations.remove import (
    KEPT_FOR,
    impacts_of,
    remove_connection,
    removed_type,
)
from connections.removal_form import RemovalForm
from connections.views.lists import target_of, type_of, uses_of
from connections_portal import bulk
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, back_to_list, is_fragment, page_or_fragment, role_required


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def remove(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """The dialog; ``action=preview`` says what will happen, ``apply:KIND`` chooses for all of a kind, else removes.

    A connection that changed, or whose dependents did, is asked about afresh (409) with the choices kept.
    """
    if request.method == "POST" and (removed := removed_type(uuid)):
        messages.info(request, _("The connection was removed meanwhile."))
        return back_to_list(request, list_of(removed))
    connection = _connection(request, uuid)
    if request.method != "POST":
        return _dialog(request, RemovalForm(connection, request.user), seen="see" in request.GET)
    form = RemovalForm(connection, request.user, request.POST)
    action = request.POST.get("action", "")
    if action == "preview":
        if is_fragment(request):
            return render(request, "connections/_remove_outcome.html", _outcome(request, form))
        return _dialog(request, form)
    if action.startswith("apply:"):
        form.apply(action.removeprefix("apply:"))
        return _dialog(request, form, applied=action.removeprefix("apply:"))
    return _remove(request, form)


def _connection(request: PortalRequest, uuid: UUID) -> Connection:
    return get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)


def _remove(request: PortalRequest, form: RemovalForm) -> HttpResponse:
    connection = form.connection
    as_shown = request.POST.get("impact") == form.impact
    if form.wrong and as_shown:
        return _dialog(request, form, error=_("What you chose is not offered any more."), status=422)
    try:
        remove_connection(
            connection=connection,
            # the choices are about what is there now: they count only where this is what was shown
            impact=form.impact if as_shown else "",
            choices=form.decisions() if form.was_asked else {},
            actor=request.user,
        )
    except OperationError as refused:
        fresh = RemovalForm(_connection(request, connection.uuid), request.user, request.POST)
        return _dialog(request, fresh, error=refused.message, status=refused.status)
    messages.success(
        request,
        _("%(name)s is removed. It can be restored for %(days)d days.")
        % {"name": connection.name, "days": KEPT_FOR.days},
    )
    return back_to_list(request, list_of(connection.type_key))


def _dialog(
    request: PortalRequest,
    form: RemovalForm,
    *,
    seen: bool = True,
    applied: str = "",
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """First what uses the connection in one sentence; then, ``seen``, each with its choice."""
    connection = form.connection
    context = _outcome(request, form) | {
        "connection": connection,
        "type": type_of(connection),
        "target": target_of(connection),
        "seen": seen or not form.sections,
        "applied": applied,
        "error": error,
    }
    return page_or_fragment(
        request, "connections/remove.html", "connections/_remove.html", context, status=status
    )


def _outcome(request: PortalRequest, form: RemovalForm) -> dict[str, Any]:
    return {
        "form": form,
        "action": reverse("connections:remove", args=[form.connection.uuid]),
        "cancel_url": reverse("connections:detail", args=[form.connection.uuid]),
        "days": KEPT_FOR.days,
        # the page without a dialog has a part of its own that is swapped
        "in_dialog": is_fragment(request) and request.htmx.target != "removal-page",
    }


def list_of(type_key: str) -> str:
    """The address of the tab that lists connections of this type."""
    connector = connectors.get(type_key)
    tab = "enrichment" if connector and connector.direction == "enrichment" else "exports"
    return reverse(f"connections:{tab}")


@require_POST
@role_required(Role.ADMINISTRATOR)
def remove_several(request: PortalRequest, tab: str) -> HttpResponse:
    """Ask about the selected connections of a tab, then remove one after the other; those in use stay."""
    if tab not in listing.TABS:
        raise Http404
    title, list_url = _("Remove connections"), reverse(f"connections:{tab}")
    try:
        connections = _selected(request)
    except OperationError as refused:
        return bulk.refuse(request, title=title, error=refused.message, list_url=list_url)
    if bulk.is_confirmed(request):
        impacts = _impacts(request)
        outcome = bulk.each(
            connections,
            lambda row: remove_connection(
                connection=row, impact=impacts.get(str(row.uuid), ""), actor=request.user
            ),
            bulk.Outcome(),
        )
        number = len(outcome.done)
        success = ngettext("%(n)d connection is removed.", "%(n)d connections are removed.", number)
        return bulk.finish(request, outcome, title=title, success=success % {"n": number}, list_url=list_url)
    left_out = _in_use(connections)
    free = [connection for connection in connections if connection.pk not in left_out]
    tokens = impacts_of(free)
    return bulk.ask(
        request,
        title=title,
        sentences=_sentences(free),
        rows=free,
        left_out=list(left_out.values()),
        button=_("Remove"),
        danger=True,
        list_url=list_url,
        fields="connections/_impacts.html",
        impacts=[(connection.uuid, tokens[connection.pk]) for connection in free],
    )


def _sentences(free: list[Connection]) -> list[str]:
    """What becomes of connections that nothing blocks, and of the inactive ones that merely lose them."""
    secrets = ngettext(
        "Its stored secrets are deleted too; the record of who agreed to what stays.",
        "Their stored secrets are deleted too; the record of who agreed to what stays.",
        len(free),
    )
    if inactive := dependents.let_go_of(free):
        words = _("Inactive, keeps its settings and merely loses the connection: %(what)s.")
        return [words % {"what": ", ".join(inactive)}, secrets]
    unused = ngettext("Nothing uses it.", "Nothing uses them.", len(free))
    return [f"{unused} {secrets}"]


def _selected(request: PortalRequest) -> list[Connection]:
    """The ticked connections by name. Raises OperationError for none, for too many, and when all are gone."""
    chosen = Connection.objects.editable_by(request.user).filter(uuid__in=bulk.selected(request))
    connections = list(chosen.order_by("name_key", "pk"))
    if not connections:
        raise OperationError(_("What you selected has been removed meanwhile."))
    return connections


def _impacts(request: PortalRequest) -> dict[str, str]:
    """By uuid the token of what was shown in the question."""
    posted = (text[:110].partition(":") for text in request.POST.getlist("impact"))
    return {uuid: token for uuid, _colon, token in posted}


def _in_use(connections: list[Connection]) -> dict[int, bulk.LeftOut]:
    """By id those whose removal something blocks, and the list of that."""
    used = uses_of(connections, blocking=True)
    return {
        connection.pk: bulk.LeftOut(
            name=connection.name,
            reason=_("Used by %(what)s.") % {"what": ", ".join(use["phrase"] for use in uses)},
            url=uses[0]["url"],
        )
        for connection in connections
        if (uses := used.get(connection.pk))
    }
