"""``model.json``: what a file's columns are, in terms of the Common Data Model.

Read are tables (``entities`` or ``tables``) with ``attributes`` (``name``, ``friendlyName``, ``dataType``), their
annotation ``c360:PrimaryKey`` and the form of their partitions' files (``fileFormatSettings``: ``delimiter``,
``columnHeaders``). Where a partition lies (``location``) is never looked at: the enrichment alone says which file is
read (rule S21).
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from connections_portal.customer_data import CUSTOMER_ID
from connections_portal.names import clean_name
from enrichments.importing.problems import ImportProblem, listed, shown

MODEL = "model.json"
MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_COLUMNS = 500
PRIMARY_KEY = "c360:PrimaryKey"
DELIMITERS = (",", ";", "\t", "|")

# what nothing closes goes on to the end, so that no place is looked at twice
_IN_QUOTES = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}


@dataclass(frozen=True)
class DataType:
    """A kind of values: ``words`` for people, ``sql`` the engine's type, ``pattern`` what its text looks like in full.

    The engine alone would take *1.7* for the whole number 2 and *2026-2-30* for a date of its own making.
    """

    words: str
    sql: str
    pattern: str = ""


_DAY = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
ZONE = r":\d{2}(\.\d{1,9})?(Z|[+-]\d{2}(:?\d{2})?)"

TEXT = DataType("text", "string")
# programs that know only decimal numbers write 7.0
WHOLE = DataType("whole number", "int64", r"[+-]?\d{1,19}(\.0*)?")
DECIMAL = DataType(
    "decimal number", "float64", r"([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?|(?i:nan|[+-]?inf))"
)
YES_NO = DataType("yes or no", "boolean", r"(?i:true|false|1|0)")
DATE = DataType("date", "date", _DAY)
DATE_TIME = DataType("date and time", "timestamp(6)", rf"{_DAY}([T ]{_CLOCK}(Z|[+-]\d{{2}}(:?\d{{2}})?)?)?")
TIME = DataType("time", "time", _CLOCK)

# the Common Data Model's names, in small letters, and those of its writers; every other one is read as text
TYPES: Mapping[str, DataType] = {
    "boolean": YES_NO,
    "date": DATE,
    "datetime": DATE_TIME,
    "datetimeoffset": DATE_TIME,
    "decimal": DECIMAL,
    "double": DECIMAL,
    "float": DECIMAL,
    "int16": WHOLE,
    "int32": WHOLE,
    "int64": WHOLE,
    "integer": WHOLE,
    "time": TIME,
}


@dataclass(frozen=True)
class Attribute:
    """One column of the file: ``label`` is its friendly name, or its name."""

    name: str
    label: str
    type: DataType


@dataclass(frozen=True)
class Model:
    """What a file holds: its columns, which of them is the customer ID, and how the file is written."""

    attributes: tuple[Attribute, ...]
    key: str
    delimiter: str = ","
    has_header: bool = True

    @property
    def values(self) -> tuple[Attribute, ...]:
        """The columns to bring in: all but the customer ID."""
        return tuple(attribute for attribute in self.attributes if attribute.name != self.key)


def parse(raw: bytes, filename: str) -> Model:
    """The description of the file of this name. Raises ImportProblem."""
    table = _table_of(_document(raw), filename)
    attributes = _attributes(table)
    key = _key(table, attributes)
    form = _form(table, filename)
    delimiter = form.get("delimiter", ",")
    if delimiter not in DELIMITERS:
        raise _malformed(_("the delimiter is none of comma, semicolon, tab and |"))
    return Model(attributes, key, delimiter, has_header=form.get("columnHeaders") is not False)


def name_of(text: str) -> str:
    """A column's name in the form in which names are compared: composed (NFC), without blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def _malformed(what: str) -> ImportProblem:
    return ImportProblem(
        "model_malformed",
        _("model.json cannot be used: %(what)s.") % {"what": what},
        _("Correct model.json beside the file, and run again."),
    )


def _document(raw: bytes) -> Mapping[str, Any]:
    if len(raw) > MAX_BYTES:
        raise too_large()
    steps = (_BRACKETS.get(byte, 0) for byte in _IN_QUOTES.sub(b"", raw))
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise _malformed(_("its parts lie within each other too deeply"))
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _malformed(_("it is not written in UTF-8")) from None
    except (ValueError, RecursionError):
        raise _malformed(_("it is not JSON")) from None
    if not isinstance(document, dict):
        raise _malformed(_("it has no list of entities"))
    return document


