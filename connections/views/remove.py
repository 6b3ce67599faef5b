"""*Remove* a connection: confirmed when nothing uses it, otherwise refused with what does."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from connections import dependents
from connections.models import Connection
from connections.operations.remove import remove_connection
from connections.views.lists import target_of
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, role_required


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def remove(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then remove. A connection that changed or came into use meanwhile is asked about afresh (409)."""
    connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
    error = ""
    if request.method == "POST":
        version = request.POST.get("version", "")[:10]
        try:
            remove_connection(
                connection=connection,
                version=int(version) if version.isascii() and version.isdigit() else 0,
                actor=request.user,
            )
        except OperationError as refused:
            error = refused.message
            connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
        else:
            messages.success(request, _("%(name)s is removed.") % {"name": connection.name})
            return go_to(request, reverse("connections:exports"))
    context = _question(request, connection) | {"error": error}
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=409 if error else 200)


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
