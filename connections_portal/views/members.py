"""Who is in a group: searched, ticked and kept, with thousands of people too."""

import re
from collections.abc import Iterable
from functools import cached_property

from django.utils.translation import gettext as _

from connections.picker import MOST, Grantee, found_phrase, person_note
from connections_portal.models import User
from connections_portal.names import search_words
from connections_portal.people_listing import ROLES, search_people, shown_name, with_role

_KEY = re.compile(r"person:([0-9]{1,9})", re.ASCII)


class Members:
    """The ticked ``keys`` (*person:7*), and whoever else matches ``words``; any other key is ``unknown``."""

    def __init__(self, keys: Iterable[str], *, words: str = "") -> None:
        self.keys = list(dict.fromkeys(keys))
        self.words = search_words(words)
        ids = {int(match[1]) for key in self.keys if (match := _KEY.fullmatch(key))}
        chosen = with_role(User.objects.filter(pk__in=ids))
        self.people: list[User] = list(chosen.order_by(shown_name(), "pk"))

    @property
    def unknown(self) -> bool:
        """Whether something was ticked that is nobody."""
        return not {f"person:{person.pk}" for person in self.people}.issuperset(self.keys)

    @property
    def chosen(self) -> list[Grantee]:
        """Everybody that is ticked, whatever was searched for."""
        return [_grantee(person) for person in self.people]

    @cached_property
    def found(self) -> list[Grantee]:
        """Who can be ticked besides, up to ``MOST``: those that match the search, all where there are few."""
        if not self.words and self._number > MOST:
            return []
        return [_grantee(person) for person in self._others.order_by(shown_name(), "pk")[:MOST]]

    @cached_property
    def phrase(self) -> str:
        """How many were found, or that more has to be typed; empty where all are shown."""
        return found_phrase(
            self.words, self._number, ask=_("Search for people by name. %(number)d can be chosen.")
        )

    @cached_property
    def _others(self):  # type: ignore[no-untyped-def]
        others = with_role(search_people(User.objects.all(), self.words))
        return others.exclude(pk__in=[person.pk for person in self.people])

    @cached_property
    def _number(self) -> int:
        return int(self._others.count())


def _grantee(person: User) -> Grantee:
    role = str(ROLES[person.shown_role])  # type: ignore[attr-defined]
    note = person_note(person)
    return Grantee(
        key=f"person:{person.pk}",
        label=str(person),
        note=f"{role} · {note}" if note else role,
        is_group=False,
        idle=not person.is_active,
    )
