"""Who may do what with an export.

Everybody with a role of the portal's pages (administrator, contributor, viewer) sees every export: its settings, its
runs, and of its connection the name and type. Administrators may change all of them. A contributor may change,
run, detach and remove every export whose connection they may use, whoever made it; an export without a connection
belongs to whoever may use some connection of its type. Running needs the right to change and a connection. A
viewer changes nothing.

The rule is written once, as a condition of the database, so that lists, pages and operations cannot disagree.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.utils.translation import gettext as _

from connections.models import Connection
from connections_portal import roles
from connections_portal.errors import NotAllowed
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export

VIEWING_ROLES = (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER)
EDITING_ROLES = (Role.ADMINISTRATOR, Role.CONTRIBUTOR)


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What one person may do with one export; also what its row offers."""

    edit: bool
    run: bool
    detach: bool
    attach: bool


def may_create(user: User) -> bool:
    """Whether the person builds exports at all; on which connection is a question of its own."""
    return roles.role_of(user) in EDITING_ROLES


def may_edit(user: User, export: Export) -> bool:
    """Whether the person may change, detach, schedule and remove this export (one query)."""
    return with_edit_right(Export.objects.filter(pk=export.pk), user).filter(Q(can_edit=True)).exists()


def may_run(user: User, export: Export) -> bool:
    """Whether the person may start and cancel runs of this export."""
    return export.connection_id is not None and may_edit(user, export)


def require_edit(user: User, export: Export) -> None:
    """Raise NotAllowed unless the person may change the export."""
    if not may_edit(user, export):
        raise NotAllowed(_("You can look at this export and not change it."))


def with_edit_right(exports: QuerySet[Export], user: User) -> QuerySet[Export]:
    """The same exports with a column ``can_edit``: no query per row, and the database can sort by it."""
    if roles.is_administrator(user):
        return exports.annotate(can_edit=Value(True))
    if not roles.is_contributor(user):
        return exports.annotate(can_edit=Value(False))
    usable = Connection.objects.usable_by(user).order_by()
    return exports.annotate(
        can_edit=Case(
            # neither asks anything of the export, so that the database finds out once for all of them
            When(connection__in=usable.values("pk"), then=True),
            When(connection__isnull=True, type_key__in=usable.values("type_key"), then=True),
            default=False,
            output_field=BooleanField(),
        )
    )


def types_open_to(user: User, type_keys: Collection[str]) -> set[str]:
    """Those of these types whose exports without a connection the person may change: the rule above, by type alone."""
    if roles.is_administrator(user):
        return set(type_keys)
    if not roles.is_contributor(user):
        return set()
    usable = Connection.objects.usable_by(user).filter(type_key__in=type_keys)
    return set(usable.order_by().values_list("type_key", flat=True).distinct())


def rights(export: Export, *, can_edit: bool) -> Rights:
    """What follows from the right to change this export."""
    connected = export.connection_id is not None
    return Rights(
        edit=can_edit,
        run=can_edit and connected,
        detach=can_edit and connected,
        attach=can_edit and not connected,
    )
