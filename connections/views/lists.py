"""Settings > Connections > Exports and > Enrichment: the connections there are."""

from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Q, QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from connections import connectors, dependents
from connections.connectors import CONNECTORS
from connections.models import (
    Access,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
    State,
)
from connections.sharing import grantable_people
from connections.views.discover import tab_counts
from connections.views.steps import type_facts
from connections_portal.names import name_key
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, page_or_fragment, paginate, role_required

SORTS = {
    "name": "name_key",
    "type": "type_key",
    "status": "state",
    "created": "created_at",
    "access": "access",
}
STATUS_KINDS = {
    State.READY: "ok",
    State.NEEDS_ATTENTION: "bad",
    State.NOT_VERIFIED: "warn",
    State.PAUSED: "paused",
}


@dataclass
class Who:
    """*Who has access*, in words, with up to two initials, and with everybody that is named."""

    text: str
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)


@require_safe
@role_required(Role.ADMINISTRATOR)
def exports(request: PortalRequest) -> HttpResponse:
    """Connections that exports can be built on."""
    return _list(request, "exports", ("export", "both"))


@require_safe
@role_required(Role.ADMINISTRATOR)
def enrichment(request: PortalRequest) -> HttpResponse:
    """Connections that enrichments can be built on."""
    return _list(request, "enrichment", ("enrichment", "both"))


def _list(request: PortalRequest, tab: str, directions: tuple[str, ...]) -> HttpResponse:
    types = [connector for connector in CONNECTORS if connector.direction in directions]
    words = request.GET.get("q", "").replace("\0", "").strip()[:100]
    connections = (
        Connection.objects.editable_by(request.user)
        .filter(type_key__in=[c.key for c in types])
        .select_related("created_by")
    )
    found = _search(connections, words)
    page = paginate(request, _sorted(found, request.GET.get("sort", "")))
    context = {
        "tab": tab,
        "counts": tab_counts(),
        "types": [type_facts(connector) for connector in types],
        "words": words,
        "sort": request.GET.get("sort", "name"),
        "page_obj": page,
        "rows": rows(list(page)),
        "has_any": bool(words) or page.paginator.count > 0,
    }
    return page_or_fragment(request, "connections/list.html", "connections/_table.html", context)


def _search(connections: QuerySet[Connection], words: str) -> QuerySet[Connection]:
    """By name, type and target."""
    if not words:
        return connections
    types = [c.key for c in CONNECTORS if words.casefold() in f"{c.name} {c.connection_name}".casefold()]
    targets = [c.pk for c in connections if words.casefold() in target_of(c).casefold()]
    return connections.filter(
        Q(name_key__contains=name_key(words)) | Q(type_key__in=types) | Q(pk__in=targets)
    )


def _sorted(connections: QuerySet[Connection], sort: str) -> Any:
    """By any column both ways; *Used by* is counted by whoever uses them, so it is sorted here."""
    descending, key = sort.startswith("-"), sort.removeprefix("-")
    if key == "used":
        listed = list(connections.order_by("name_key", "pk"))
        counts = _uses([c.pk for c in listed])
        return sorted(listed, key=lambda c: counts.get(c.pk, 0), reverse=descending)
    column = F(SORTS.get(key, "name_key"))
    return connections.order_by(column.desc() if descending else column.asc(), "name_key", "pk")


def _uses(ids: list[int]) -> dict[int, int]:
    uses: dict[int, int] = {}
    for kind in dependents.kinds():
        for connection_id, number in kind.count(ids).items():
            uses[connection_id] = uses.get(connection_id, 0) + number
    return uses


def rows(connections: list[Connection]) -> list[dict[str, Any]]:
    """Table rows: two queries for who has access, one per kind for what uses them, whatever the number of rows."""
    access = who_has_access(connections)
    used = uses_of(connections)
    return [
        {
            "connection": connection,
            "type": type_of(connection),
            "target": target_of(connection),
            "status_kind": STATUS_KINDS[State(connection.state)],
            "status_sub": _(connection.state_cause) if connection.state_cause else "",
            "created_by": connection.created_by,
            "who": access[connection.pk],
            "used": used.get(connection.pk, []),
        }
        for connection in connections
    ]


def type_of(connection: Connection) -> dict[str, Any]:
    """Name, icon and category of the connection's type, also when the type is gone."""
    connector = connectors.get(connection.type_key)
    if connector is None:
        return {"name": connection.type_key, "icon": "plug_disconnected", "category": ""}
    return type_facts(connector)


def target_of(connection: Connection) -> str:
    """The target in one line."""
    connector = connectors.get(connection.type_key)
    return connector.target_label(connection.settings) if connector else ""


def uses_of(connections: list[Connection]) -> dict[int, list[dict[str, str]]]:
    """Per connection what uses it: a phrase and the list it leads to, for each kind."""
    ids = [connection.pk for connection in connections]
    used: dict[int, list[dict[str, str]]] = {}
    for kind in dependents.kinds():
        counts = kind.count(ids)
        for connection in connections:
            if number := counts.get(connection.pk, 0):
                entry = {"phrase": kind.phrase(number), "url": kind.list_url(connection)}
                used.setdefault(connection.pk, []).append(entry)
    return used


def who_has_access(connections: list[Connection]) -> dict[int, Who]:
    """*Administrators*, *Administrators and contributors*, or *Administrators, Ana Weber and 2 more*.

    The grant of somebody who is no contributor at present lies idle, so they are not named.
    """
    specific = [c.pk for c in connections if c.access == Access.SPECIFIC]
    named: dict[int, list[tuple[str, bool]]] = {}
    people = ConnectionUserObjectPermission.objects.filter(
        content_object__in=specific, user__in=grantable_people()
    )
    for grant in people.select_related("user").order_by("user__first_name", "user__last_name", "pk"):
        named.setdefault(grant.content_object_id, []).append((str(grant.user), False))
    groups = ConnectionGroupObjectPermission.objects.filter(content_object__in=specific).select_related(
        "group"
    )
    for group_grant in groups.order_by("group__name", "pk"):
        named.setdefault(group_grant.content_object_id, []).append((group_grant.group.name, True))
    return {c.pk: _who(c, named.get(c.pk, [])) for c in connections}


def _who(connection: Connection, named: list[tuple[str, bool]]) -> Who:
    if connection.access != Access.SPECIFIC or not named:
        shown = Access.ADMINISTRATORS if connection.access == Access.SPECIFIC else Access(connection.access)
        return Who(str(shown.label))
    first, more = named[0][0], len(named) - 1
    text = _("Administrators, %(name)s") % {"name": first}
    if more:
        text += " " + ngettext("and %(n)d more", "and %(n)d more", more) % {"n": more}
    return Who(
        text,
        people=[name for name, is_group in named[:2] if not is_group],
        groups=[name for name, is_group in named[:2] if is_group],
        named=[name for name, _is_group in named],
    )
