"""Who can be named in *Specific people*: searched, ticked and kept, with hundreds of people too."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from django.contrib.auth.models import Group
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.models import Access
from connections.sharing import Grants, grantable_groups, grantable_people
from connections_portal.models import User
from connections_portal.names import search_words
from connections_portal.people_listing import search_people

# So many are shown at once; more are found by typing more of the name.
MOST = 20
_KEY = re.compile(r"(person|group):([0-9]{1,9})", re.ASCII)
NOBODY = Grants(access=Access.ADMINISTRATORS)


@dataclass(frozen=True, kw_only=True)
class Grantee:
    """A person or group that can be ticked: ``key`` is *person:7*; ``idle``: the grant gives nobody anything now."""

    key: str
    label: str
    note: str
    is_group: bool
    idle: bool = False


class Picker:
    """The ticked ``keys``, whoever else matches ``words``, and what ``_picker.html`` shows of both.

    Contributors can be ticked, and groups that hold some; so can, to be kept, whoever has a grant in ``stored`` that
    lies idle. Any other key is ``unknown``.
    """

    def __init__(self, keys: Iterable[str], *, words: str = "", stored: Grants = NOBODY) -> None:
        self.keys = list(dict.fromkeys(keys))
        self.words = search_words(words)
        ids: dict[str, set[int]] = {"person": set(), "group": set()}
        for key in self.keys:
            if match := _KEY.fullmatch(key):
                ids[match[1]].add(int(match[2]))
        people = User.objects.filter(pk__in=ids["person"]).filter(
            Q(pk__in=stored.people) | Q(pk__in=grantable_people().order_by().values("pk"))
        )
        groups = Group.objects.filter(pk__in=ids["group"]).filter(
            Q(pk__in=stored.groups) | Q(pk__in=grantable_groups().order_by().values("pk"))
        )
        self.people = sorted(people, key=str)
        self.groups = sorted(groups, key=str)

    @property
    def unknown(self) -> bool:
        """Whether something was ticked that cannot be."""
        known = {*(f"person:{p.pk}" for p in self.people), *(f"group:{g.pk}" for g in self.groups)}
        return not known.issuperset(self.keys)

    @cached_property
    def chosen(self) -> list[Grantee]:
        """Everybody that is ticked, people first, whatever was searched for."""
        active = set(
            grantable_people().filter(pk__in=[p.pk for p in self.people]).values_list("pk", flat=True)
        )
        members = _members(self.groups)
        return [
            *(_person(person, idle=person.pk not in active) for person in self.people),
            *(_group(group, members) for group in self.groups),
        ]

    @cached_property
    def found(self) -> list[Grantee]:
        """Who can be ticked besides, up to ``MOST``: those that match the search, all where there are few."""
        if not self.words and self._number > MOST:
            return []
        people, groups = self._candidates
        some = list(groups[:MOST])
        members = _members(some)
        listed = [_person(person) for person in people[: MOST - len(some)]]
        return [*(_group(group, members) for group in some), *listed]

    @cached_property
    def phrase(self) -> str:
        """*20 of 143 are shown. Type more of the name.*, or how many were found; empty where all are shown."""
        return found_phrase(
            self.words, self._number, ask=_("Search for people and groups by name. %(number)d can be chosen.")
        )

    @cached_property
    def _number(self) -> int:
        people, groups = self._candidates
        return people.count() + groups.count()

    @property
    def _candidates(self) -> tuple[QuerySet[User], QuerySet[Group]]:
        people = search_people(grantable_people(), self.words).exclude(pk__in=[p.pk for p in self.people])
        groups = grantable_groups().exclude(pk__in=[g.pk for g in self.groups])
        for word in self.words.split():
            groups = groups.filter(name__icontains=word)
        return people, groups


def keys_of(grants: Grants) -> list[str]:
    """The keys of everybody who holds a grant."""
    return [
        *(f"person:{pk}" for pk in sorted(grants.people)),
        *(f"group:{pk}" for pk in sorted(grants.groups)),
    ]


def person_note(person: User) -> str:
    """What tells two people of one name apart."""
    return person.email or (person.username if str(person) != person.username else "")


def _person(person: User, *, idle: bool = False) -> Grantee:
    note = _("No longer a contributor") if idle else person_note(person)
    return Grantee(key=f"person:{person.pk}", label=str(person), note=note, is_group=False, idle=idle)


def _members(groups: Iterable[Group]) -> Mapping[int, int]:
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


def found_phrase(words: str, number: int, *, ask: str) -> str:
    """What stands under a search for ``words`` that found ``number``; empty where all are shown.

    ``ask`` is said where nothing was typed and there are too many to show; it names the %(number)d.
    """
    if number > MOST and not words:
        return ask % {"number": number}
    if number > MOST:
        return _("%(most)d of %(number)d are shown. Type more of the name.") % {
            "most": MOST,
            "number": number,
        }
    if words and not number:
        return _("Nobody else has this name.")
    if words:
        return ngettext("%(number)d found.", "%(number)d found.", number) % {"number": number}
    return "" if number else _("There is nobody else to choose.")
