"""The audit as a list: what an address asks for, and its entries newest first, page by page.

Pages are told apart by the entry they begin after, not by their number, and nothing is counted: a page costs the same
whether there are a thousand entries or millions.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.apps import apps
from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections_portal.audit import WORDS
from connections_portal.audit_sentences import readable
from connections_portal.audit_story import action_words
from connections_portal.models import AuditEntry
from connections_portal.names import search_words

PAGE_SIZE = 50
CHUNK = 1000
# Up to so many entries are looked up and sorted; a condition that more of them meet is tried from the newest on.
FEW = 5000
PORTAL = "portal"
PERIODS = {
    "hour": (gettext_lazy("Last hour"), dt.timedelta(hours=1)),
    "day": (gettext_lazy("Last 24 hours"), dt.timedelta(days=1)),
    "week": (gettext_lazy("Last 7 days"), dt.timedelta(days=7)),
    "month": (gettext_lazy("Last 30 days"), dt.timedelta(days=30)),
    "quarter": (gettext_lazy("Last 90 days"), dt.timedelta(days=90)),
}
# What an entry can be about, as filters name it: the names of the models.
KINDS = {
    "connection": (gettext_lazy("Connection"), ("connection", "connectiondraft", "removedconnection")),
    "export": (gettext_lazy("Export"), ("export",)),
    "enrichment": (gettext_lazy("Enrichment"), ("enrichment",)),
    "person": (gettext_lazy("Person"), ("user",)),
    "group": (gettext_lazy("Group"), ("group",)),
    "refresh": (gettext_lazy("System refresh"), ("refresh", "refreshschedule")),
    "request": (gettext_lazy("Access request"), ("accessrequest",)),
    "vault": (gettext_lazy("Key Vault"), ("keyvault",)),
}
_GROUPS = {
    "access": gettext_lazy("Refusals"),
    "account": gettext_lazy("Sign-in"),
    "audit": gettext_lazy("Audit"),
    "connection": gettext_lazy("Connections"),
    "enrichment": gettext_lazy("Enrichments"),
    "export": gettext_lazy("Exports"),
    "group": gettext_lazy("Groups"),
    "person": gettext_lazy("People"),
    "refresh": gettext_lazy("System refresh"),
    "secret": gettext_lazy("Secrets"),
    "table": gettext_lazy("Tables"),
    "vault": gettext_lazy("Key Vaults"),
}
_NAMES = ("q", "person", "kind", "object", "action", "outcome", "period", "from", "to")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the address asks for; anything unknown in it is as if it were not there, but for times that are none.

    ``since`` and ``until`` are the bounds in time (the second one is left out itself); ``errors`` maps the names of
    fields to what is wrong there. ``before`` and ``after`` are the keys of the entries that the page lies between.
    """

    text: str = ""
    person: str = ""
    kind: str = ""
    object: UUID | None = None
    action: str = ""
    outcome: str = ""
    period: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    before: int | None = None
    after: int | None = None
    typed: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.typed)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Entries, newest first, and the keys of those that the pages beside it begin at."""

    entries: list[AuditEntry]
    newer: int | None
    older: int | None


def wanted(query: Mapping[str, str], now: dt.datetime) -> Wanted:
    """What ``query`` (the parameters of the address) asks for; times without a zone are those of the reader."""
    get = query.get
    errors: dict[str, str] = {}
    period = get("period", "") if get("period", "") in PERIODS else ""
    since, until = _moment(get("from", ""), "from", errors), _moment(get("to", ""), "to", errors)
    if since and until and since >= until:
        errors["to"] = _("This time is before the one that it begins with.")
    if since is None and until is None and period:
        since = now - PERIODS[period][1]
    action, kind, outcome = get("action", ""), get("kind", ""), get("outcome", "")
    return Wanted(
        text=search_words(get("q", "")),
        person=person if re.fullmatch(r"[0-9]{1,18}|portal", person := get("person", ""), re.ASCII) else "",
        kind=kind if kind in KINDS else "",
        object=_uuid(get("object", "")),
        action=action if action in WORDS or action in groups() else "",
        outcome=outcome if outcome in AuditEntry.Outcome else "",
        period=period,
        since=since,
        until=until,
        before=_key(get("before", "")),
        after=_key(get("after", "")),
        typed={name: text for name in _NAMES if (text := search_words(get(name, "")))},
        errors=errors,
    )


def groups() -> dict[str, str]:
    """Groups of actions by their key, which is how the names of their actions begin."""
    keys = dict.fromkeys(action.split(".")[0] for action in WORDS)
    return {key: str(_GROUPS.get(key) or readable(key).capitalize()) for key in keys}


def actions() -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Every action for a filter: key and words of each group, and in it ``(action, words)``."""
    return [
        (key, words, [(action, action_words(action)) for action in WORDS if action.split(".")[0] == key])
        for key, words in groups().items()
    ]


