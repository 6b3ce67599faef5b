"""The export form: connection, its options, what is sent, which fields, and when. Checks only; saves nothing."""

import datetime
import functools
import re
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext as _

from connections import connectors
from connections.connectors.base import Field
from connections.models import Connection, State
from connections_portal.names import clean_name
from exports import form_items
from exports.models import Export, ItemKind, ScheduleKind
from exports.sources import Sources

WEEKDAYS = (
    (0, gettext_lazy("Monday")),
    (1, gettext_lazy("Tuesday")),
    (2, gettext_lazy("Wednesday")),
    (3, gettext_lazy("Thursday")),
    (4, gettext_lazy("Friday")),
    (5, gettext_lazy("Saturday")),
    (6, gettext_lazy("Sunday")),
)
# Which parts of the schedule a kind has; the others are not looked at.
PARTS: dict[str, tuple[str, ...]] = {
    ScheduleKind.MANUAL: (),
    ScheduleKind.DAY: ("time", "zone"),
    ScheduleKind.WEEK: ("time", "zone", "weekdays"),
    ScheduleKind.MONTH: ("time", "zone", "days"),
}
_SEVERAL = {"items", "weekdays", "shown"}


@functools.cache
def zones() -> tuple[str, ...]:
    """IANA names of the zones that places have, by name; UTC first."""
    names = {name for name in zoneinfo.available_timezones() if re.match(r"[A-Z][a-z]+/", name)}
    return ("UTC", *sorted(name for name in names if not name.startswith(("Etc/", "SystemV/"))))


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
        "schedule": export.schedule.kind,
        "time": export.schedule.local_time,
        "weekdays": [str(day) for day in export.schedule.weekdays],
        "days": ", ".join(str(day) for day in export.schedule.days),
        "zone": export.schedule.zone,
    }
    values |= {f"option_{key}": answer for key, answer in export.options.items()}
    for item in items:
        name = form_items.list_name(f"{item.kind}:{item.source}")
        values[name] = list(dict.fromkeys([*values.get(name, []), *item.fields]))
    return values


