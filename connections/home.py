"""Connections on Home: what needs attention (Key Vaults too), requests for access, what was shared lately."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections import connectors, listing, vault_expiry
from connections.access_requests import decision, of_person, open_requests
from connections.models import Access, AccessRequest, Connection, KeyVault, State, VaultState
from connections.permissions import can_edit
from connections.types import type_name
from connections_portal import roles
from connections_portal.models import AuditEntry, User
from connections_portal.notices import NAMED, Item, Notice, Number

# How long an answer, or what was shared, is news.
LATELY = dt.timedelta(days=14)
# So many entries of the audit are read at most to find out when something was shared.
LOOKED_AT = 200
SHORT = 120


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A connection that the person may use: its name, its type, and when it was shared with them."""

    name: str
    type_name: str
    icon: str
    category: str
    at: dt.datetime


def needs_attention(user: User) -> Notice | None:
    """For administrators: connections on which something went wrong that only they can put right, with the cause."""
    if not (total := _broken(user, "exports").count()):
        return None
    words = ngettext("%(n)d connection needs attention", "%(n)d connections need attention", total)
    return _attention(user, "exports", words, total)


def enrichment_needs_attention(user: User) -> Notice | None:
    """The same of the connections that attributes come in over: they have a list of their own."""
    if not (total := _broken(user, "enrichment").count()):
        return None
    words = ngettext(
        "%(n)d enrichment connection needs attention", "%(n)d enrichment connections need attention", total
    )
    return _attention(user, "enrichment", words, total)


def _broken(user: User, tab: str) -> QuerySet[Connection]:
    return _listed(user, tab).filter(state=State.NEEDS_ATTENTION)


def _listed(user: User, tab: str) -> QuerySet[Connection]:
    """All that stand in a tab of Settings > Connections, for administrators."""
    return Connection.objects.editable_by(user).filter(type_key__in=connectors.keys_for(listing.TABS[tab]))


def _attention(user: User, tab: str, words: str, total: int) -> Notice:
    return Notice(
        kind="bad",
        title=words % {"n": total},
        url=f"{reverse(f'connections:{tab}')}?status={State.NEEDS_ATTENTION}",
        action=_("Show"),
        items=[
            Item(
                text=connection.name,
                url=reverse("connections:detail", args=[connection.uuid]),
                sub=_(connection.state_cause) if connection.state_cause else "",
            )
            for connection in _broken(user, tab).order_by("-updated_at", "-pk")[:NAMED]
        ],
        total=total,
    )


def vaults_out_of_order(user: User) -> Notice | None:
    """For administrators: linked Key Vaults that cannot be read from, with the cause."""
    if not can_edit(user):
        return None
    broken = KeyVault.objects.exclude(state=VaultState.WORKING)
    if not (total := broken.count()):
        return None
    words = ngettext("%(n)d Key Vault is not working", "%(n)d Key Vaults are not working", total)
    return Notice(
        kind="bad",
        title=words % {"n": total},
        url=reverse("key_vault:list"),
        action=_("Show"),
        items=[
            Item(
                text=vault.name,
                url=reverse("key_vault:list"),
                sub=_(vault.state_cause) if vault.state_cause else vault.get_state_display(),
                at=vault.state_since,
            )
            for vault in broken.order_by("-state_since", "-pk")[:NAMED]
        ],
        total=total,
    )


def secrets_expiring(user: User) -> Notice | None:
    """For administrators: connections whose secret in a Key Vault expires soon, what expires first first."""
    if not (total := _expiring(user, "exports").count()):
        return None
    words = ngettext(
        "A secret of %(n)d connection expires soon", "Secrets of %(n)d connections expire soon", total
    )
    return _soon(user, "exports", words, total)


def enrichment_secrets_expiring(user: User) -> Notice | None:
    """The same of the connections that attributes come in over."""
    if not (total := _expiring(user, "enrichment").count()):
        return None
    words = ngettext(
        "A secret of %(n)d enrichment connection expires soon",
        "Secrets of %(n)d enrichment connections expire soon",
        total,
    )
    return _soon(user, "enrichment", words, total)


def _expiring(user: User, tab: str) -> QuerySet[Connection]:
    return _listed(user, tab).filter(vault_expiry.expires_soon())


def _soon(user: User, tab: str, words: str, total: int) -> Notice:
    first = list(_expiring(user, tab).order_by(vault_expiry.first_expiry(), "pk")[:NAMED])
    expiring = vault_expiry.expiring(connection.pk for connection in first)
    return Notice(
        kind="warn",
        title=words % {"n": total},
        url=f"{reverse(f'connections:{tab}')}?status={listing.EXPIRING}",
        action=_("Show"),
        items=[
            Item(
                text=connection.name,
                url=reverse("connections:detail", args=[connection.uuid]),
                sub=expiring[connection.pk].said if connection.pk in expiring else "",
            )
            for connection in first
        ],
        total=total,
    )


