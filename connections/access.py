"""*Explain access*: for any person and connection, what allows use of it or stands in the way, as one query.

The same rule as ``permissions.usable_connections``, told instead of applied; a test compares the two for every pair.
"""

from enum import IntEnum
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from connections.connectors import CONNECTORS
from connections.models import (
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
)
from connections.permissions import USE
from connections_portal.models import User
from connections_portal.roles import Role


class Why(IntEnum):
    """What allows the use of a connection (up to ``GROUP``) or stands in the way of it, in this order in lists."""

    SUPERUSER = 1
    ADMINISTRATOR = 2
    ENRICHMENT = 3
    CONTRIBUTORS = 4
    PERSON = 5
    GROUP = 6
    NOT_SHARED = 7
    VIEWER = 8
    SUPPORT = 9
    NO_ROLE = 10
    INACTIVE = 11


# The condition of what is open to nobody without a grant.
NEVER = Q(pk__in=[])
ALLOWED = tuple(why for why in Why if why <= Why.GROUP)


def of_person(person: User) -> QuerySet[Connection]:
    """Every connection, with ``why`` the person may use it or not, and the grants behind it (see ``_explained``)."""
    enrichment = Q(type_key__in=open_types())
    return _explained(
        Connection.objects.all(), person=Value(person.pk), connection=OuterRef("pk"), open_to_all=enrichment
    )


def of_connection(connection: Connection) -> QuerySet[User]:
    """Everybody, with ``why`` they may use the connection or not, and the grants behind it (see ``_explained``)."""
    enrichment = Q(pk__isnull=False) if connection.type_key in open_types() else NEVER
    return _explained(
        User.objects.all(), person=OuterRef("pk"), connection=Value(connection.pk), open_to_all=enrichment
    )


def why(*, person: Any, connection: Any, open_to_all: Q) -> Case:
    """A ``Why`` as a column; ``person`` and ``connection`` are references to ids, or values.

    ``open_to_all`` is the condition under which the connection is open to every contributor without a grant.
    """
    is_contributor = Q(_in_role(person, Role.CONTRIBUTOR))
    return Case(
        When(~Exists(User.objects.filter(pk=person, is_active=True)), then=Value(Why.INACTIVE)),
        When(Exists(User.objects.filter(pk=person, is_superuser=True)), then=Value(Why.SUPERUSER)),
        When(_in_role(person, Role.ADMINISTRATOR), then=Value(Why.ADMINISTRATOR)),
        When(is_contributor & open_to_all, then=Value(Why.ENRICHMENT)),
        When(is_contributor & Q(_to_contributors(connection)), then=Value(Why.CONTRIBUTORS)),
        When(is_contributor & Q(_to_person(person, connection)), then=Value(Why.PERSON)),
        When(is_contributor & Q(Exists(_to_groups(person, connection))), then=Value(Why.GROUP)),
        When(is_contributor, then=Value(Why.NOT_SHARED)),
        When(_in_role(person, Role.VIEWER), then=Value(Why.VIEWER)),
        When(_in_role(person, Role.SUPPORT), then=Value(Why.SUPPORT)),
        default=Value(Why.NO_ROLE),
        output_field=IntegerField(),
    )


def open_types() -> list[str]:
    """The types that are there for enrichments only: every contributor may use these, without a grant."""
    return [connector.key for connector in CONNECTORS if not connector.serves("export")]


def _explained(rows: QuerySet[Any], *, person: Any, connection: Any, open_to_all: Q) -> QuerySet[Any]:
    """``rows`` with ``why``, ``by_name`` (a grant to the person), ``first_group`` and ``group_count`` (theirs).

    The grants are told whether they count or lie idle.
    """
    groups = _to_groups(person, connection)
    counted = groups.order_by().values("content_object").annotate(number=Count("pk")).values("number")
    explained: QuerySet[Any] = rows.annotate(
        why=why(person=person, connection=connection, open_to_all=open_to_all),
        by_name=_to_person(person, connection),
        first_group=Subquery(
            groups.order_by("group__name").values("group__name")[:1], output_field=CharField()
        ),
        group_count=Coalesce(Subquery(counted, output_field=IntegerField()), 0),
    )
    return explained


def _in_role(person: Any, role: Role) -> Exists:
    return Exists(User.groups.through.objects.filter(user_id=person, group__name=role.value))


def _to_person(person: Any, connection: Any) -> Exists:
    grants = ConnectionUserObjectPermission.objects.filter(permission__codename=USE)
    return Exists(grants.filter(user_id=person, content_object_id=connection))


def _to_contributors(connection: Any) -> Exists:
    return Exists(_group_grants().filter(content_object_id=connection, group__name=Role.CONTRIBUTOR.value))


def _to_groups(person: Any, connection: Any) -> QuerySet[ConnectionGroupObjectPermission]:
    """Grants to groups of the person that are no roles."""
    own = _group_grants().exclude(group__name__in=[role.value for role in Role])
    theirs: QuerySet[ConnectionGroupObjectPermission] = own.filter(
        content_object_id=connection, group__user=person
    )
    return theirs


def _group_grants() -> QuerySet[ConnectionGroupObjectPermission]:
    return ConnectionGroupObjectPermission.objects.filter(permission__codename=USE)