class ExportForm(forms.Form):
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
    schedule = forms.ChoiceField(
        label=gettext_lazy("Schedule"),
        choices=ScheduleKind.choices,
        initial=ScheduleKind.MANUAL,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose how often it runs."),
            "invalid_choice": gettext_lazy("Choose how often it runs."),
        },
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Days of the week"),
        choices=WEEKDAYS,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": gettext_lazy("Choose at least one day of the week."),
            "invalid_choice": gettext_lazy("Choose days from Monday to Sunday."),
        },
    )
    days = forms.CharField(
        label=gettext_lazy("Days of the month"),
        help_text=gettext_lazy(
            "Numbers from 1 to 31, with commas between them. A day that the month lacks means its last day."
        ),
        error_messages={"required": gettext_lazy("Type at least one day, for example 1 or 1, 15.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )
    time = forms.TimeField(
        label=gettext_lazy("Time"),
        input_formats=["%H:%M", "%H:%M:%S"],
        initial=datetime.time(6, 0),
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={
            "required": gettext_lazy("Type a time, for example 06:00."),
            "invalid": gettext_lazy("Type a time between 00:00 and 23:59, for example 06:00."),
        },
    )
    zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        error_messages={
            "required": gettext_lazy("Choose a time zone."),
            "invalid_choice": gettext_lazy("Choose a time zone from the list."),
        },
    )

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
        # ids of its own: the form of a connection opens beside it
        super().__init__(data, initial=dict(initial), auto_id="export_%s")
        self.sources = sources
        self.connections = list(connections)
        values = initial if data is None else typed(data)
        self.type_key = export.type_key if export else self._type_of(str(values.get("connection", "")))
        self.fields["name"].marked_required = True  # type: ignore[attr-defined]
        self.fields["weekdays"].inline = True  # type: ignore[attr-defined]
        self._offer_connections(export)
        self._add_options()
        self._add_field_lists(values)
        self._offer_zones(str(values.get("zone") or reader_zone), reader_zone)
        for part in ("time", "zone", "weekdays", "days"):
            kinds = [kind for kind, parts in PARTS.items() if part in parts]
            self.fields[part].shown_when = f"schedule={'|'.join(kinds)}"  # type: ignore[attr-defined]
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
        for option in connector.export_options if connector else ():
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
        """Segments and tables, for the template."""
        return form_items.item_groups(self.sources, self.ticked("items"))

    @property
    def field_lists(self) -> list[tuple[forms.BoundField, form_items.FieldList]]:
        """Each list of fields with its bound field (for id and errors), for the template."""
        return [
            (self[name], form_items.field_list(name, self.sources, self.ticked(name)))
            for name in self.fields
            if name.startswith("fields:")
        ]

    def chosen_items(self) -> list[tuple[ItemKind, str, tuple[str, ...]]]:
        """Of a valid form: kind, name and fields of each item."""
        lists = {name: self.ticked(name) for name in self.fields if name.startswith("fields:")}
        return form_items.chosen(self.sources, self.ticked("items"), lists)

    # ---- schedule

    def _offer_zones(self, chosen: str, reader_zone: str) -> None:
        field = self.fields["zone"]
        assert isinstance(field, forms.ChoiceField)
        own = reader_zone if reader_zone in zones() else "UTC"
        field.choices = [(zone, zone) for zone in dict.fromkeys([own, *zones()])]
        field.initial = chosen if chosen in zones() else own

    def timing(self) -> dict[str, Any]:
        """Of a valid form: the parts of the schedule by their names in the model."""
        cleaned, parts = self.cleaned_data, PARTS[self.cleaned_data["schedule"]]
        return {
            "kind": ScheduleKind(cleaned["schedule"]),
            "local_time": cleaned["time"] if "time" in parts else None,
            "weekdays": tuple(cleaned["weekdays"]) if "weekdays" in parts else (),
            "days": tuple(cleaned["days"]) if "days" in parts else (),
            "zone": cleaned["zone"] if "zone" in parts else str(self.fields["zone"].initial),
        }

    # ---- checks

    def clean_name(self) -> str:
        """A name as rule S23 wants it."""
        return clean_name(self.cleaned_data["name"])

    def clean_days(self) -> list[int]:
        """Days of the month as numbers, each once, in order."""
        words = [word for word in re.split(r"[\s,;]+", self.cleaned_data["days"]) if word]
        if not all(re.fullmatch(r"[0-9]{1,2}", word) and 1 <= int(word) <= 31 for word in words):
            raise ValidationError(_("Type numbers from 1 to 31, for example 1, 15."))
        return sorted({int(word) for word in words})

    def clean(self) -> dict[str, Any]:
        """Check what is sent, and forget the parts of the schedule that its kind does not have."""
        kind = self.cleaned_data.get("schedule", ScheduleKind.MANUAL)
        for part in {"time", "zone", "weekdays", "days"} - set(PARTS[kind]):
            self.errors.pop(part, None)
        items = self.ticked("items")
        if error := form_items.items_error(self.sources, items):
            self.add_error("items", error)
        needed = {form_items.list_name(key) for key in items if self.sources.get(key)}
        for name in needed & set(self.fields):
            if error := form_items.fields_error(name, self.sources, self.ticked(name)):
                self.add_error(name, error)
        return self.cleaned_data


def type_name(type_key: str) -> str:
    """What connections of this type are called; the key itself for a type that is no longer built in."""
    connector = connectors.get(type_key)
    return gettext(connector.connection_name) if connector else type_key


def _option_field(option: Field) -> forms.Field:
    common: dict[str, Any] = {
        "label": gettext(option.label),
        "help_text": gettext(option.help) if option.help else "",
        "initial": option.default,
        "required": option.required,
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


class AttachForm(forms.Form):
    """*Add connection* on an export without one: a ready connection of its type."""

    connection = forms.ChoiceField(
        label=gettext_lazy("Connection for export"),
        error_messages={
            "required": gettext_lazy("Choose a connection."),
            "invalid_choice": gettext_lazy("Choose a connection from the list."),
        },
    )

    def __init__(self, data: QueryDict | None = None, *, connections: Sequence[Connection]) -> None:
        super().__init__(data)
        field = self.fields["connection"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("Choose a connection")), *((str(c.uuid), c.name) for c in connections)]
