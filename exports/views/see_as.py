"""*See it as a contributor*: the export form's choice of connections, exactly as one person finds it."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from connections.models import Connection, State
from connections.picker import person_note
from connections.sharing import grantable_people
from connections_portal import audit
from connections_portal.models import User
from connections_portal.names import search_words
from connections_portal.people_listing import search_people
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, paginate, role_required
from exports.forms import ExportForm
from exports.sources import Sources
from exports.views.connection import connections_for
from exports.views.lists import administrators, nothing_shared


@require_safe
@role_required(Role.ADMINISTRATOR)
def see_as(request: PortalRequest) -> HttpResponse:
    """Choose a contributor, then see what the form offers them. Nobody's session is changed; the look is recorded."""
    words = search_words(request.GET.get("q", ""))
    context: dict[str, Any] = {"words": words}
    if text := request.GET.get("person", ""):
        person = _person(text)
        if request.method == "GET":
            audit.record("connection.seen_as", actor=request.user, target=person)
        context |= _as_seen_by(person)
    else:
        page = paginate(request, search_people(grantable_people(), words))
        context |= {
            "page_obj": page,
            "people": [{"person": person, "note": person_note(person)} for person in page],
        }
    return render(request, "exports/see_as.html", context)


def _person(text: str) -> User:
    """The contributor with this id; anybody else is 404."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Http404
    person = grantable_people().filter(pk=int(text)).first()
    if person is None:
        raise Http404
    return person


def _as_seen_by(person: User) -> dict[str, Any]:
    """The form's own parts, made for this person by the form's own code."""
    offered = connections_for(person)
    form = ExportForm(
        initial={}, connections=offered, sources=Sources(), reader_zone=person.time_zone, export=None
    )
    waiting = Connection.objects.usable_by(person).exclude(state=State.READY).order_by("name_key", "pk")
    return {
        "person": person,
        "form": form,
        "offered": offered,
        "nothing_shared": nothing_shared(person),
        "administrators": administrators(),
        "waiting": [
            _("%(name)s: %(state)s") % {"name": connection.name, "state": connection.get_state_display()}
            for connection in waiting
        ],
    }
