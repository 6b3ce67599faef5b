"""*Stop everything* on a connection, and the page to print afterwards."""

from collections import defaultdict
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from connections import connectors, dependents
from connections.connectors.base import is_active
from connections.models import Connection
from connections.operations.stop import last_stop, stop_everything, who_used
from connections.views.lists import target_of, type_of
from connections_portal.audit import SYSTEM
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, role_required

# So many runs are named before they are stopped, and so many of each kind of dependent on the page to print.
NAMED = 8
PRINTED = 200


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def stop(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Say what will happen, then do it. A run that is finishing does not hold it up; the next page tells of it."""
    connection = _load(request, uuid)
    error, status = "", 200
    if request.method == "POST":
        try:
            stop_everything(connection=connection, actor=request.user)
        except OperationError as refused:
            error, status = refused.message, refused.status
        else:
            return go_to(request, reverse("connections:stopped", args=[connection.uuid]))
    runs = dependents.under_way(connection)
    links = [
        {"label": run.name, "url": run.url, "text": _("just finishing") if run.finishing else ""}
        for run in runs[:NAMED]
    ]
    context = {
        "title": _("Stop everything"),
        "subject": f"{connection.name} · {target_of(connection)}",
        "sentences": _what_happens(connection, runs),
        "links_title": _("Runs under way") if links else "",
        "links": links,
        "action": reverse("connections:stop", args=[connection.uuid]),
        "button": _("Stop everything"),
        "cancel_url": reverse("connections:detail", args=[connection.uuid]),
        "error": error,
    }
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)


def _what_happens(connection: Connection, runs: list[dependents.Dependent]) -> list[str]:
    finishing = sum(run.finishing for run in runs)
    number = len(runs) - finishing
    sentences = [
        ngettext("%(n)d run under way is canceled.", "%(n)d runs under way are canceled.", number)
        % {"n": number}
        if number
        else _("No run is under way that can be canceled.")
        if finishing
        else _("No run is under way."),
        _("The connection is paused. Resuming it asks for a verification."),
    ]
    if finishing:
        sentences.insert(
            1,
            ngettext(
                "%(n)d run is just finishing: it cannot be called back and ends by itself.",
                "%(n)d runs are just finishing: they cannot be called back and end by themselves.",
                finishing,
            )
            % {"n": finishing},
        )
    used = dependents.used_by([connection.pk]).get(connection.pk, [])
    if used:
        sentences.append(
            _("It is used by %(what)s: all of it keeps its settings, and schedules wait.")
            % {"what": ", ".join(used)}
        )
    sentences.append(
        _(
            "What was sent already stays at the service. Afterwards a page to print says what to take back there."
        )
    )
    return sentences


@require_safe
@role_required(Role.ADMINISTRATOR)
def stopped(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """What was stopped, what to take back at the service, and who used the connection before: made to be printed."""
    connection = _load(request, uuid)
    entry = last_stop(connection)
    if entry is None:
        raise Http404
    finishing = entry.details.get("finishing", [])
    people = who_used(connection, entry.at)
    for person in people:
        if person["person"] == SYSTEM:
            person["person"] = _("The portal by itself")
    context = {
        "connection": connection,
        "type": type_of(connection),
        "target": target_of(connection),
        "entry": entry,
        "runs": entry.details["runs"],
        "more_runs": max(0, entry.details["canceled"] - len(entry.details["runs"])),
        "finishing": finishing,
        "finishing_now": [run for run in dependents.under_way(connection) if run.finishing and finishing],
        "used": [_listed(kind, connection, request) for kind in dependents.kinds_on(connection)],
        "revoke": to_revoke(connection),
        "people": people,
        "printed_at": timezone.now(),
    }
    return render(request, "connections/stopped.html", context)


def _listed(kind: dependents.Kind, connection: Connection, request: PortalRequest) -> dict[str, Any]:
    found = kind.find(connection, request.user)
    return {
        "phrase": kind.phrase(len(found)),
        "items": found[:PRINTED],
        "more": max(0, len(found) - PRINTED),
    }


def to_revoke(connection: Connection) -> list[str]:
    """What to take back at the service, in the words of the connection's type and with its account and target."""
    connector = connectors.get(connection.type_key)
    if connector is None:
        return []
    values = defaultdict(lambda: "?", connection.settings)
    values["target"] = connector.target_label(connection.settings)
    return [
        _(part.text) % values
        for part in connector.revoke
        if is_active(part, connection.settings) and (not part.needs or connection.settings.get(part.needs))
    ]


def _load(request: PortalRequest, uuid: UUID) -> Connection:
    return get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
