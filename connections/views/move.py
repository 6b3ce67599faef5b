"""*Move*: everything that is built on a connection goes on over another one."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from connections import dependents
from connections.models import Connection
from connections.operations.move import Moving, losing, move_dependents, plan
from connections.operations.remove import impact_of, move_targets, removed_type
from connections.views.remove import list_of
from connections_portal.audit_sentences import named_or_counted
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, role_required

# So many of those that cannot move are named.
NAMED = 8


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def move(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Choose where to (``to``), look at what that means, move. Nothing moves before that was shown (422)."""
    if request.method == "POST" and (removed := removed_type(uuid)):
        messages.info(request, _("The connection was removed meanwhile."))
        return go_to(request, list_of(removed))
    connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
    posted = request.method == "POST"
    sent = (request.POST if posted else request.GET).get("to", "")
    target = next((t for t in move_targets(connection, request.user) if str(t.uuid) == sent), None)
    if target is None:
        wrong = _("Choose a connection from the list.") if posted or sent else ""
        return _dialog(request, connection, None, wrong=wrong, status=422 if posted else 200)
    if not posted:
        return _dialog(request, connection, target)
    if request.POST.get("shown") != sent:
        error = _("Look at what will happen, then move.")
        return _dialog(request, connection, target, error=error, status=422)
    return _move(request, connection, target)


def _move(request: PortalRequest, connection: Connection, target: Connection) -> HttpResponse:
    try:
        number = move_dependents(
            connection=connection,
            target=target,
            impact=request.POST.get("impact", "")[:64],
            actor=request.user,
        )
    except OperationError as refused:
        connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=connection.uuid)
        return _dialog(request, connection, target, error=refused.message, status=refused.status)
    words = ngettext("%(n)d is moved to %(name)s.", "%(n)d are moved to %(name)s.", number)
    messages.success(request, words % {"n": number, "name": target.name})
    return go_to(request, reverse("connections:detail", args=[connection.uuid]))


def _dialog(
    request: PortalRequest,
    connection: Connection,
    target: Connection | None,
    *,
    wrong: str = "",
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    context = _context(connection, target, request.user) | {"wrong": wrong, "error": error}
    return page_or_fragment(
        request, "connections/move.html", "connections/_move.html", context, status=status
    )


def _context(connection: Connection, target: Connection | None, user: User) -> dict[str, Any]:
    # read before the rest: what comes in between makes the token stale
    impact = impact_of(connection)
    plans = plan(connection, target, user) if target else []
    return {
        "connection": connection,
        "used": dependents.used_by([connection.pk]).get(connection.pk, []),
        "targets": list(move_targets(connection, user)),
        "target": target,
        "impact": impact,
        "sentences": _sentences(connection, target, plans) if target else [],
        "stays": _stays(connection, plans, user),
        "movable": any(planned.number for planned in plans),
        "action": reverse("connections:move", args=[connection.uuid]),
        "cancel_url": reverse("connections:detail", args=[connection.uuid]),
    }


def _sentences(connection: Connection, target: Connection, plans: list[Moving]) -> list[str]:
    said = []
    for planned in plans:
        choice = next(choice for choice in planned.kind.choices() if choice.moves)
        if number := planned.number - planned.loose:
            said.append(choice.outcome(number, target.name))
        if planned.loose:
            words = ngettext(
                "%(n)d inactive one moves along and stays inactive.",
                "%(n)d inactive ones move along and stay inactive.",
                planned.loose,
            )
            said.append(words % {"n": planned.loose})
    if said:
        said.append(_("Runs under way are canceled; schedules stay."))
    if said and (people := losing(connection, [target])[target.uuid]):
        said.append(_("%(people)s can no longer change them.") % {"people": named_or_counted(people, [])})
    return said


def _stays(connection: Connection, plans: list[Moving], user: User) -> list[dict[str, Any]]:
    """Those that cannot move, and why, the first by name; how many more there are stands in the last one."""
    found: list[dict[str, Any]] = []
    for planned in plans:
        if not planned.unfit:
            continue
        listed = [
            {"name": one.name, "url": one.url, "why": planned.unfit[one.uuid]}
            for one in planned.kind.find(connection, user)
            if one.uuid and one.uuid in planned.unfit
        ]
        found += listed[:NAMED]
        if len(planned.unfit) > NAMED:
            found.append({"more": len(planned.unfit) - NAMED, "url": planned.kind.list_url(connection)})
    return found