def too_large() -> ImportProblem:
    """The description is longer than any description is."""
    return ImportProblem(
        "model_too_large",
        _("model.json has more than 1 MB."),
        _("Describe the file alone, with its attributes."),
    )


def _table_of(document: Mapping[str, Any], filename: str) -> Mapping[str, Any]:
    """The one table that the file belongs to: by a partition's name, by its own name, or because it is the only one."""
    tables = _dicts(document, "entities") or _dicts(document, "tables")
    if not tables:
        raise _malformed(_("it has no list of entities"))
    if len(tables) == 1:
        return tables[0]
    stem = PurePosixPath(filename).name.split(".")[0]
    named = [t for t in tables if any(p.get("name") == filename for p in _dicts(t, "partitions"))]
    fitting = named or [t for t in tables if t.get("name") == stem]
    if len(fitting) != 1:
        raise ImportProblem(
            "model_no_table",
            _("model.json describes %(n)d tables, and it cannot be told which of them the file belongs to.")
            % {"n": len(tables)},
            _("Keep the one table in it, or name the file as a partition of that table."),
        )
    return fitting[0]


def _attributes(table: Mapping[str, Any]) -> tuple[Attribute, ...]:
    described = _dicts(table, "attributes")
    if not described:
        raise _malformed(_("the table has no attributes"))
    if len(described) > MAX_COLUMNS:
        raise _malformed(_("the table has more than %(n)d attributes") % {"n": MAX_COLUMNS})
    attributes = tuple(_attribute(entry) for entry in described)
    times = Counter(attribute.name.casefold() for attribute in attributes)
    doubled = [a.name for a in attributes if times[a.name.casefold()] > 1]
    if doubled:
        raise _malformed(_("it names attributes twice (%(names)s)") % {"names": listed(doubled)})
    return attributes


def _attribute(entry: Mapping[str, Any]) -> Attribute:
    name = entry.get("name")
    if not isinstance(name, str):
        raise _malformed(_("an attribute has no name"))
    try:
        name = clean_name(name)
    except ValidationError:
        raise _malformed(
            _("the name %(name)s is empty, too long, or holds characters that cannot be seen")
            % {"name": f"“{shown(name)}”"}
        ) from None
    label, kind = entry.get("friendlyName"), entry.get("dataType")
    try:
        label = clean_name(label) if isinstance(label, str) else name
    except ValidationError:
        label = name
    return Attribute(name, label, TYPES.get(kind.strip().lower(), TEXT) if isinstance(kind, str) else TEXT)


def _key(table: Mapping[str, Any], attributes: Sequence[Attribute]) -> str:
    named = [a.get("value") for a in _dicts(table, "annotations") if a.get("name") == PRIMARY_KEY]
    if len(named) != 1 or not isinstance(named[0], str) or not named[0].strip():
        raise ImportProblem(
            "model_no_key",
            _("model.json does not say which column holds the customer ID."),
            _("Give the table the annotation %(name)s, with the name of that attribute as its value.")
            % {"name": PRIMARY_KEY},
        )
    key = name_of(named[0])
    if key not in {attribute.name for attribute in attributes}:
        raise ImportProblem(
            "model_no_key",
            _("The annotation %(name)s names %(key)s, which is no attribute of the table.")
            % {"name": PRIMARY_KEY, "key": shown(key)},
            _("Give the annotation the name of one attribute as its value, as it is written there."),
        )
    others = [attribute.name for attribute in attributes if attribute.name != key]
    if not others:
        raise _malformed(_("the table has no attribute beside the customer ID"))
    if CUSTOMER_ID in {name.casefold() for name in others}:
        raise _malformed(
            _("%(name)s is what the customer ID is called in the output table, and another attribute has it")
            % {"name": CUSTOMER_ID}
        )
    return key


def _form(table: Mapping[str, Any], filename: str) -> Mapping[str, Any]:
    """How the file is written: as said of the partition with its name, else of the first one."""
    partitions = _dicts(table, "partitions")
    own = [partition for partition in partitions if partition.get("name") == filename] or partitions
    form = own[0].get("fileFormatSettings") if own else None
    return form if isinstance(form, dict) else {}


def _dicts(parent: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in a list that may be absent; raises ImportProblem for anything else in its place."""
    found = parent.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise _malformed(_("%(key)s is no list of objects") % {"key": key})
    return found
