"""*Remove* one connection or several: confirmed when nothing uses them, otherwise refused with what does."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from connections import connectors, dependents, listing
from connections.models import Connection
from connections.operations.remove import remove_connection
from connections.views.lists import target_of, uses_of
from connections_portal import bulk
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, back_to_list, page_or_fragment, role_required, version_in


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def remove(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then remove. A connection that changed or came into use meanwhile is asked about afresh (409)."""
    connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
    error = ""
    if request.method == "POST":
        try:
            remove_connection(
                connection=connection,
                version=version_in(request.POST.get("version", "")),
                actor=request.user,
            )
        except OperationError as refused:
            error = refused.message
            connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
        else:
            messages.success(request, _("%(name)s is removed.") % {"name": connection.name})
            return back_to_list(request, _list_of(connection))
    context = _question(request, connection) | {"error": error}
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=409 if error else 200)


def _list_of(connection: Connection) -> str:
    connector = connectors.get(connection.type_key)
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
        versions = _versions(request)
        outcome = bulk.each(
            connections,
            lambda row: remove_connection(
                connection=row, version=versions.get(str(row.uuid), 0), actor=request.user
            ),
            bulk.Outcome(),
        )
        number = len(outcome.done)
        success = ngettext("%(n)d connection is removed.", "%(n)d connections are removed.", number)
        return bulk.finish(request, outcome, title=title, success=success % {"n": number}, list_url=list_url)
    left_out = _in_use(connections)
    free = [connection for connection in connections if connection.pk not in left_out]
    return bulk.ask(
        request,
        title=title,
        sentences=[
            ngettext(
                "Nothing uses it. Its stored secrets are deleted too; the record of who agreed to what stays.",
                "Nothing uses them. Their stored secrets are deleted too; the record of who agreed to what stays.",
                len(free),
            ),
        ],
        rows=free,
        left_out=list(left_out.values()),
        button=_("Remove"),
        danger=True,
        list_url=list_url,
        fields="connections/_versions.html",
        connections=free,
    )


def _selected(request: PortalRequest) -> list[Connection]:
    """The ticked connections by name. Raises OperationError for none, for too many, and when all are gone."""
    chosen = Connection.objects.editable_by(request.user).filter(uuid__in=bulk.selected(request))
    connections = list(chosen.order_by("name_key", "pk"))
    if not connections:
        raise OperationError(_("What you selected has been removed meanwhile."))
    return connections


def _versions(request: PortalRequest) -> dict[str, int]:
    """By uuid the version that was shown in the question."""
    posted = (text[:60].partition(":") for text in request.POST.getlist("version"))
    return {uuid: version_in(version) for uuid, _colon, version in posted}


def _in_use(connections: list[Connection]) -> dict[int, bulk.LeftOut]:
    """By id those that cannot be removed: what uses them, and the list of it."""
    used = uses_of(connections)
    return {
        connection.pk: bulk.LeftOut(
            name=connection.name,
            reason=_("Used by %(what)s.") % {"what": ", ".join(use["phrase"] for use in uses)},
            url=uses[0]["url"],
        )
        for connection in connections
        if (uses := used.get(connection.pk))
    }


def _question(request: PortalRequest, connection: Connection) -> dict[str, Any]:
    links = [
        {"label": dependent.name, "url": dependent.url}
        for kind in dependents.kinds()
        for dependent in kind.find(connection, request.user)
    ]
    context: dict[str, Any] = {
        "title": _("Remove connection"),
        "subject": f"{connection.name} · {target_of(connection)}",
        "action": reverse("connections:remove", args=[connection.uuid]),
        "cancel_url": reverse("connections:detail", args=[connection.uuid]),
        "button": _("Remove"),
        "hidden": [("version", connection.version)],
    }
    if links:
        phrases = dependents.used_by([connection.pk]).get(connection.pk, [])
        return context | {
            "refused": True,
            "sentences": [
                _("It cannot be removed while it is used by %(what)s.") % {"what": ", ".join(phrases)},
                _("Remove them or detach the connection on their pages, then come back."),
            ],
            "links": links,
            "links_title": _("What's using this connection"),
        }
    return context | {
        "sentences": [
            _(
                "Nothing uses it. Its stored secrets are deleted with it; the record of who agreed to what stays."
            ),
        ],
    }
