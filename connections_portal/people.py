"""People: who is added, changed, let in, kept out and removed. The pages and ``manage.py people`` both come here.

Everything that can take a right away runs one at a time in the whole portal and leaves an administrator (rule S15).
``actor`` is an administrator, or None for whoever has the command line; a superuser is changed by superusers and by the
command line only. What people answer for must not stop unseen: see ``answering.Stops``.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from connections_portal import answering, audit, first_password, roles
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import User
from connections_portal.names import clean_name, name_key
from connections_portal.roles import Role


@contextmanager
def guarded(actor: User | None, *, losing: Collection[int] = (), seen: str | None = None) -> Iterator[None]:
    """A transaction about people, one at a time, after which there still is an administrator.

    ``losing`` are people (ids) who may lose a right in it: what they answer for and could run before and not after
    has to be what ``seen``, the token of ``answering``, stands for (None: not asked about). Raises NotAllowed when the
    actor is no administrator by now, LastAdministrator, Stops, and OperationError when somebody else wrote meanwhile.
    """
    try:
        with roles.keeping_an_administrator():
            if actor is not None and not roles.administrators().filter(pk=actor.pk).exists():
                raise NotAllowed(_("Only administrators change people and groups."))
            before = answering.running(losing) if seen is not None else []
            yield
            stopping = answering.difference(before, answering.running(losing)) if before else []
            if stopping and seen is not None and seen != answering.token(stopping):
                raise answering.Stops(stopping, seen=seen)
    except IntegrityError as error:
        # somebody took the name, or saved something under this person, while this was under way
        raise Stale(_("Something was saved at the same moment. Try again.")) from error


def mark_of(person: User) -> str:
    """What stands for the account as it is stored: a page that shows another one is stale."""
    groups = sorted(person.groups.values_list("name", flat=True))
    stored = [person.username, person.first_name, person.last_name, person.email, person.is_active, groups]
    return hashlib.sha256(json.dumps(stored).encode()).hexdigest()[:32]


def add_person(
    *,
    username: str,
    role: Role,
    password: str,
    first_name: str = "",
    last_name: str = "",
    email: str = "",
    groups: Sequence[Group] = (),
    must_change: bool = True,
    actor: User | None,
) -> User:
    """Somebody new; with ``must_change`` the password is only good for choosing another one.

    Raises NotAllowed, and OperationError with messages at ``username``, ``first_name``, ``last_name``, ``email`` and
    ``password``.
    """
    with guarded(actor):
        person = newcomer(username)
        _describe(person, first_name, last_name, email, password)
        _store_password(person, password, must_change)
        person.save()
        roles.assign(user=person, role=role)
        person.groups.add(*own_groups(groups))
        audit.record(
            "person.added",
            actor=actor,
            target=person,
            username=person.username,
            role=role,
            groups=[group.name for group in groups],
        )
        return person


def change_person(
    *,
    person: User,
    first_name: str | None = None,
    last_name: str | None = None,
    email: str | None = None,
    role: Role | None = None,
    groups: Sequence[Group] | None = None,
    mark: str | None = None,
    seen: str | None = None,
    actor: User | None,
) -> User:
    """Change what is given; None leaves it as it is, and ``groups`` are all that the person is in.

    ``mark`` is that of the page (None: not checked), ``seen`` as in ``guarded``. A role counts with the next request.
    Raises what ``guarded`` does, Stale, and OperationError with messages as ``add_person``.
    """
    with guarded(actor, losing=[person.pk], seen=seen):
        locked = _lock(person, actor)
        if mark is not None and mark != mark_of(locked):
            raise Stale(_("Somebody changed this person meanwhile. Look at what is stored now."))
        described = (locked.first_name, locked.last_name, locked.email)
        given = zip((first_name, last_name, email), described, strict=True)
        _describe(locked, *(old if new is None else new for new, old in given))
        renamed = described != (locked.first_name, locked.last_name, locked.email)
        details: dict[str, Any] = {}
        if renamed:
            locked.save(update_fields=["first_name", "last_name", "email"])
        if role is not None and role is not stored_role(locked):
            if locked.is_superuser:
                refusal = _("A superuser counts as administrator, whatever their role.")
                raise OperationError(refusal, fields={"role": refusal})
            roles.assign(user=locked, role=role)
            details["role"] = role
        if groups is not None:
            details |= _regroup(locked, groups)
        if renamed or details:
            audit.record("person.changed", actor=actor, target=locked, username=locked.username, **details)
        return locked


def set_password(*, person: User, password: str, must_change: bool = True, actor: User | None) -> None:
    """Give the person another password; wherever they are signed in ends. Raises as ``add_person``."""
    with guarded(actor):
        locked = _lock(person, actor)
        _describe(locked, locked.first_name, locked.last_name, locked.email, password)
        _store_password(locked, password, must_change)
        locked.save(update_fields=["password"])
        end_sessions(locked)
        audit.record("person.password_set", actor=actor, target=locked, username=locked.username)


def deactivate_person(*, person: User, seen: str | None = None, actor: User | None) -> None:
    """Keep the person out at once; role, groups and what is shared with them lie idle. Raises as ``guarded``."""
    _set_active(person, active=False, seen=seen, actor=actor)


def activate_person(*, person: User, actor: User | None) -> None:
    """Let the person in again, with the rights they had. Raises as ``guarded``."""
    _set_active(person, active=True, seen=None, actor=actor)


def _set_active(person: User, *, active: bool, seen: str | None, actor: User | None) -> None:
    with guarded(actor, losing=[person.pk], seen=seen):
        locked = _lock(person, actor)
        if locked.is_active == active:
            return
        locked.is_active = active
        locked.save(update_fields=["is_active"])
        if not active:
            end_sessions(locked)
        action = "person.activated" if active else "person.deactivated"
        audit.record(action, actor=actor, target=locked, username=locked.username)


def remove_person(*, person: User, seen: str | None = None, actor: User | None) -> None:
    """Delete the account, its groups, what is shared with it, and unfinished set-ups.

    Audit, agreements and runs keep the name as text. What the person answered for has nobody, and does not run until
    somebody takes it over. Raises as ``guarded``.
    """
    with guarded(actor, losing=[person.pk], seen=seen):
        locked = _lock(person, actor)
        end_sessions(locked)
        audit.record(
            "person.removed",
            actor=actor,
            target=locked,
            username=locked.username,
            role=str(stored_role(locked) or ""),
            groups=sorted(_names(locked)),
        )
        locked.delete()


def end_sessions(person: User) -> None:
    """Sign the person out everywhere; a session that was left would count again when they are let in again."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()):
        if session.get_decoded().get("_auth_user_id") == str(person.pk):
            session.delete()


