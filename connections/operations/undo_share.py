"""*Undo* after a change of who can use a connection."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import dependents
from connections.models import Access, Connection
from connections.operations.share import impact_of
from connections.sharing import Grants, contributors_with, granted, set_grants
from connections_portal import audit
from connections_portal.errors import Stale
from connections_portal.models import User
from connections_portal.undo import CannotUndo, Item


@dataclass(frozen=True, kw_only=True)
class Undone:
    """The connection with its earlier access; ``missed`` counts what was changed since and stays as it is."""

    connection: Connection
    missed: int


def undo_share(*, item: Item, actor: User, now: datetime | None = None) -> Undone:
    """Give the connection the access back that it had, and what hung on it the responsible people and schedules.

    Those schedules count from ``now`` on, nothing is caught up. Raises Stale when the connection was changed since or
    removed, and CannotUndo when somebody who would lose the right answers for something on it by now.
    """
    with transaction.atomic():
        editable = Connection.objects.editable_by(actor)
        connection = editable.select_for_update().filter(uuid=item.uuid).first()
        if connection is None:
            raise Stale(_("The connection was removed meanwhile."))
        if connection.version != item.version:
            raise Stale(_("The connection was changed since. Nothing was undone."))
        before, after = granted(connection), _grants(item)
        had, has = contributors_with(before), contributors_with(after)
        losing = [person for pk, person in had.items() if pk not in has]
        if any(withdrawal.left for withdrawal in impact_of(connection, losing, after).withdrawals):
            raise CannotUndo(
                _(
                    "Somebody has begun to use the connection since. Share it anew to take the access away again."
                )
            )
        connection.access, connection.updated_by = after.access, actor
        connection.version += 1
        connection.save(update_fields=["access", "version", "updated_by", "updated_at"])
        people = User.objects.filter(pk__in=after.people)
        groups = Group.objects.filter(pk__in=after.groups)
        set_grants(connection, after.access, people, groups)
        missed = dependents.bring_back_all(
            connection, item.before["memories"], actor=actor, now=now or timezone.now()
        )
        audit.record(
            "connection.share_undone",
            actor=actor,
            target=connection,
            access=after.access.value,
            people=[str(person) for person in people],
            groups=[group.name for group in groups],
            gained=[str(person) for pk, person in has.items() if pk not in had],
            lost=[str(person) for person in losing],
        )
        return Undone(connection=connection, missed=missed)


def _grants(item: Item) -> Grants:
    """What was stored, without people and groups that are gone."""
    people = User.objects.filter(pk__in=item.before["people"])
    groups = Group.objects.filter(pk__in=item.before["groups"])
    return Grants(
        access=Access(item.before["access"]),
        people=frozenset(people.values_list("pk", flat=True)),
        groups=frozenset(groups.values_list("pk", flat=True)),
    )
