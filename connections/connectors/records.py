"""What a service that takes records is given, and what it answers; how a row of ours becomes a record of theirs.

A connector that takes records declares ``targets`` (what the service calls its fields), a ``shape`` (the JSON of one
record, with targets in it) and ``record_limits``. Rows are brought into that shape by the data engine, as JSON text, so
that no Python looks at a single value on the way.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class TargetKind(StrEnum):
    """What a target takes. Values are brought into the kind's one form in the data engine (``exports.records``)."""

    TEXT = "text"
    EMAIL = "email"
    PHONE = "phone"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    GUID = "guid"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One field of the service. A record without a valid value in a ``required`` one is left out.

    ``hashed`` sends the lower-case hexadecimal SHA-256 of the normalised value in place of it. ``max_length`` is in
    characters; a longer text is not sent (the record is left out if the target is required). ``hints`` are names that
    columns for it often have, lower case.
    """

    key: str
    label: str
    kind: TargetKind = TargetKind.TEXT
    required: bool = False
    hashed: bool = False
    max_length: int | None = None
    hints: tuple[str, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class Of:
    """In a shape: the value of the target with this key; the whole entry is left out where there is none."""

    target: str


@dataclass(frozen=True, kw_only=True)
class Added:
    """In a shape: an object of all attributes that people added by themselves, by the names they gave.

    ``inline`` puts them beside the entry instead of into an object of their own, and ``text`` writes every value as
    text: for services whose fields have no other type in JSON.
    """

    inline: bool = False
    text: bool = False


@dataclass(frozen=True, kw_only=True)
class AttributeNames:
    """What the service takes as the name of an added attribute: all of it matches ``pattern``, as ``rule`` says in one
    sentence; ``taken`` are names that have a target of their own.
    """

    pattern: str
    rule: str
    taken: frozenset[str] = frozenset()

    def is_taken(self, name: str) -> bool:
        """Whether a target has this name; services do not tell capital and small letters apart."""
        return name.casefold() in {taken.casefold() for taken in self.taken}

    def allows(self, name: str) -> bool:
        """Whether an attribute may have this name."""
        return re.fullmatch(self.pattern, name) is not None and not self.is_taken(name)


# One record as JSON: objects of texts that stay as they are, of ``Of`` and ``Added``, and of further objects.
Shape = Mapping[str, "str | bool | Of | Added | Shape"]


@dataclass(frozen=True, kw_only=True)
class RecordLimits:
    """What one request may hold, ``rows`` and ``bytes`` of the records alone, and how many may be under way at once."""

    rows: int
    bytes: int = 4_000_000
    parallel: int = 4


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Records for one request, each a JSON object as text; ``keys`` are the customer IDs, in the same order.

    ``number`` counts from 0 and, with the run, names the chunk for ever: sending it again is the same delivery.
    """

    number: int
    keys: Sequence[str]
    records: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """The service refused the record at ``index`` of its chunk: a short ``code`` and a ``reason``, its own words."""

    index: int
    code: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the service said of a chunk. Every record that is not rejected was accepted.

    ``request_id`` is what the service calls the request, to be named to its support.
    """

    rejected: tuple[Rejection, ...] = ()
    request_id: str = ""


class RecordDelivery(Protocol):
    """A signed-in destination of records. All methods raise ConnectorError."""

    def send(self, chunk: Chunk) -> Outcome:
        """Deliver the chunk. May be called from several threads at a time, and again with a chunk that was sent."""

    def finish(self) -> None:
        """Say that everything was sent; called once, after the last chunk was confirmed."""
