"""Grants behind *Choose who can use this connection*."""

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

from connections.models import (
    Access,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
)
from connections.permissions import USE
from connections_portal.models import User
from connections_portal.roles import Role


def grantable_people() -> QuerySet[User]:
    """Contributors that are active, by name."""
    return User.objects.filter(is_active=True, groups__name=Role.CONTRIBUTOR).order_by(
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
