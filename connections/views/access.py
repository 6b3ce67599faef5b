"""*Explain access*: for one person every connection, for one connection everybody, each with what allows it or not."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from connections import access, connectors
from connections.access import ALLOWED, Why
from connections.models import Connection, State
from connections.views.lists import STATUS_KINDS, type_of
from connections_portal.groups import groups
from connections_portal.models import User
from connections_portal.names import name_key, search_words
from connections_portal.people_listing import ROLES, search_people, shown_name, sort_in, with_role
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, page_or_fragment, paginate, role_required

ANSWERS = ("yes", "no")


@require_safe
@role_required(Role.ADMINISTRATOR)
def of_person(request: PortalRequest, pk: int) -> HttpResponse:
    """What one person may use, and why: every connection."""
    person = get_object_or_404(with_role(User.objects.all()), pk=pk)
    words, answer = _asked(request)
    found = access.of_person(person)
    for word in words.split():
        found = found.filter(name_key__contains=name_key(word))
    columns = {"name": Lower("name"), "type": Lower("type_key")}
    sort = sort_in(request.GET, ("name", "type", "access"))
    page = paginate(request, _ordered(_answered(found, answer), sort, columns))
    context = {
        "person": person,
        "role": ROLES[person.shown_role],
        "groups": [group.name for group in groups().filter(user=person)],
        "rows": [
            {
                "connection": connection,
                "type": type_of(connection),
                "status_kind": STATUS_KINDS[State(connection.state)],
                "not_offered": _not_offered(connection) if connection.why in ALLOWED else "",
                **_explained(connection),
            }
            for connection in page
        ],
    }
    return _page(request, "person", context | _around(page, sort, words, answer))


@require_safe
@role_required(Role.ADMINISTRATOR)
def of_connection(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Who may use one connection, and why: everybody."""
    connection = get_object_or_404(Connection.objects.editable_by(request.user), uuid=uuid)
    words, answer = _asked(request)
    found = search_people(with_role(access.of_connection(connection)), words)
    columns = {"name": shown_name(), "role": Lower("shown_role")}
    sort = sort_in(request.GET, ("name", "role", "access"))
    page = paginate(request, _ordered(_answered(found, answer), sort, columns))
    connector = connectors.get(connection.type_key)
    context = {
        "connection": connection,
        "type": type_of(connection),
        "shareable": connector is None or connector.serves("export"),
        "not_offered": _not_offered(connection),
        "rows": [
            {"person": person, "role": ROLES[person.shown_role], **_explained(person)} for person in page
        ],
    }
    return _page(request, "connection", context | _around(page, sort, words, answer))


def _asked(request: PortalRequest) -> tuple[str, str]:
    answer = request.GET.get("answer", "")
    return search_words(request.GET.get("q", "")), answer if answer in ANSWERS else ""


def _answered(found: QuerySet[Any], answer: str) -> QuerySet[Any]:
    if answer == "yes":
        return found.filter(why__in=ALLOWED)
    return found.exclude(why__in=ALLOWED) if answer == "no" else found


def _ordered(found: QuerySet[Any], sort: str, columns: dict[str, Any]) -> QuerySet[Any]:
    key = sort.removeprefix("-")
    names = [columns["name"], "pk"]
    if key == "access":
        return found.order_by(sort.replace("access", "why"), *names)
    return found.order_by(columns[key].desc() if sort.startswith("-") else columns[key].asc(), *names)


def _around(page: Any, sort: str, words: str, answer: str) -> dict[str, Any]:
    return {
        "page_obj": page,
        "sort": sort,
        "words": words,
        "answer": answer,
        "answers": [("yes", _("May use")), ("no", _("May not use"))],
        "filtered": bool(words or answer),
    }


def _page(request: PortalRequest, about: str, context: dict[str, Any]) -> HttpResponse:
    return page_or_fragment(
        request, f"connections/access_of_{about}.html", f"connections/_access_of_{about}.html", context
    )


def _explained(row: Any) -> dict[str, Any]:
    """Of an explained row: whether, why, and what else there is to know of its grants."""
    why = Why(row.why)
    return {"allowed": why in ALLOWED, "why": _because(why, row), "more": _more(why, row)}


def _because(why: Why, row: Any) -> str:
    texts = {
        Why.SUPERUSER: _("A superuser counts as administrator and may use every connection."),
        Why.ADMINISTRATOR: _("Administrators may use every connection."),
        Why.ENRICHMENT: _("Enrichment connections are open to administrators and contributors."),
        Why.CONTRIBUTORS: _("Shared with all contributors."),
        Why.PERSON: _("Shared with them by name."),
        Why.GROUP: _("Shared with %(groups)s.") % {"groups": _groups(row)},
        Why.NOT_SHARED: _("Shared neither with them nor with a group of theirs."),
        Why.VIEWER: _("Viewers look at exports and use no connection."),
        Why.SUPPORT: _("Support staff read, and use no connection."),
        Why.NO_ROLE: _("They have no role."),
        Why.INACTIVE: _("Deactivated: they cannot sign in."),
    }
    return texts[why]


def _groups(row: Any) -> str:
    """*the group Campaign team and 2 other groups of theirs*."""
    text = _("the group %(name)s") % {"name": row.first_group}
    others = row.group_count - 1
    if others > 0:
        text += " " + ngettext(
            "and %(n)d other group of theirs", "and %(n)d other groups of theirs", others
        ) % {"n": others}
    return text


def _more(why: Why, row: Any) -> str:
    """What would stay if the first reason were taken away, or which grants lie idle."""
    if not row.by_name and not row.group_count:
        return ""
    shared = (
        _("Shared with them by name")
        if row.by_name
        else _("Shared with %(groups)s") % {"groups": _groups(row)}
    )
    if row.by_name and row.group_count:
        shared = _("Shared with them by name and with %(groups)s") % {"groups": _groups(row)}
    if why in (Why.VIEWER, Why.SUPPORT, Why.NO_ROLE, Why.INACTIVE):
        return _("%(shared)s, which lies idle while they are no active contributor.") % {"shared": shared}
    if why is Why.PERSON and row.group_count:
        return _("Also shared with %(groups)s: taking one away leaves the other.") % {"groups": _groups(row)}
    if why is Why.GROUP and row.group_count > 1:
        return _("Taking one of them away leaves the others.")
    if why in (Why.SUPERUSER, Why.ADMINISTRATOR):
        return _("%(shared)s, which counts if they become a contributor.") % {"shared": shared}
    return ""


def _not_offered(connection: Connection) -> str:
    """Why the connection is offered to nobody at present; empty when it is ready."""
    texts = {
        State.NOT_VERIFIED: _("Not verified yet: until then it is offered to nobody and runs nothing."),
        State.NEEDS_ATTENTION: _("It needs attention: until then it is offered to nobody and runs nothing."),
        State.PAUSED: _("It is paused: until it is resumed it is offered to nobody and runs nothing."),
    }
    return texts.get(State(connection.state), "")