def stored_role(person: User) -> Role | None:
    """The role by the groups alone, also of somebody deactivated."""
    names = set(person.groups.values_list("name", flat=True))
    return next((role for role in Role if role.value in names), None)


def may_change(person: User, actor: User) -> bool:
    """Whether an administrator changes this person: superusers are changed by superusers only."""
    return not person.is_superuser or actor.is_superuser


def own_groups(groups: Collection[Group]) -> list[Group]:
    """These groups. Raises OperationError when one of them is a role: roles are given, not joined."""
    for group in groups:
        if group.name in {role.value for role in Role}:
            raise OperationError(_("%(name)s is a role.") % {"name": group.name})
    return list(groups)


def _names(person: User) -> list[str]:
    """The groups of the person that are no roles."""
    return list(person.groups.exclude(name__in=[r.value for r in Role]).values_list("name", flat=True))


def _lock(person: User, actor: User | None) -> User:
    """The person, nobody else writing. Raises Stale when they are gone, NotAllowed for a superuser.

    ``no_key``: whoever saves something under this person meanwhile must not wait for us while we wait for them.
    """
    locked = User.objects.select_for_update(no_key=True).filter(pk=person.pk).first()
    if locked is None:
        raise Stale(_("%(name)s was removed meanwhile.") % {"name": person})
    if actor is not None and not may_change(locked, actor):
        raise NotAllowed(_("A superuser is changed on the command line only."))
    return locked


def _is_taken(username: str) -> bool:
    """Whether somebody has this user name, whatever the case; SQLite itself knows the case of ASCII only."""
    wanted = name_key(username)
    return any(
        name_key(name) == wanted for name in User.objects.values_list("username", flat=True).iterator()
    )


def faults(
    person: User, *, first_name: str, last_name: str, email: str, password: str | None = None
) -> dict[str, str]:
    """Put the texts into ``person``, which is not saved; what is wrong with any of them, or its user name, by field."""
    fields: dict[str, str] = {}
    for field, text in (("first_name", first_name), ("last_name", last_name)):
        try:
            setattr(person, field, clean_name(text) if text.strip() else "")
        except ValidationError as error:
            fields[field] = " ".join(error.messages)
    person.email = email.strip()
    try:
        person.clean_fields(exclude={"password", *fields})
    except ValidationError as error:
        fields |= {field: " ".join(messages) for field, messages in error.message_dict.items()}
    if person._state.adding and _is_taken(person.username):
        fields["username"] = _("%(name)s is there already.") % {"name": person.username}
    if password is not None:
        try:
            validate_password(password, person)
        except ValidationError as error:
            fields["password"] = " ".join(error.messages)
    return fields


def newcomer(username: str) -> User:
    """Somebody who is not saved yet."""
    return User(username=User.normalize_username(username.strip()))


def _describe(person: User, first_name: str, last_name: str, email: str, password: str | None = None) -> None:
    """As ``faults``; raises OperationError with every message at its field."""
    fields = faults(person, first_name=first_name, last_name=last_name, email=email, password=password)
    if fields:
        raise OperationError(" ".join(fields.values()), fields=fields)


def _store_password(person: User, password: str, must_change: bool) -> None:
    if must_change:
        person.password = first_password.encode(password)
    else:
        person.set_password(password)


def _regroup(person: User, groups: Sequence[Group]) -> dict[str, Any]:
    """Put the person into exactly these groups, their role apart; what changed, for the audit."""
    wanted = {group.name: group for group in own_groups(groups)}
    present = {group.name: group for group in person.groups.exclude(name__in=[r.value for r in Role])}
    joined, left = sorted(wanted.keys() - present.keys()), sorted(present.keys() - wanted.keys())
    person.groups.add(*(wanted[name] for name in joined))
    person.groups.remove(*(present[name] for name in left))
    return {key: names for key, names in (("joined", joined), ("left", left)) if names}
