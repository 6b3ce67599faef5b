"""Requests for access: who may ask for which types, what was decided in words, and the lists of them.

A contributor asks for a *type*: which connections of it there are is not theirs to know (rule S12). Types that only
bring data in are open to every contributor and need no request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Case, CharField, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.connectors import CONNECTORS
from connections.connectors.base import Connector
from connections.models import AccessRequest, Connection, State
from connections.sharing import grantable_people
from connections.types import type_name
from connections_portal.models import User
from connections_portal.names import search_words
from connections_portal.templatetags.portal import day_and_time

# The answers by which the list of administrators is filtered; open ones are shown at first.
OPEN, ANSWERED, EVERY = "open", "answered", "all"
FILTERS = (
    (OPEN, gettext_lazy("Open")),
    (ANSWERED, gettext_lazy("Answered")),
    (EVERY, gettext_lazy("All requests")),
)
DEFAULT_SORT = "-asked"
SORTS = {
    "person": ("person__first_name", "person__last_name", "person__username"),
    "type": ("type_name",),
    "asked": ("created_at",),
    "status": ("state",),
}
STATUS_KINDS = {
    AccessRequest.State.OPEN: "run",
    AccessRequest.State.GRANTED: "ok",
    AccessRequest.State.DECLINED: "bad",
    AccessRequest.State.WITHDRAWN: "off",
}


def askable() -> list[type[Connector]]:
    """The types that a contributor may ask for: those that data can go out to."""
    return [connector for connector in CONNECTORS if connector.direction in ("export", "both")]


def of_person(user: User) -> QuerySet[AccessRequest]:
    """What the person asked for, newest first."""
    return AccessRequest.objects.filter(person=user)


def open_requests() -> QuerySet[AccessRequest]:
    """What waits for an answer, oldest first: whoever has waited longest comes first."""
    waiting = AccessRequest.objects.filter(state=AccessRequest.State.OPEN)
    return waiting.select_related("person").order_by("created_at", "pk")


def fitting(request: AccessRequest) -> QuerySet[Connection]:
    """The connections that can be shared in answer: of the type that was asked for, and ready; by name."""
    ready = Connection.objects.filter(type_key=request.type_key, state=State.READY)
    return ready.order_by("name_key", "pk")


def may_be_granted(request: AccessRequest) -> bool:
    """Whether the person is a contributor at present (one query)."""
    return grantable_people().filter(pk=request.person_id).exists()


def decision(request: AccessRequest) -> str:
    """What became of a request, in one sentence: *Lena Hofmann declined it (Today, 14:31).*; empty while it is open."""
    values = {
        "who": request.answered_by_label,
        "name": request.connection_name,
        "when": day_and_time(request.answered_at, timezone.now()) if request.answered_at else "",
    }
    match AccessRequest.State(request.state):
        case AccessRequest.State.GRANTED:
            return _("%(who)s shared %(name)s (%(when)s).") % values
        case AccessRequest.State.DECLINED:
            return _("%(who)s declined it (%(when)s).") % values
        case AccessRequest.State.WITHDRAWN:
            return _("%(who)s withdrew it (%(when)s).") % values
        case _open:
            return ""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address of the administrators' list asks for; anything unknown in it is as if it were not there."""

    text: str = ""
    status: str = OPEN
    sort: str = DEFAULT_SORT

    @property
    def filtered(self) -> bool:
        """Whether anything but the first look narrows the list."""
        return bool(self.text) or self.status == ANSWERED


def wanted(params: Mapping[str, str]) -> Wanted:
    """Read the address."""
    status, sort = params.get("status", OPEN), params.get("sort", DEFAULT_SORT)
    return Wanted(
        text=search_words(params.get("q", "")),
        status=status if status in dict(FILTERS) else OPEN,
        sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
    )


def found(want: Wanted) -> QuerySet[AccessRequest]:
    """The requests of everybody that match, in order."""
    requests = AccessRequest.objects.select_related("person")
    if want.status == OPEN:
        requests = requests.filter(state=AccessRequest.State.OPEN)
    elif want.status == ANSWERED:
        requests = requests.exclude(state=AccessRequest.State.OPEN)
    for word in want.text.split():
        keys = [c.key for c in CONNECTORS if word.casefold() in type_name(c.key).casefold()]
        says = Q(type_key__in=keys) | Q(reason__icontains=word) | Q(connection_name__icontains=word)
        for column in ("first_name", "last_name", "username"):
            says |= Q(**{f"person__{column}__icontains": word})
        requests = requests.filter(says)
    if want.sort.removeprefix("-") == "type":
        requests = requests.annotate(type_name=_shown_type())
    sign = "-" if want.sort.startswith("-") else ""
    order = [f"{sign}{column}" for column in SORTS[want.sort.removeprefix("-")]]
    return requests.order_by(*order, "-created_at", "-pk")


def _shown_type() -> Case:
    return Case(
        *(When(type_key=c.key, then=Value(type_name(c.key))) for c in CONNECTORS),
        default=Value(""),
        output_field=CharField(),
    )
