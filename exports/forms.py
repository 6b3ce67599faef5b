"""The export form: connection, its options, what is sent, which fields, and when. Checks only; saves nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext as _

from connections import connectors
from connections.connectors.base import Field
from connections.models import Connection, State
from connections.types import type_name
from connections_portal.names import clean_name
from exports import form_items
from exports.form_mapping import ADDED_FIELD, ADDED_NAME, PREFIX, MappingPart, stored_mapping
from exports.form_schedule import ScheduleForm, stored_schedule
from exports.item import Item
from exports.models import Export, ItemKind
from exports.sources import Sources

_SEVERAL = {"items", "weekdays", "shown", ADDED_NAME, ADDED_FIELD}


def typed(data: QueryDict) -> dict[str, Any]:
    """What was typed, in the form in which it fills the form again; plain JSON, no secret can be in it."""
    return {
        key: data.getlist(key) if key in _SEVERAL or key.startswith("fields:") else data.get(key, "")
        for key in data
        if key not in {"csrfmiddlewaretoken", "action"}
    }


def stored(export: Export) -> dict[str, Any]:
    """What is stored, in the same form."""
    items = list(export.items.all())
    values: dict[str, Any] = {
        "name": export.name,
        "version": export.version,
        "connection": str(export.connection.uuid) if export.connection else "",
        "items": [f"{item.kind}:{item.source}" for item in items],
        **stored_schedule(export.schedule),
    }
    values |= {f"option_{key}": answer for key, answer in export.options.items()}
    for item in items:
        name = form_items.list_name(f"{item.kind}:{item.source}")
        values[name] = list(dict.fromkeys([*values.get(name, []), *item.fields]))
        values |= stored_mapping(item.mapping, item.added)
    return values


class ExportForm(ScheduleForm):
    """One export. ``connections`` are those to choose from; ``type_key`` is fixed once the export exists."""

    name = forms.CharField(
        label=gettext_lazy("Display name"),
        help_text=gettext_lazy("Say what it is for. The folder at the destination is named after it once."),
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    connection = forms.ChoiceField(
        label=gettext_lazy("Connection for export"),
        error_messages={
            "required": gettext_lazy("Choose a connection."),
            "invalid_choice": gettext_lazy("Choose a connection from the list."),
        },
    )
    items = form_items.Ticks(label=gettext_lazy("What to send"), required=False)

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        initial: Mapping[str, Any],
        connections: Sequence[Connection],
        sources: Sources,
        reader_zone: str,
        export: Export | None = None,
    ) -> None:
        """Take what was sent, or what to fill in (``typed`` or ``stored``); ``export`` is None for a new one."""
        values = initial if data is None else typed(data)
        # ids of its own: the form of a connection opens beside it
        super().__init__(data, initial=initial, auto_id="export_%s", reader_zone=reader_zone)
        self.sources = sources
        self.connections = list(connections)
        self.type_key = export.type_key if export else self._type_of(str(values.get("connection", "")))
        self.fields["name"].marked_required = True  # type: ignore[attr-defined]
        self._offer_connections(export)
        self._add_options()
        connector = connectors.get(self.type_key)
        self.matching: MappingPart | None = None
        if connector is not None and connector.takes_records():
            self.fields["name"].help_text = _("Say what it is for.")
            self._shown: set[str] = set()
            new = not any(key.startswith(PREFIX) for key in values)
            self.matching = MappingPart(connector, sources.profile_fields, values, new=new)
        else:
            self._add_field_lists(values)
        lists = [name for name in self.fields if name.startswith("fields:")]
        options = [name for name in self.fields if name.startswith("option_")]
        self.order_fields(["name", "connection", *options, "items", *lists])

    # ---- connection and its options

    def _type_of(self, connection: str) -> str:
        return next((c.type_key for c in self.connections if str(c.uuid) == connection), "")

    def _offer_connections(self, export: Export | None) -> None:
        detached = export is not None and export.connection_id is None
        field = self.fields["connection"]
        assert isinstance(field, forms.ChoiceField)
        field.required = not detached
        groups: dict[str, list[tuple[str, str]]] = {}
        for connection in self.connections:
            label = connection.name
            if connection.state != State.READY:
                label = f"{label} ({connection.get_state_display()})"
            groups.setdefault(type_name(connection.type_key), []).append((str(connection.uuid), label))
        empty = _("No Connection") if detached else _("Choose a connection")
        field.choices = [("", empty), *sorted(groups.items())]

    def _add_options(self) -> None:
        connector = connectors.get(self.type_key)
        self._options = connector.export_options if connector else ()
        for option in self._options:
            self.fields[f"option_{option.key}"] = _option_field(option)

    @property
    def option_fields(self) -> list[forms.BoundField]:
        """The fields that the connection type adds."""
        return [self[name] for name in self.fields if name.startswith("option_")]

    # ---- what is sent

    def _add_field_lists(self, values: Mapping[str, Any]) -> None:
        ticked = values.get("items", [])
        self._shown = set(values.get("shown", []))
        for name in form_items.field_list_names(self.sources, ticked):
            everything = form_items.all_fields(name, self.sources)
            title = form_items.field_list(name, self.sources, []).title
            self.fields[name] = form_items.Ticks(label=title, required=False)
            self.fields[name].initial = [] if name in self._shown else everything

    def ticked(self, name: str) -> list[str]:
        """The ticked boxes of this name; all of them for a list of fields that has not been on the page yet."""
        if name.startswith("fields:") and self.is_bound and name not in self._shown:
            return form_items.all_fields(name, self.sources)
        return [str(value) for value in self[name].value() or []]

    @property
    def groups(self) -> list[form_items.Group]:
        """Segments, and tables where they can be sent, for the template."""
        groups = form_items.item_groups(self.sources, self.ticked("items"))
        if self.matching is None:
            return groups
        # of the tables only those that are ticked: they have to be unticked
        for group in groups:
            if group.kind == ItemKind.TABLE:
                group.boxes[:] = [replace(box, error=_only_segments()) for box in group.boxes if box.ticked]
        return groups

    @property
    def field_lists(self) -> list[tuple[forms.BoundField, form_items.FieldList]]:
        """Each list of fields with its bound field (for id and errors), for the template."""
        return [
            (self[name], form_items.field_list(name, self.sources, self.ticked(name)))
            for name in self.fields
            if name.startswith("fields:")
        ]

    def chosen_items(self) -> list[Item]:
        """Of a valid form: what is sent."""
        if self.matching is not None:
            return [
                Item(
                    kind=source.kind,
                    source=source.name,
                    fields=self.matching.fields,
                    mapping=self.matching.mapping,
                    added=self.matching.added_pairs,
                )
                for source in self.sources.segments
                if source.key in self.ticked("items")
            ]
        lists = {name: self.ticked(name) for name in self.fields if name.startswith("fields:")}
        return [
            Item(kind=kind, source=name, fields=fields)
            for kind, name, fields in form_items.chosen(self.sources, self.ticked("items"), lists)
        ]

    # ---- checks

    def clean_name(self) -> str:
        """A name as rule S23 wants it."""
        return clean_name(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """Check what is sent, and when."""
        super().clean()
        for option in self._options:  # left out: saved before the connection's options were on the page
            name = f"option_{option.key}"
            if option.default and not self.cleaned_data.get(name, option.default):
                self.cleaned_data[name] = option.default
        items = self.ticked("items")
        if error := form_items.items_error(self.sources, items):
            self.add_error("items", error)
        if self.matching is not None:
            self._check_matching(items)
            return self.cleaned_data
        needed = {form_items.list_name(key) for key in items if self.sources.get(key)}
        for name in needed & set(self.fields):
            if error := form_items.fields_error(name, self.sources, self.ticked(name)):
                self.add_error(name, error)
        return self.cleaned_data

    def _check_matching(self, items: Sequence[str]) -> None:
        assert self.matching is not None
        if any(key.startswith(f"{ItemKind.TABLE}:") for key in items):
            self.add_error("items", _only_segments())
        if not self.matching.check():
            self.add_error(None, self.matching.errors.get("", _("Data matching is not complete.")))


def _only_segments() -> str:
    return _("Only segments can be sent over this connection. Untick it to save.")


def _option_field(option: Field) -> forms.Field:
    common: dict[str, Any] = {
        "label": gettext(option.label),
        "help_text": gettext(option.help) if option.help else "",
        "initial": option.default,
        "required": option.required and not option.default,
    }
    if option.choices:
        return forms.ChoiceField(
            choices=[(choice.value, gettext(choice.label)) for choice in option.choices],
            error_messages={
                "required": _("Choose one of the answers."),
                "invalid_choice": _("Choose one of the answers."),
            },
            **common,
        )
    return forms.CharField(max_length=option.max_length, **common)
