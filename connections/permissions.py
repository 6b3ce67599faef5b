"""Who may do what with a connection.

Administrators see, edit, share and remove every connection. Contributors never see one; they may *use* those on
which they, or a group of theirs, hold a grant: use means to see its name and type and to build exports on it.
Connections that attributes come in over are open to every contributor without a grant, for enrichments alone.
Nobody else has any right. An administrator needs no grant; a former contributor's grant lies idle (rule S10).
"""

from typing import TYPE_CHECKING

from django.db.models import Q

from connections import connectors
from connections_portal import roles
from connections_portal.models import User

if TYPE_CHECKING:
    from connections.models import Connection, ConnectionQuerySet

USE = "use_connection"


def can_edit(user: User) -> bool:
    """Whether the person administers connections (set up, edit, share, remove)."""
    return roles.is_administrator(user)


def can_use(user: User, connection: "Connection", direction: str = "export") -> bool:
    """Whether the person may build and run exports (or, as ``direction``, enrichments) on this connection."""
    from connections.models import Connection

    return Connection.objects.filter(pk=connection.pk).usable_by(user, direction).exists()


def editable_connections(connections: "ConnectionQuerySet", user: User) -> "ConnectionQuerySet":
    """All for administrators, none for others."""
    return connections if can_edit(user) else connections.none()


def usable_connections(connections: "ConnectionQuerySet", user: User, direction: str) -> "ConnectionQuerySet":
    """Those of a type that serves ``direction``. Administrators: all. Contributors: for exports those granted to them
    or to a group of theirs, for enrichments all. Others: none.
    """
    if direction == "export":
        # one of a type that is gone is told apart from these by its runs, and goes on belonging to whom it was shared
        others = [c.key for c in connectors.CONNECTORS if not c.serves("export")]
        connections = connections.exclude(type_key__in=others)
    else:
        connections = connections.filter(type_key__in=connectors.keys_for(direction))
    if roles.is_administrator(user):
        return connections
    if not roles.is_contributor(user):
        return connections.none()
    if direction == "enrichment":
        return connections
    return connections.filter(_granted_to(user))


def _granted_to(user: User) -> Q:
    """The connections on which the person, or a group of theirs, holds a grant.

    Asked of guardian's tables directly: what ``get_objects_for_user`` asks finds the same and takes twice as long.
    """
    from connections.models import ConnectionGroupObjectPermission, ConnectionUserObjectPermission

    own = ConnectionUserObjectPermission.objects.filter(permission__codename=USE, user=user)
    groups = ConnectionGroupObjectPermission.objects.filter(permission__codename=USE, group__user=user)
    return Q(pk__in=own.values("content_object")) | Q(pk__in=groups.values("content_object"))
