"""*Add connection* to all enrichments of one type that wait for one, which makes them active."""

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from connections.types import type_name as connection_type_name
from connections.views.waiting import Waiting, attach_all, choose_type
from connections_portal import bulk
from connections_portal.web import PortalRequest, role_required
from enrichments.listing import waiting as all_waiting
from enrichments.operations.state import activate
from enrichments.permissions import EDITING_ROLES
from enrichments.types import type_name
from enrichments.views.loading import connections_for
from enrichments.waiting import phrase, waiting_types


@require_safe
@role_required(*EDITING_ROLES)
def waiting(request: PortalRequest) -> HttpResponse:
    """The types of what waits, each with its own dialog."""
    return choose_type(
        request,
        waiting_types(),
        text=_("Choose a type. All its enrichments that wait get the same connection."),
        nothing=_("No enrichment waits for a connection."),
        name_of=type_name,
        phrase=phrase,
        url_of=lambda key: reverse("enrichments:attach_waiting", args=[key]),
        list_url=reverse("enrichments:mine"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def attach_waiting(request: PortalRequest, type_key: str) -> HttpResponse:
    """Choose one connection for all of them; each gets it under *Activate* of a single one."""
    connection_type = connection_type_name(type_key)
    described = Waiting(
        rows=all_waiting().filter(type_key=type_key),
        connection_type=connection_type,
        why_not=_why_not,
        nothing=_("No enrichment of this type waits for a connection."),
        sentences=_what_happens,
        operation=lambda enrichment, connection: activate(
            enrichment=enrichment, actor=request.user, connection=connection
        ),
        success=lambda n, connection: (
            ngettext(
                "%(n)d enrichment now uses %(connection)s.", "%(n)d enrichments now use %(connection)s.", n
            )
            % {"n": n, "connection": connection}
        ),
        ask_for=_("There is no %(type)s connection ready. Ask an administrator to set one up.")
        % {"type": connection_type},
        connections_url=reverse("connections:enrichment"),
        list_url=reverse("enrichments:mine"),
        fields="enrichments/_connection_fields.html",
        label=_("Connection"),
    )
    return attach_all(request, described, connections_for(request.user, type_key))


def _why_not(missing: Sequence[UUID]) -> list[bulk.LeftOut]:
    reason = _("It has a connection already, or was deleted meanwhile.")
    return [bulk.LeftOut(name=_("Unknown enrichment"), reason=reason) for _uuid in missing]


def _what_happens(number: int) -> list[str]:
    return [
        ngettext(
            "It keeps its settings, becomes active, and you become responsible for it.",
            "They keep their settings, become active, and you become responsible for them.",
            number,
        ),
        ngettext(
            "It runs with the system refresh again. Nothing is caught up.",
            "They run with the system refresh again. Nothing is caught up.",
            number,
        ),
    ]
