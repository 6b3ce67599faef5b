"""Many connections locked at once."""

from typing import Any

from django.db.models import QuerySet

from connections.models import Connection


def lock_all(ids: QuerySet[Any, Any]) -> None:
    """Lock these connections (a query of ids) for the rest of the transaction, in the order of their ids.

    To be called before anything built on them is locked, where that is built on several: somebody who has one of the
    connections may wait for an export that uses another.
    """
    connections = Connection.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    list(connections.values_list("pk", flat=True))
