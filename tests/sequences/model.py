"""What a model of the portal knows, and how a step is declared."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import strategies as st

from connections_portal.errors import OperationError
from exports.item import Item
from exports.models import ItemKind, ScheduleKind
from exports.operations.edit import Timing
from tests.factories import SETTINGS

SFTP, IMPORT = "sftp", "sftp_custom_import"
IMPORT_SETTINGS = {key: SETTINGS[key] for key in ("auth_method", "username", "hostname")}
LOYAL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("customer_id",))
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="UTC")
# Few of each, so that what is done meets again.
CONNECTIONS, DEPENDENTS, STEPS = 4, 5, 25

numbers = st.integers(0, 30)
# most of what is done is allowed; the rest is refused and changes nothing
persons = st.sampled_from(["lena", "lena", "lena", "ana", "ana", "ben", "tomas"])
grants = st.one_of(
    st.just("nobody"), st.just("all"), st.sets(st.sampled_from(["ana", "ben"]), min_size=1).map(frozenset)
)


RULES: list[tuple[str, Callable[[Any], Any], dict[str, st.SearchStrategy[Any]]]] = []


@dataclass
class Told:
    """What the model knows of a connection: its type, and who was given access to it since it exists."""

    type_key: str
    given: frozenset[str] = frozenset()
    ready: bool = True


@dataclass
class Model:
    """What there is, by the steps that were taken: connections, removed ones, and what each dependent uses."""

    connections: dict[UUID, Told] = field(default_factory=dict)
    removed: dict[UUID, str] = field(default_factory=dict)
    exports: dict[UUID, UUID | None] = field(default_factory=dict)
    enrichments: dict[UUID, tuple[UUID | None, bool]] = field(default_factory=dict)

    def is_used(self, connection: UUID) -> bool:
        on = (used for used, _active in self.enrichments.values())
        return connection in self.exports.values() or connection in on

    def may_use(self, who: str, connection: UUID) -> bool:
        told = self.connections[connection]
        if who == "lena":
            return True
        return who in {"ana", "ben"} and (told.type_key == IMPORT or who in told.given)

    def may_edit(self, who: str, export: UUID) -> bool:
        connection = self.exports[export]
        if connection is not None:
            return self.may_use(who, connection)
        of_type = [uuid for uuid, told in self.connections.items() if told.type_key == SFTP]
        return who == "lena" or any(self.may_use(who, uuid) for uuid in of_type)


def picked(found: Iterable[UUID], number: int, wanted: Callable[[UUID], bool] = lambda uuid: True) -> UUID:
    """One of these; mostly one that is ``wanted``, if there is any."""
    every = list(found)
    fitting = [uuid for uuid in every if wanted(uuid)]
    among = fitting if fitting and number % 5 else every
    return among[number % len(among)]


def rule(*, when: Callable[[Any], Any], **values: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    """Something that can be done ``when`` that holds, with such values."""

    def decorate(method: Any) -> Any:
        RULES.append((method.__name__, when, values))
        return method

    return decorate


@contextmanager
def refused_unless(allowed: bool) -> Iterator[None]:
    """The operation is carried out if the model allows it, and is refused otherwise."""
    if allowed:
        yield
        return
    with pytest.raises(OperationError), transaction.atomic():
        yield
