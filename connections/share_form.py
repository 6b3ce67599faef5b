"""*Choose who can use this connection* with a picker that works with hundreds of people: search, tick, keep."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connections.models import Access, Connection
from connections.sharing import grantable_groups, grantable_people, granted
from connections_portal.models import User

# So many are shown at once; more are found by typing more of the name.
MOST = 20
KEEP, TURN_OFF = "keep", "off"
_KEY = re.compile(r"(person|group):([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Grantee:
    """A person or group that can be ticked: ``key`` is *person:7*; ``idle``: the grant gives nobody anything now."""

    key: str
    label: str
    note: str
    is_group: bool
    idle: bool = False


class Keys(forms.Field):
    """The ticked keys, as they were sent."""

    widget = forms.CheckboxSelectMultiple

    def to_python(self, value: Any) -> list[str]:
        """Each once, in order."""
        return list(dict.fromkeys(str(key) for key in value or []))


class ShareForm(forms.Form):
    """Access, people and groups; after the first answer also what becomes of exports."""

    access = forms.ChoiceField(
        label=gettext_lazy("Choose who can use this connection"),
        choices=Access.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose one of the answers."),
            "invalid_choice": gettext_lazy("Choose one of the answers."),
        },
    )
    grantees = Keys(label=gettext_lazy("People and groups"), required=False)
    afterwards = forms.ChoiceField(
        label=gettext_lazy("What happens to them"),
        choices=[
            (KEEP, gettext_lazy("Keep them running")),
            (TURN_OFF, gettext_lazy("Turn their schedules off")),
        ],
        initial=KEEP,
        required=False,
        widget=forms.RadioSelect,
    )

    def __init__(
        self, connection: Connection, data: QueryDict | None = None, *, shown: QueryDict | None = None
    ) -> None:
        """What is stored, what was sent (``data``), or what was typed so far and is only shown again (``shown``)."""
        source = shown if data is None else data
        self.stored = granted(connection)
        initial: dict[str, Any] = {"access": connection.access, "grantees": self._stored_keys()}
        if source is not None:
            initial = {"access": source.get("access", ""), "grantees": source.getlist("grantees")}
        if data is not None:
            # the first answer asks, and has to show the answer that is given when nobody chooses
            data = data.copy()
            data.setdefault("afterwards", KEEP)
        super().__init__(data, initial=initial, auto_id="share_%s")
        self.words = " ".join((source or QueryDict()).get("q", "").replace("\0", "").split())[:100]
        self.fields["access"].marked_required = True  # type: ignore[attr-defined]
        self._people, self._groups = self._resolve(initial["grantees"])

    def _stored_keys(self) -> list[str]:
        return [
            *(f"person:{pk}" for pk in sorted(self.stored.people)),
            *(f"group:{pk}" for pk in sorted(self.stored.groups)),
        ]

    def _resolve(self, keys: Iterable[str]) -> tuple[dict[str, User], dict[str, Group]]:
        """Who the keys name: contributors and groups holding some, or whoever has a grant on this connection."""
        ids: dict[str, set[int]] = {"person": set(), "group": set()}
        for key in keys:
            if match := _KEY.fullmatch(key):
                ids[match[1]].add(int(match[2]))
        people = User.objects.filter(pk__in=ids["person"]).filter(
            Q(pk__in=self.stored.people) | Q(pk__in=grantable_people().order_by().values("pk"))
        )
        groups = Group.objects.filter(pk__in=ids["group"]).filter(
            Q(pk__in=self.stored.groups) | Q(pk__in=grantable_groups().order_by().values("pk"))
        )
        return {f"person:{p.pk}": p for p in people}, {f"group:{g.pk}": g for g in groups}

    # ---- what it says

    def clean(self) -> dict[str, Any]:
        """Somebody has to be chosen with *Specific people*, and nobody else than who can be."""
        cleaned = super().clean() or {}
        if cleaned.get("access") == Access.SPECIFIC:
            keys = cleaned.get("grantees", [])
            if any(key not in self._people and key not in self._groups for key in keys):
                self.add_error("grantees", _("Choose people and groups from the list."))
            elif not keys:
                self.add_error("grantees", _("Choose at least one person or group."))
        return cleaned

    def people(self) -> list[User]:
        """The chosen people of a valid form, by name."""
        return sorted(self._people.values(), key=str)

    def groups(self) -> list[Group]:
        """The chosen groups of a valid form, by name."""
        return sorted(self._groups.values(), key=str)

    @property
    def keeps(self) -> bool:
        """Whether what loses its responsible person keeps running."""
        return bool(self.cleaned_data["afterwards"] != TURN_OFF)

    # ---- what it shows

    @property
    def chosen(self) -> list[Grantee]:
        """Everybody that is ticked, people first, whatever was searched for."""
        people = {p.pk: p for p in grantable_people().filter(pk__in=[p.pk for p in self._people.values()])}
        members = _with_members(Group.objects.filter(pk__in=[g.pk for g in self._groups.values()]))
        return [
            *(_person(person, idle=person.pk not in people) for person in self.people()),
            *(_group(group, members) for group in self.groups()),
        ]

    @property
    def found(self) -> list[Grantee]:
        """Who can be ticked besides, up to ``MOST``: those that match the search, all where there are few."""
        people, groups = self._candidates()
        if not self.words and people.count() + groups.count() > MOST:
            return []
        members = _with_members(groups)
        listed = [_person(person) for person in people[:MOST]]
        return [*(_group(group, members) for group in groups[:MOST]), *listed][:MOST]

    @property
    def found_phrase(self) -> str:
        """*20 of 143 are shown. Type more of the name.*, or how many were found; empty where all are shown."""
        people, groups = self._candidates()
        number = people.count() + groups.count()
        if number > MOST and not self.words:
            return _("Search for people and groups by name. %(number)d can be chosen.") % {"number": number}
        if number > MOST:
            return _("%(most)d of %(number)d are shown. Type more of the name.") % {
                "most": MOST,
                "number": number,
            }
        if self.words and not number:
            return _("Nobody else has this name.")
        if self.words:
            return ngettext("%(number)d found.", "%(number)d found.", number) % {"number": number}
        return "" if number else _("There is nobody else to choose.")

    def _candidates(self) -> tuple[QuerySet[User], QuerySet[Group]]:
        people = grantable_people().exclude(pk__in=[p.pk for p in self._people.values()])
        groups = grantable_groups().exclude(pk__in=[g.pk for g in self._groups.values()])
        return search_people(people, self.words), _named(groups, self.words)


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


def _named(groups: QuerySet[Group], words: str) -> QuerySet[Group]:
    for word in words.split():
        groups = groups.filter(name__icontains=word)
    return groups


def person_note(person: User) -> str:
    """What tells two people of one name apart."""
    return person.email or (person.username if str(person) != person.username else "")


def _person(person: User, *, idle: bool = False) -> Grantee:
    note = _("No longer a contributor") if idle else person_note(person)
    return Grantee(key=f"person:{person.pk}", label=str(person), note=note, is_group=False, idle=idle)


def _with_members(groups: QuerySet[Group]) -> Mapping[int, int]:
    """Per group how many contributors it holds now."""
    people = grantable_people().order_by().values("pk")
    counted = (
        Group.objects.filter(pk__in=[group.pk for group in groups])
        .annotate(members=Count("user", filter=Q(user__in=people), distinct=True))
        .values_list("pk", "members")
    )
    return dict(counted)


def _group(group: Group, members: Mapping[int, int]) -> Grantee:
    number = members.get(group.pk, 0)
    note = (
        ngettext("Group of %(n)d contributor", "Group of %(n)d contributors", number) % {"n": number}
        if number
        else _("Group without contributors")
    )
    return Grantee(key=f"group:{group.pk}", label=group.name, note=note, is_group=True, idle=not number)
