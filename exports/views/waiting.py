"""*Add connection* to all exports of one type that wait for one."""

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from connections.types import type_name
from connections.views.waiting import Waiting, attach_all, choose_type
from connections_portal import bulk
from connections_portal.web import PortalRequest, role_required
from exports.models import Export
from exports.operations.connection import attach_connection
from exports.permissions import EDITING_ROLES
from exports.views.connection import connections_for
from exports.waiting import phrase, waiting_for, waiting_types


@require_safe
@role_required(*EDITING_ROLES)
def waiting(request: PortalRequest) -> HttpResponse:
    """The types of what waits, each with its own dialog."""
    return choose_type(
        request,
        waiting_types(request.user),
        text=_("Choose a type. All its exports that wait get the same connection."),
        nothing=_("No export that you may change waits for a connection."),
        name_of=type_name,
        phrase=phrase,
        url_of=lambda key: reverse("exports:attach_waiting", args=[key]),
        list_url=reverse("exports:list"),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def attach_waiting(request: PortalRequest, type_key: str) -> HttpResponse:
    """Choose one connection for all of them."""
    words = {"type": type_name(type_key)}
    described = Waiting(
        rows=waiting_for(request.user).filter(type_key=type_key),
        connection_type=type_name(type_key),
        why_not=_why_not,
        nothing=_("No %(type)s export that you may change waits for a connection.") % words,
        sentences=lambda number: _what_happens(request, type_key, number),
        operation=lambda export, connection: attach_connection(
            export=export, connection=connection, actor=request.user
        ),
        success=lambda n, connection: (
            ngettext("%(n)d export now uses %(connection)s.", "%(n)d exports now use %(connection)s.", n)
            % {"n": n, "connection": connection}
        ),
        ask_for=_(
            "There is no %(type)s connection ready that you may use. Ask an administrator to set one up or to "
            "share one with you."
        )
        % words,
        connections_url=reverse("connections:exports"),
        list_url=reverse("exports:list"),
        fields="exports/_attach_fields.html",
        label=_("Connection for export"),
    )
    return attach_all(request, described, connections_for(request.user, type_key))


def _why_not(missing: Sequence[UUID]) -> list[bulk.LeftOut]:
    gone = Export.objects.filter(uuid__in=missing, connection__isnull=False)
    names = {export.uuid: export.name for export in gone}
    return [
        bulk.LeftOut(name=names[uuid], reason=_("It has a connection already."))
        if uuid in names
        else bulk.LeftOut(
            name=_("Unknown export"), reason=_("You cannot change it, or it was removed meanwhile.")
        )
        for uuid in missing
    ]


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
