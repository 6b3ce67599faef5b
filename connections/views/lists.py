"""Settings > Connections > Exports and > Enrichment: the connections there are."""

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from connections import connectors, dependents, listing, vault_expiry
from connections.models import (
    Access,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
    State,
)
from connections.operations.restore import restorable
from connections.sharing import grantable_groups, grantable_people, is_open
from connections.views.discover import tab_counts
from connections.views.steps import type_facts
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, is_fragment, page_or_fragment, paginate, role_required

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
    return _list(request, "exports")


@require_safe
@role_required(Role.ADMINISTRATOR)
def enrichment(request: PortalRequest) -> HttpResponse:
    """Connections that enrichments can be built on."""
    return _list(request, "enrichment")


def _list(request: PortalRequest, tab: str) -> HttpResponse:
    want = listing.wanted(request.GET, tab)
    page = paginate(request, listing.found(want, tab, request.user))
    context: dict[str, Any] = {
        "tab": tab,
        "want": want,
        "sort": want.sort,
        "page_obj": page,
        "rows": rows(list(page)),
    }
    if not is_fragment(request):
        types = [type_facts(connector) for connector in listing.types_of(tab)]
        context |= {
            "counts": tab_counts(),
            "types": types,
            "type_choices": sorted(((kind["key"], kind["name"]) for kind in types), key=lambda kind: kind[1]),
            "statuses": [
                *((state.value, state.label) for state in listing.STATES),
                (listing.EXPIRING, _("Secret expires soon")),
            ],
            "accesses": Access.choices,
            "removed_count": restorable().count(),
        }
    return page_or_fragment(request, "connections/list.html", "connections/_table.html", context)


def rows(connections: list[Connection]) -> list[dict[str, Any]]:
    """Table rows: two queries for who has access, one for what expires, one per kind for what uses them, whatever the
    number of rows.
    """
    expiring = vault_expiry.expiring(connection.pk for connection in connections)
    access = who_has_access(connections)
    used = uses_of(connections)
    return [
        {
            "connection": connection,
            "type": type_of(connection),
            "target": target_of(connection),
            "status_kind": STATUS_KINDS[State(connection.state)],
            "status_sub": _(connection.state_cause)
            if connection.state_cause
            else (expiring[connection.pk].short if connection.pk in expiring else ""),
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


def uses_of(connections: list[Connection], *, blocking: bool = False) -> dict[int, list[dict[str, str]]]:
    """Per connection what uses it, or only what blocks its removal: for each kind a phrase and the list it is in."""
    ids = [connection.pk for connection in connections]
    used: dict[int, list[dict[str, str]]] = {}
    for kind in dependents.kinds():
        counts = kind.blocks(ids) if blocking else kind.count(ids)
        for connection in connections:
            if number := counts.get(connection.pk, 0):
                entry = {"phrase": kind.phrase(number), "url": kind.list_url(connection)}
                used.setdefault(connection.pk, []).append(entry)
    return used


def who_has_access(connections: list[Connection]) -> dict[int, Who]:
    """*Administrators*, *Administrators and contributors*, or *Administrators, Ana Weber and 2 more*.

    The grant of somebody who is no contributor at present lies idle, and so does that of a group without any: neither
    is named.
    """
    specific = [c.pk for c in connections if c.access == Access.SPECIFIC]
    named: dict[int, list[tuple[str, bool]]] = {}
    people = ConnectionUserObjectPermission.objects.filter(
        content_object__in=specific, user__in=grantable_people()
    )
    for grant in people.select_related("user").order_by("user__first_name", "user__last_name", "pk"):
        named.setdefault(grant.content_object_id, []).append((str(grant.user), False))
    groups = ConnectionGroupObjectPermission.objects.filter(
        content_object__in=specific, group__in=grantable_groups()
    ).select_related("group")
    for group_grant in groups.order_by("group__name", "pk"):
        named.setdefault(group_grant.content_object_id, []).append((group_grant.group.name, True))
    return {c.pk: _who(c, named.get(c.pk, [])) for c in connections}


def _who(connection: Connection, named: list[tuple[str, bool]]) -> Who:
    if is_open(connection.type_key):
        return Who(str(Access.CONTRIBUTORS.label))
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
