"""The list of connections as a query: search, filters and order, all in the database.

A page costs the same number of queries however many connections there are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Expression,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from connections import dependents, vault_expiry
from connections.connectors import CONNECTORS
from connections.connectors.base import Connector, FieldKind
from connections.models import (
    Access,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
    State,
)
from connections.sharing import grantable_groups, grantable_people
from connections_portal.models import User
from connections_portal.names import name_key, search_words

DEFAULT_SORT = "name"
SORTS = ("name", "type", "status", "created", "access", "used")

# Most pressing first, also in the filter.
STATES = (State.NEEDS_ATTENTION, State.NOT_VERIFIED, State.PAUSED, State.READY)

# Filters like a state those whose secret in a Key Vault expires soon, whatever state they are in.
EXPIRING = "expiring"

# What types have to serve for a tab to list their connections.
TABS = {"exports": "export", "enrichment": "enrichment"}

# Above any number of grants: a connection for all contributors reaches more people than one for some.
_ALL_CONTRIBUTORS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; anything unknown in it is as if it were not there."""

    text: str = ""
    type_key: str = ""
    status: str = ""
    access: str = ""
    sort: str = DEFAULT_SORT

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.text or self.type_key or self.status or self.access)


def wanted(params: Mapping[str, str], tab: str) -> Wanted:
    """Read the address of a tab of ``TABS``."""
    sort = params.get("sort", DEFAULT_SORT)
    return Wanted(
        text=search_words(params.get("q", "")),
        type_key=_one_of(params.get("type", ""), [connector.key for connector in types_of(tab)]),
        status=_one_of(params.get("status", ""), [*State.values, EXPIRING]),
        # enrichment connections are open to all contributors, so that there is nothing to choose
        access=_one_of(params.get("access", ""), Access.values) if tab == "exports" else "",
        sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
    )


def _one_of(text: str, known: Sequence[str]) -> str:
    return text if text in known else ""


def types_of(tab: str) -> list[type[Connector]]:
    """The types of connections that a tab lists."""
    return [connector for connector in CONNECTORS if connector.serves(TABS[tab])]


def tab_of(connector: type[Connector] | None) -> str:
    """The tab that lists connections of the type first; that of exports for a type that is gone."""
    return next(
        (tab for tab, direction in TABS.items() if connector and connector.serves(direction)), "exports"
    )


def found(want: Wanted, tab: str, user: User) -> QuerySet[Connection]:
    """The connections of a tab that match, in order; only administrators find any."""
    types = types_of(tab)
    connections = Connection.objects.editable_by(user).filter(type_key__in=[c.key for c in types])
    for word in want.text.split():
        connections = connections.filter(_says(word, types))
    if want.status == EXPIRING:
        connections = connections.filter(vault_expiry.expires_soon())
    state = "" if want.status == EXPIRING else want.status
    chosen = {"type_key": want.type_key, "state": state, "access": want.access}
    connections = connections.filter(**{column: value for column, value in chosen.items() if value})
    return _ordered(connections, want.sort).select_related("created_by")


def _says(word: str, types: Sequence[type[Connector]]) -> Q:
    """Whether name, type or target contain the word."""
    keys = [c.key for c in types if word.casefold() in f"{c.name} {c.connection_name}".casefold()]
    return Q(name_key__contains=name_key(word)) | Q(type_key__in=keys) | _leads_to(word, types)


def _leads_to(word: str, types: Sequence[type[Connector]]) -> Q:
    """Whether the settings that make the target contain the word, or each part of an address (all do of ``sftp://``)."""
    parts = [part for part in word.rpartition("://")[2].split("/", 1) if part]
    condition = Q()
    for connector in types:
        keys = [f.key for f in connector.fields if f.kind is FieldKind.TEXT and not f.account]
        leads = reduce(and_, (_contained(part, keys) for part in parts), Q())
        if parts:
            leads |= _contained(word, keys)
        condition |= Q(type_key=connector.key) & leads
    return condition


def _contained(text: str, keys: Sequence[str]) -> Q:
    return reduce(or_, (Q(**{f"settings__{key}__icontains": text}) for key in keys), Q())


def _ordered(connections: QuerySet[Connection], sort: str) -> QuerySet[Connection]:
    descending, key = sort.startswith("-"), sort.removeprefix("-")
    columns: dict[str, Callable[[], F | Expression]] = {
        "name": lambda: F("name_key"),
        "type": shown_type,
        "status": _pressing,
        "created": lambda: F("created_at"),
        "access": _reach,
        "used": dependents.total,
    }
    column = columns[key]()
    return connections.order_by(column.desc() if descending else column.asc(), "name_key", "pk")


def shown_type() -> Expression:
    """The name of a connection's type as a column to order by; its key for a type that is gone."""
    return Case(
        *(When(type_key=c.key, then=Value(c.connection_name)) for c in CONNECTORS),
        default=F("type_key"),
        output_field=CharField(),
    )


def _pressing() -> Expression:
    return Case(
        *(When(state=state, then=Value(rank)) for rank, state in enumerate(STATES)),
        output_field=IntegerField(),
    )


def _reach() -> Expression:
    """From *Administrators* over few and many that are named to *Administrators and contributors*."""
    return Case(
        When(access=Access.SPECIFIC, then=_named(_people()) + _named(_groups())),
        When(access=Access.CONTRIBUTORS, then=Value(_ALL_CONTRIBUTORS)),
        default=Value(0),
        output_field=IntegerField(),
    )


def _people() -> QuerySet[ConnectionUserObjectPermission]:
    return ConnectionUserObjectPermission.objects.filter(user__in=grantable_people().order_by())


def _groups() -> QuerySet[ConnectionGroupObjectPermission]:
    return ConnectionGroupObjectPermission.objects.filter(group__in=grantable_groups().order_by())


def _named(grants: QuerySet[Any]) -> Expression:
    of_this_one = grants.filter(content_object=OuterRef("pk")).order_by().values("content_object")
    return Coalesce(Subquery(of_this_one.annotate(number=Count("pk")).values("number")), 0)
