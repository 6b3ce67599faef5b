"""The list of people as a query: search, filters and order, all in the database, whatever their number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Concat, Lower, NullIf, Trim
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from connections_portal.groups import groups
from connections_portal.models import User
from connections_portal.names import search_words
from connections_portal.roles import LABELS, Role

SORTS = ("name", "username", "role", "groups", "signed_in", "status")
GROUP_SORTS = ("name", "members", "shared")
DEFAULT_SORT = "name"
NO_ROLE = "none"
ROLES: dict[str, str | Promise] = {
    **{role.value: label for role, label in LABELS.items()},
    NO_ROLE: gettext_lazy("No role"),
}
STATUSES: dict[str, str | Promise] = {
    "active": gettext_lazy("Active"),
    "inactive": gettext_lazy("Deactivated"),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; anything unknown in it is as if it were not there."""

    text: str = ""
    role: str = ""
    status: str = ""
    group: Group | None = None
    sort: str = DEFAULT_SORT

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.text or self.role or self.status or self.group)


def wanted(params: Mapping[str, str]) -> Wanted:
    """Read the address of the list of people."""
    role, status, group = (params.get(key, "") for key in ("role", "status", "group"))
    known = group.isascii() and group.isdigit() and len(group) < 10
    return Wanted(
        text=search_words(params.get("q", "")),
        role=role if role in ROLES else "",
        status=status if status in STATUSES else "",
        group=groups().filter(pk=int(group)).first() if known else None,
        sort=sort_in(params, SORTS),
    )


def sort_in(params: Mapping[str, str], known: tuple[str, ...]) -> str:
    """The order that the address asks for (*-name* for descending), or by name."""
    sort = params.get("sort", DEFAULT_SORT)
    return sort if sort.removeprefix("-") in known else DEFAULT_SORT


def found(want: Wanted) -> QuerySet[User]:
    """The people that match, in order, with ``shown_role`` (of ``ROLES``)."""
    people = with_role(search_people(User.objects.all(), want.text))
    if want.role:
        people = people.filter(shown_role=want.role)
    if want.status:
        people = people.filter(is_active=want.status == "active")
    if want.group:
        people = people.filter(groups=want.group)
    return _ordered(people, want.sort)


def found_groups(text: str) -> QuerySet[Group]:
    """The groups whose name holds every word, with ``members`` (how many), in no order."""
    listed = groups().order_by().annotate(members=Count("user", distinct=True))
    for word in text.split():
        listed = listed.filter(name__icontains=word)
    return listed


def with_role(people: QuerySet[User]) -> QuerySet[Any]:
    """With ``shown_role``, also of somebody deactivated; a superuser is an administrator."""
    in_role = User.groups.through.objects.filter(user_id=OuterRef("pk"))
    return people.annotate(
        shown_role=Case(
            When(is_superuser=True, then=Value(Role.ADMINISTRATOR.value)),
            *(When(Exists(in_role.filter(group__name=role.value)), then=Value(role.value)) for role in Role),
            default=Value(NO_ROLE),
            output_field=CharField(),
        )
    )


def search_people(people: QuerySet[User], words: str) -> QuerySet[User]:
    """Those whose name, user name or address holds every word."""
    for word in words.split():
        people = people.filter(
            Q(first_name__icontains=word)
            | Q(last_name__icontains=word)
            | Q(username__icontains=word)
            | Q(email__icontains=word)
        )
    return people


def shown_name() -> Coalesce:
    """The name that pages show, as a column to order people by."""
    full = Trim(Concat("first_name", Value(" "), "last_name"))
    return Coalesce(NullIf(Lower(full), Value("")), Lower("username"))


def _ordered(people: QuerySet[User], sort: str) -> QuerySet[User]:
    ranks = {role: Value(rank) for rank, role in enumerate(ROLES)}
    first_group = groups().filter(user=OuterRef("pk")).values("name")[:1]
    columns: dict[str, Any] = {
        "name": shown_name(),
        "username": Lower("username"),
        "role": Case(*(When(shown_role=role, then=rank) for role, rank in ranks.items())),
        "groups": Subquery(first_group),
        "signed_in": F("last_login"),
        "status": Case(When(is_active=True, then=Value(0)), default=Value(1)),
    }
    column = columns[sort.removeprefix("-")]
    # nobody's group and no sign-in at all stand last, whichever way round
    ordered = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return people.order_by(ordered, shown_name(), "pk")
