"""What depends on a connection, in business terms: for its page."""

from typing import Any

from django.urls import reverse
from django.utils import timezone

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
        "access_url": reverse("connections:access", args=[connection.uuid]),
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