def asked_for(user: User) -> Notice | None:
    """For administrators: who waits for an answer, longest first."""
    if not can_edit(user) or not (total := open_requests().count()):
        return None
    words = ngettext("%(n)d request for access", "%(n)d requests for access", total)
    return Notice(
        kind="warn",
        title=words % {"n": total},
        url=reverse("connections:requests"),
        action=_("Answer"),
        items=[
            Item(
                text=f"{asked.person}, {type_name(asked.type_key)}",
                url=reverse("connections:grant", args=[asked.uuid]),
                sub=asked.reason if len(asked.reason) <= SHORT else f"{asked.reason[: SHORT - 1].rstrip()}…",
                at=asked.created_at,
            )
            for asked in open_requests()[:NAMED]
        ],
        total=total,
    )


def answered(user: User) -> Notice | None:
    """For contributors: what was decided lately about what they asked for."""
    if not roles.is_contributor(user):
        return None
    states = (AccessRequest.State.GRANTED, AccessRequest.State.DECLINED)
    news = of_person(user).filter(state__in=states, answered_at__gte=timezone.now() - LATELY)
    latest = list(news.order_by("-answered_at", "-pk")[: NAMED + 1])
    if not latest:
        return None
    good = latest[0].state == AccessRequest.State.GRANTED
    return Notice(
        kind="ok" if good else "warn",
        title=_("Your request was granted") if good else _("Your request was declined"),
        url=reverse("requests:list"),
        action=_("Show requests"),
        items=[
            Item(text=type_name(asked.type_key), sub=" ".join(filter(None, [decision(asked), asked.answer])))
            for asked in latest[:NAMED]
        ],
    )


def waits(user: User) -> Notice | None:
    """For contributors: their own requests that nobody has answered yet."""
    if not roles.is_contributor(user):
        return None
    waiting = list(of_person(user).filter(state=AccessRequest.State.OPEN).order_by("created_at")[: NAMED + 1])
    if not waiting:
        return None
    return Notice(
        kind="run",
        title=_("You asked for access"),
        url=reverse("requests:list"),
        action=_("Show requests"),
        items=[Item(text=type_name(asked.type_key), at=asked.created_at) for asked in waiting[:NAMED]],
    )


def counts(user: User) -> list[Number]:
    """How many connections there are, for administrators; those for enrichments apart, once there is one."""
    if not can_edit(user):
        return []
    going_out, coming_in = (_listed(user, tab).count() for tab in listing.TABS)
    words = ngettext("Connection", "Connections", going_out)
    found = [Number(value=going_out, text=words, url=reverse("connections:exports"))]
    if coming_in:
        words = ngettext("Enrichment connection", "Enrichment connections", coming_in)
        found.append(Number(value=coming_in, text=words, url=reverse("connections:enrichment")))
    return found


def shared_lately(user: User, number: int) -> list[Shared]:
    """For contributors: connections that they may use and that were shared with them within two weeks, newest first.

    When is read from the audit. Name and type only: nothing else of a connection is theirs to know (rule S12).
    """
    if not roles.is_contributor(user):
        return []
    usable = Connection.objects.usable_by(user).filter(state=State.READY)
    entries = AuditEntry.objects.filter(
        action__in=("connection.shared", "connection.created"),
        at__gte=timezone.now() - LATELY,
        object_uuid__in=usable.order_by().values("uuid"),
    ).values_list("object_uuid", "at", "details")
    groups = set(user.groups.values_list("name", flat=True))
    when: dict[UUID, dt.datetime] = {}
    for uuid, at, details in entries.order_by("-at", "-pk")[:LOOKED_AT]:
        if uuid is not None and _concerns(str(user), groups, details):
            when.setdefault(uuid, at)
    newest = list(when)[:number]
    named = {connection.uuid: connection for connection in usable.filter(uuid__in=newest)}
    return [_shared(named[uuid], when[uuid]) for uuid in newest if uuid in named]


def _concerns(person: str, groups: set[str], details: dict[str, Any]) -> bool:
    """Whether the sharing, as it was recorded, gave the right to the person or to a group of theirs."""
    if "gained" in details:
        return person in details["gained"]
    return (
        details.get("access") == Access.CONTRIBUTORS
        or person in details.get("people", ())
        or not groups.isdisjoint(details.get("groups", ()))
    )


def _shared(connection: Connection, at: dt.datetime) -> Shared:
    connector = connectors.get(connection.type_key)
    return Shared(
        name=connection.name,
        type_name=type_name(connection.type_key),
        icon=connector.icon if connector else "plug_disconnected",
        category=connector.category if connector else "",
        at=at,
    )
