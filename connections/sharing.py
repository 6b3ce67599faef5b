"""Grants behind *Choose who can use this connection*."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from connections import connectors
from connections.models import (
    Access,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
)
from connections.permissions import USE
from connections_portal import roles
from connections_portal.models import User
from connections_portal.roles import Role


@dataclass(frozen=True, kw_only=True)
class Grants:
    """Who can use a connection, besides administrators: ids of people and groups count with *Specific people* only."""

    access: Access
    people: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()


def grantable_people() -> QuerySet[User]:
    """Contributors that are active, by name."""
    return User.objects.filter(is_active=True, is_superuser=False, groups__name=Role.CONTRIBUTOR).order_by(
        "first_name", "last_name", "username"
    )


def grantable_groups() -> QuerySet[Group]:
    """Groups with at least one contributor in them; the groups that are roles are not among them."""
    return (
        Group.objects.exclude(name__in=[role.value for role in Role])
        .filter(Q(user__in=grantable_people()))
        .distinct()
        .order_by("name")
    )


def set_grants(
    connection: Connection, access: Access, people: Iterable[User], groups: Iterable[Group]
) -> None:
    """Replace every grant on the connection by what ``access`` says, inside the caller's transaction."""
    permission = Permission.objects.get(codename=USE, content_type__app_label="connections")
    connection.user_grants.all().delete()
    connection.group_grants.all().delete()
    if access == Access.CONTRIBUTORS:
        groups, people = [Group.objects.get(name=Role.CONTRIBUTOR)], []
    elif access == Access.ADMINISTRATORS:
        groups, people = [], []
    ConnectionUserObjectPermission.objects.bulk_create(
        ConnectionUserObjectPermission(content_object=connection, permission=permission, user=person)
        for person in people
    )
    ConnectionGroupObjectPermission.objects.bulk_create(
        ConnectionGroupObjectPermission(content_object=connection, permission=permission, group=group)
        for group in groups
    )


def is_open(type_key: str) -> bool:
    """Whether all contributors may use connections of the type, so that nobody chooses who can: for enrichments."""
    connector = connectors.get(type_key)
    return connector is not None and not connector.serves("export")


def granted(connection: Connection) -> Grants:
    """What is stored, idle grants included: those of former contributors, and of groups that hold none.

    A connection of a type that is open is as one for all contributors.
    """
    if is_open(connection.type_key):
        return Grants(access=Access.CONTRIBUTORS)
    if connection.access != Access.SPECIFIC:
        return Grants(access=Access(connection.access))
    return Grants(
        access=Access.SPECIFIC,
        people=frozenset(connection.user_grants.values_list("user_id", flat=True)),
        groups=frozenset(connection.group_grants.values_list("group_id", flat=True)),
    )


def contributors_with(grants: Grants) -> dict[int, User]:
    """By id, the contributors who may use a connection with these grants; idle grants give nobody anything."""
    people = grantable_people()
    if grants.access == Access.ADMINISTRATORS:
        return {}
    if grants.access == Access.SPECIFIC:
        people = people.filter(Q(pk__in=grants.people) | Q(pk__in=members_of(grants.groups)))
    return {person.pk: person for person in people}


def members_of(groups: Collection[int]) -> QuerySet[User, int]:
    """Ids of everybody in one of these groups."""
    return User.objects.filter(groups__in=groups).order_by().values_list("pk", flat=True)


def people_with_use(connection: Connection) -> QuerySet[User]:
    """Everybody who may use the connection now: administrators, and the contributors with a grant (rule S10)."""
    contributors = contributors_with(granted(connection))
    return User.objects.filter(Q(pk__in=roles.administrators().values("pk")) | Q(pk__in=list(contributors)))