def found(want: Wanted) -> QuerySet[AuditEntry]:
    """The entries asked for, newest first; none as long as a time cannot be read."""
    entries = AuditEntry.objects.order_by("-at", "-pk").filter(_plain(want))
    if want.errors:
        return entries.none()
    if want.kind:
        entries = _narrow(entries, Q(object_type__in=KINDS[want.kind][1]))
    if want.object:
        entries = _narrow(entries, about([want.object, *_drafts(want.object)]))
    if want.action:
        of_group = [action for action in WORDS if action.split(".")[0] == want.action]
        entries = _narrow(entries, Q(action__in=of_group or [want.action]))
    if identifier := _uuid(want.text):
        return _narrow(entries, about([identifier]))
    if want.text:
        entries = entries.filter(Q(actor_label__icontains=want.text) | Q(object_label__icontains=want.text))
    return entries


def _plain(want: Wanted) -> Q:
    """What is asked of time, person and outcome."""
    condition = Q()
    if want.since:
        condition &= Q(at__gte=want.since)
    if want.until:
        condition &= Q(at__lt=want.until)
    if want.person:
        condition &= Q(actor_id=None if want.person == PORTAL else int(want.person))
    return condition & Q(outcome=want.outcome) if want.outcome else condition


def about(identifiers: list[UUID]) -> Q:
    """Entries about one of these objects. The types are named so that the index, which begins with them, is used."""
    types = {model._meta.model_name or "" for model in apps.get_models()}
    return Q(object_type__in=sorted(types), object_uuid__in=identifiers)


def page(want: Wanted) -> Page:
    """The page of the list that the address names."""
    entries = found(want)
    if want.after is not None and (anchor := _anchor(want.after)):
        at, key = anchor
        later = entries.filter(at__gte=at).filter(Q(at__gt=at) | Q(pk__gt=key)).order_by("at", "pk")
        rows = list(later[: PAGE_SIZE + 1])
        shown = rows[:PAGE_SIZE][::-1]
        more_newer, more_older = len(rows) > PAGE_SIZE, True
    else:
        anchor = _anchor(want.before) if want.before is not None else None
        rows = list(_older_than(entries, anchor)[: PAGE_SIZE + 1])
        shown = rows[:PAGE_SIZE]
        more_newer, more_older = anchor is not None, len(rows) > PAGE_SIZE
    return Page(
        entries=shown,
        newer=shown[0].pk if shown and more_newer else None,
        older=shown[-1].pk if shown and more_older else None,
    )


def all_of(want: Wanted, most: int) -> Iterator[list[AuditEntry]]:
    """The newest ``most`` entries asked for, a thousand at a time: no cursor is kept open, memory stays the same."""
    entries, anchor, left = found(want), None, most
    while left > 0:
        rows = list(_older_than(entries, anchor)[: min(CHUNK, left)])
        if rows:
            yield rows
        if len(rows) < CHUNK:
            return
        left -= len(rows)
        anchor = rows[-1].at, rows[-1].pk


def _narrow(entries: QuerySet[AuditEntry], condition: Q) -> QuerySet[AuditEntry]:
    """Entries that meet the condition, which has an index.

    For few of them it is used. For many their order would cost more than it saves: the condition is written so that
    no index fits it, and entries are tried from the newest on.
    """
    few = AuditEntry.objects.filter(condition).order_by().values_list("pk")[: FEW + 1]
    if len(few) <= FEW:
        return entries.filter(condition)
    name = f"fits_{len(entries.query.annotations)}"
    fits = Case(When(condition, then=Value(True)), default=Value(False), output_field=BooleanField())
    return entries.alias(**{name: fits}).filter(**{name: True})


def _drafts(identifier: UUID) -> list[UUID]:
    """The set-up that a connection came from: what happened before it was saved belongs to its history."""
    made = AuditEntry.objects.filter(about([identifier]), action="connection.created").order_by()
    drafts = [_uuid(str(details.get("draft", ""))) for details in made.values_list("details", flat=True)[:1]]
    return [draft for draft in drafts if draft]


def _older_than(
    entries: QuerySet[AuditEntry], anchor: tuple[dt.datetime, int] | None
) -> QuerySet[AuditEntry]:
    if anchor is None:
        return entries
    at, key = anchor
    return entries.filter(at__lte=at).filter(Q(at__lt=at) | Q(pk__lt=key))


def _anchor(key: int) -> tuple[dt.datetime, int] | None:
    return AuditEntry.objects.filter(pk=key).values_list("at", "pk").first()


def _key(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _moment(text: str, name: str, errors: dict[str, str]) -> dt.datetime | None:
    """The time typed into a field; a day means its beginning, and its end where it is the upper bound.

    A time that the clocks skip or have twice is taken as before the change: a filter need not be more exact.
    """
    if not text.strip():
        return None
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.get_current_timezone())
        if name == "to":
            whole_day = len(text.strip()) <= len("2026-01-01")
            moment += dt.timedelta(days=1) if whole_day else dt.timedelta(minutes=1)
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        errors[name] = _("Enter a day and time, for example 2026-01-31 14:30.")
        return None
