"""What depends on a connection, in business terms: for its page."""

from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import dependents
from connections.models import Connection
from connections.operations.stop import RECENT
from connections.sharing import people_with_use
from connections_portal.models import User

# So many of each kind are named before a link leads to all of them.
FIRST = 5


def usage(connection: Connection, user: User) -> dict[str, Any]:
    """What ``_usage.html`` shows: per kind what there is, what went over it in 30 days and what comes next.

    The number of queries does not depend on how much is built on the connection.
    """
    since = timezone.now() - RECENT
    return {
        "kinds": [_of_kind(kind, connection, user, since) for kind in dependents.kinds_on(connection)],
        "people": people_with_use(connection).count(),
        "links": _links(connection),
    }


def _of_kind(kind: dependents.Kind, connection: Connection, user: User, since: Any) -> dict[str, Any]:
    number = kind.count([connection.pk]).get(connection.pk, 0)
    use = kind.use(connection, since)
    first = kind.blocking(connection, user, FIRST).items if number else []
    return {
        "phrase": kind.phrase(number),
        "number": number,
        "list_url": kind.list_url(connection),
        "first": first,
        "more": max(0, number - len(first)),
        "use": use,
    }


def _links(connection: Connection) -> list[dict[str, str]]:
    places = [
        (_("Explain access"), "connections:access", [connection.uuid], "", "key"),
        (_("Move dependents"), "connections:move", [connection.uuid], "", "plug_connected"),
        (_("History"), "audit", [], f"?object={connection.uuid}", "history"),
    ]
    links = []
    for label, name, arguments, query, icon in places:
        try:
            links.append({"label": label, "url": reverse(name, args=arguments) + query, "icon": icon})
        except NoReverseMatch:
            continue
    return links
