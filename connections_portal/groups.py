"""Groups of people, which a connection can be shared with. The four groups that are roles are none of these."""

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from connections_portal.names import clean_name, name_key
from connections_portal.people import guarded
from connections_portal.roles import LABELS, Role


def groups() -> QuerySet[Group]:
    """Every group that is not a role, by name."""
    return Group.objects.exclude(name__in=[role.value for role in Role]).order_by("name")


def mark_of(group: Group) -> str:
    """What stands for the group as it is stored: a page that shows another one is stale."""
    members = sorted(group.user_set.values_list("pk", flat=True))
    return hashlib.sha256(json.dumps([group.name, members]).encode()).hexdigest()[:32]


def add_group(*, name: str, members: Collection[User] = (), actor: User | None) -> Group:
    """A new group. Raises NotAllowed, and OperationError with a message at ``name``."""
    with guarded(actor):
        group = Group.objects.create(name=_free_name(name))
        group.user_set.set(members)
        audit.record("group.added", actor=actor, target=group, people=_labels(members))
        return group


def change_group(
    *,
    group: Group,
    name: str,
    members: Collection[User],
    mark: str | None = None,
    seen: str | None = None,
    actor: User | None,
) -> Group:
    """Set name and members; what is shared with the group counts for whoever is in it, with their next request.

    ``mark`` is that of the page (None: not checked). Raises what ``people.guarded`` does, Stale, and OperationError
    with a message at ``name``.
    """
    wanted = {person.pk: person for person in members}
    present = {person.pk: person for person in group.user_set.all()}
    leaving = [pk for pk in present if pk not in wanted]
    with guarded(actor, losing=leaving, seen=seen):
        locked = _lock(group)
        if mark is not None and mark != mark_of(locked):
            raise Stale(_("Somebody changed this group meanwhile. Look at what is stored now."))
        before = locked.name
        clean = _free_name(name, other_than=locked)
        joining = [pk for pk in wanted if pk not in present]
        if clean == before and not joining and not leaving:
            return locked
        locked.name = clean
        locked.save(update_fields=["name"])
        locked.user_set.set(members)
        details: dict[str, Any] = {
            "before": before if before != clean else "",
            "joined": _labels([wanted[pk] for pk in joining]),
            "left": _labels([present[pk] for pk in leaving]),
        }
        audit.record("group.changed", actor=actor, target=locked, **{k: v for k, v in details.items() if v})
        return locked


def remove_group(*, group: Group, seen: str | None = None, actor: User | None) -> None:
    """Delete the group and what is shared with it; its members stay. Raises as ``people.guarded``, and Stale."""
    members = list(group.user_set.all())
    with guarded(actor, losing=[person.pk for person in members], seen=seen):
        locked = _lock(group)
        audit.record("group.removed", actor=actor, target=locked, people=_labels(members))
        locked.delete()


def _lock(group: Group) -> Group:
    locked = groups().select_for_update(no_key=True).filter(pk=group.pk).first()
    if locked is None:
        raise Stale(_("The group %(name)s was removed meanwhile.") % {"name": group.name})
    return locked


def _free_name(text: str, *, other_than: Group | None = None) -> str:
    """The name without what does not show, neither that of a role nor, whatever the case, of another group."""
    try:
        name = clean_name(text)
    except ValidationError as error:
        message = " ".join(error.messages)
        raise OperationError(message, fields={"name": message}) from error
    key, message = name_key(name), ""
    if key in {name_key(word) for role in Role for word in (role.value, str(LABELS[role]))}:
        message = _("%(name)s is a role. Give the group another name.") % {"name": name}
    others = groups().exclude(pk=other_than.pk) if other_than else groups()
    if key in {name_key(other) for other in others.values_list("name", flat=True)}:
        message = _("There is a group called %(name)s already.") % {"name": name}
    if message:
        raise OperationError(message, fields={"name": message})
    return name


def _labels(people: Collection[User] | Sequence[User]) -> list[str]:
    return sorted(str(person) for person in people)
