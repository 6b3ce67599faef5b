"""The part of the export form that says which field of the profile fills which one of a service (*Data matching*).

Nothing is dropped silently: a field that was chosen and no longer exists stays chosen, marked, until another one is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from connections.connectors.base import Connector
from connections.connectors.records import Target
from connections_portal.names import clean_name

PREFIX = "map:"
ADDED_NAME, ADDED_FIELD = "added_name", "added_field"
MAX_ADDED = 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target with the field chosen for it; ``choices`` are all fields, and a vanished one that is chosen."""

    name: str
    label: str
    required: bool
    hashed: bool
    help: str
    chosen: str
    choices: Sequence[str]
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class AddedRow:
    """One attribute that somebody added: the name it gets at the service, and the field that fills it."""

    number: int
    name: str
    chosen: str
    choices: Sequence[str]
    name_error: str = ""
    field_error: str = ""


class MappingPart:
    """What was typed or stored of the mapping, for one connection type and the profile's fields.

    ``values`` are the form's: ``map:<target>`` with a field, and the lists ``added_name`` and ``added_field``.
    """

    def __init__(
        self, connector: type[Connector], columns: Sequence[str], values: Mapping[str, Any], *, new: bool
    ) -> None:
        self.connector = connector
        self.adds = connector.adds_attributes  # a template would call the class itself
        self.columns = tuple(columns)
        self.chosen = {
            target.key: str(values.get(PREFIX + target.key, self._suggested(target) if new else ""))
            for target in connector.targets
        }
        names = [str(name) for name in values.get(ADDED_NAME, [])]
        fields = [str(name) for name in values.get(ADDED_FIELD, [])]
        pairs = zip(names, fields, strict=False) if connector.adds_attributes else ()
        self.added = [(name.strip(), field) for name, field in pairs if name.strip() or field][:MAX_ADDED]
        if values.get("add_attribute") and connector.adds_attributes:
            self.added.append(("", ""))
        self.errors: dict[str, str] = {}

    def _suggested(self, target: Target) -> str:
        """The field that is called like the target, where there is one."""
        by_name = {column.lower().replace(" ", "_"): column for column in self.columns}
        return next((by_name[hint] for hint in (target.key.lower(), *target.hints) if hint in by_name), "")

    def check(self) -> bool:
        """Find what cannot be saved; true when there is nothing."""
        for target in self.connector.targets:
            if error := self._error_of(target):
                self.errors[PREFIX + target.key] = error
        seen: set[str] = set()
        for number, (name, field) in enumerate(self.added):
            if not name and not field:
                continue
            if error := self._error_of_name(name, seen) or name_error(self.connector, name):
                self.errors[f"{ADDED_NAME}:{number}"] = error
            seen.add(name.casefold())
            if not field:
                self.errors[f"{ADDED_FIELD}:{number}"] = _("Choose a field.")
            elif field not in self.columns:
                self.errors[f"{ADDED_FIELD}:{number}"] = _gone()
        if self.connector.adds_attributes and not self.mapping and not any(name for name, _f in self.added):
            self.errors[""] = _("Add at least one attribute.")
        return not self.errors

    def _error_of(self, target: Target) -> str:
        chosen = self.chosen[target.key]
        if not chosen:
            return (
                _("Choose the field to send as %(name)s.") % {"name": _(target.label)}
                if target.required
                else ""
            )
        return "" if chosen in self.columns else _gone()

    @staticmethod
    def _error_of_name(name: str, seen: set[str]) -> str:
        if not name:
            return _("Say what it is called there.")
        if name.casefold() in seen:
            return _("There is an attribute of this name already.")
        try:
            clean_name(name)
        except ValidationError as error:
            return " ".join(error.messages)
        return ""

    @property
    def mapping(self) -> tuple[tuple[str, str], ...]:
        """Pairs of target and field, in the order of the targets."""
        return tuple((key, field) for key, field in self.chosen.items() if field)

    @property
    def added_pairs(self) -> tuple[tuple[str, str], ...]:
        """Pairs of name and field, in the order they were added."""
        return tuple((name, field) for name, field in self.added if name and field)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that is sent, once, in the order of the profile (rule S24)."""
        used = {field for _name, field in (*self.mapping, *self.added_pairs)}
        return tuple(column for column in self.columns if column in used)

    @property
    def rows(self) -> list[Row]:
        """The targets, for the template."""
        return [
            Row(
                name=PREFIX + target.key,
                label=_(target.label),
                required=target.required,
                hashed=target.hashed,
                help=_(target.help) if target.help else "",
                chosen=self.chosen[target.key],
                choices=self._choices(self.chosen[target.key]),
                error=self.errors.get(PREFIX + target.key, ""),
            )
            for target in self.connector.targets
        ]

    @property
    def added_rows(self) -> list[AddedRow]:
        """The attributes that were added, for the template."""
        return [
            AddedRow(
                number=number,
                name=name,
                chosen=field,
                choices=self._choices(field),
                name_error=self.errors.get(f"{ADDED_NAME}:{number}", ""),
                field_error=self.errors.get(f"{ADDED_FIELD}:{number}", ""),
            )
            for number, (name, field) in enumerate(self.added)
        ]

    def _choices(self, chosen: str) -> list[str]:
        return [*self.columns, *([chosen] if chosen and chosen not in self.columns else [])]


def name_error(connector: type[Connector], name: str) -> str:
    """Why the service takes no attribute of this name; empty where it does, or may."""
    names = connector.attribute_names
    if names is None or not name:
        return ""
    if names.is_taken(name):
        return _("This field has a line of its own above.")
    return "" if names.allows(name) else _(names.rule)


def stored_mapping(mapping: Sequence[Sequence[str]], added: Sequence[Sequence[str]]) -> dict[str, Any]:
    """What is stored of an item, in the form in which it fills the form again."""
    return {
        **{PREFIX + key: field for key, field in mapping},
        ADDED_NAME: [name for name, _field in added],
        ADDED_FIELD: [field for _name, field in added],
    }


def _gone() -> str:
    return _("This field no longer exists. Choose another one.")
