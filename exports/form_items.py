"""The part of the export form that says what is sent: segments and tables, and the fields of each.

Nothing is dropped silently: what was ticked and no longer exists stays in its list, struck through, until it is
unticked. Fields are a stored list; one that appeared since is there unticked (rule S24).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from exports.models import ItemKind
from exports.sources import Source, Sources, label_of

SEGMENT_FIELDS = "fields:segment"
TABLE_FIELDS = "fields:table:"


class Ticks(forms.Field):
    """Boxes of one name: the values of the ticked ones, each once, in the order they were sent."""

    widget = forms.SelectMultiple

    def to_python(self, value: Any) -> list[str]:
        """The ticked values; whether they exist is checked by the form."""
        return list(dict.fromkeys(str(entry) for entry in value or []))


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box to tick. ``number`` counts members or rows (None: not known), ``error`` says why it cannot be sent."""

    value: str
    label: str
    ticked: bool
    number: int | None = None
    error: str = ""
    gone: bool = False

    @property
    def disabled(self) -> bool:
        """What cannot be sent can be unticked, not ticked."""
        return bool(self.error) and not self.ticked


@dataclass(frozen=True, kw_only=True)
class Group:
    """Boxes under one heading."""

    kind: str
    title: str
    boxes: list[Box] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class FieldList:
    """The fields of one table, or the one list for all segments; ``name`` is that of its boxes."""

    name: str
    title: str
    boxes: list[Box]

    @property
    def all_ticked(self) -> bool:
        """Whether the box above the list is ticked as well."""
        return bool(self.boxes) and all(box.ticked for box in self.boxes)


def item_groups(sources: Sources, ticked: Sequence[str]) -> list[Group]:
    """Segments and tables to tick, those that are gone at the end of their group."""
    groups = []
    for kind, title, known in (
        (ItemKind.SEGMENT, _("Segments"), sources.segments),
        (ItemKind.TABLE, _("Tables"), sources.tables),
    ):
        group = Group(kind=kind.value, title=title)
        for source in known:
            group.boxes.append(
                Box(
                    value=source.key,
                    label=source.label,
                    ticked=source.key in ticked,
                    number=source.count,
                    error=source.error,
                )
            )
        known_keys = {source.key for source in known}
        for key in ticked:
            if key not in known_keys and key.startswith(f"{kind.value}:"):
                group.boxes.append(_gone(key, sources.error))
        groups.append(group)
    return groups


def _gone(key: str, unreadable: str) -> Box:
    label = label_of(key.partition(":")[2])
    if unreadable:
        return Box(value=key, label=label, ticked=True, error=_("It cannot be read just now."))
    return Box(
        value=key, label=label, ticked=True, gone=True, error=_("No longer exists. Untick it to save.")
    )


def list_name(key: str) -> str:
    """The name of the field list that belongs to an item: one for all segments, one for each table."""
    kind, _colon, name = key.partition(":")
    return SEGMENT_FIELDS if kind == ItemKind.SEGMENT else TABLE_FIELDS + name


def field_list_names(sources: Sources, ticked: Iterable[str]) -> list[str]:
    """The lists to show: the segments' as soon as there are segments, a table's once the table is ticked."""
    names = [SEGMENT_FIELDS] if sources.segments else []
    for key in ticked:
        if source := sources.get(key):
            name = list_name(source.key)
            if name not in names and not source.error:
                names.append(name)
    return names


def field_list(name: str, sources: Sources, ticked: Sequence[str]) -> FieldList:
    """The boxes of one list: the fields there are, then ticked ones that are gone."""
    columns, title = _columns(name, sources)
    boxes = [Box(value=column, label=column, ticked=column in ticked) for column in columns]
    boxes += [
        Box(
            value=column,
            label=column,
            ticked=True,
            gone=True,
            error=_("No longer exists. Untick it to save."),
        )
        for column in ticked
        if column not in columns
    ]
    return FieldList(name=name, title=title, boxes=boxes)


def _columns(name: str, sources: Sources) -> tuple[tuple[str, ...], str]:
    if name == SEGMENT_FIELDS:
        return sources.profile_fields, _("Fields of the customer profile, sent for every segment")
    source = sources.get(f"{ItemKind.TABLE.value}:{name.removeprefix(TABLE_FIELDS)}")
    assert source is not None
    return source.columns, _("Fields of %(table)s") % {"table": source.label}


def all_fields(name: str, sources: Sources) -> list[str]:
    """Every field of a list, as it stands when nobody has looked at it yet."""
    return list(_columns(name, sources)[0])


def items_error(sources: Sources, ticked: Sequence[str]) -> str:
    """Why this choice cannot be saved, or an empty text."""
    if sources.error:
        return _("The customer data cannot be read just now, so the choice cannot be checked. Try again.")
    if not ticked:
        return _("Choose at least one segment or table.")
    found = [sources.get(key) for key in ticked]
    gone = sum(source is None for source in found)
    if gone:
        return ngettext(
            "%(number)d of the ticked segments and tables no longer exists. Untick it to save.",
            "%(number)d of the ticked segments and tables no longer exist. Untick them to save.",
            gone,
        ) % {"number": gone}
    broken = [source.label for source in found if source is not None and source.error]
    if broken:
        return _("%(names)s cannot be sent. Untick what is marked to save.") % {"names": ", ".join(broken)}
    return ""


def fields_error(name: str, sources: Sources, ticked: Sequence[str]) -> str:
    """Why these fields cannot be saved, or an empty text."""
    if not ticked:
        return _("Choose at least one field.")
    columns = _columns(name, sources)[0]
    gone = [column for column in ticked if column not in columns]
    if gone:
        return ngettext(
            "The field %(names)s no longer exists. Untick it to save.",
            "The fields %(names)s no longer exist. Untick them to save.",
            len(gone),
        ) % {"names": ", ".join(gone)}
    return ""


def chosen(
    sources: Sources, ticked: Sequence[str], fields: dict[str, list[str]]
) -> list[tuple[ItemKind, str, tuple[str, ...]]]:
    """What to store of a valid choice, in the order of the source: ``(kind, name, fields)``."""
    found: list[Source] = [s for s in (*sources.segments, *sources.tables) if s.key in ticked]
    return [
        (
            source.kind,
            source.name,
            tuple(
                c for c in all_fields(list_name(source.key), sources) if c in fields[list_name(source.key)]
            ),
        )
        for source in found
    ]
