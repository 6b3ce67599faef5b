"""The forms of the wizard, one for each step that asks something. Checks only; saves nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.connectors.base import Connector, Field
from connections.connectors.errors import InvalidSettings
from connections.models import Connection, State
from connections_portal.names import MAX_LENGTH, clean_name
from enrichments import tables
from enrichments.data_sets import DataSet, DataSets, label_of

CUSTOMERS = "customers"
SEGMENT = "segment:"
Values = Mapping[str, str]


class StepForm(forms.Form):
    """A step's fields, filled with ``values``; they are checked when ``checked`` is true."""

    def __init__(self, values: Values, *, checked: bool) -> None:
        super().__init__(values if checked else None, initial=dict(values), auto_id="enrichment_%s")


class ConnectForm(StepForm):
    """Which connection; optional only for an enrichment that has none at present."""

    connection = forms.ChoiceField(
        label=gettext_lazy("Connection"),
        error_messages={
            "required": gettext_lazy("Choose a connection."),
            # unknown, forbidden, and removed in another window look the same (rule S13)
            "invalid_choice": gettext_lazy(
                "This connection is not offered any more. Choose one from the list."
            ),
        },
    )

    def __init__(
        self, values: Values, *, checked: bool, connections: Sequence[Connection], optional: bool
    ) -> None:
        super().__init__(values, checked=checked)
        self.connections = list(connections)
        field = self.fields["connection"]
        assert isinstance(field, forms.ChoiceField)
        field.required = not optional
        empty = _("No Connection") if optional else _("Choose a connection")
        field.choices = [("", empty), *((str(c.uuid), _connection_label(c)) for c in self.connections)]

    def chosen(self) -> Connection | None:
        """The connection that the checked answer names."""
        answer = self.cleaned_data.get("connection", "")
        return next((c for c in self.connections if str(c.uuid) == answer), None)


def _connection_label(connection: Connection) -> str:
    if connection.state == State.READY:
        return connection.name
    return f"{connection.name} ({connection.get_state_display()})"


class DataSetForm(StepForm):
    """Whom it is about: ``customers``, or ``segment:NAME``. ``stored`` is the segment that is saved already."""

    data_set = forms.ChoiceField(
        label=gettext_lazy("Which customers"),
        help_text=gettext_lazy("Rows about anybody else are left out and counted."),
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose the Customer table or a segment."),
            "invalid_choice": gettext_lazy("Choose the Customer table or a segment from the list."),
        },
    )

    def __init__(self, values: Values, *, checked: bool, data_sets: DataSets, stored: str | None) -> None:
        super().__init__(values, checked=checked)
        self.data_sets = data_sets
        self.stored = stored
        field = self.fields["data_set"]
        assert isinstance(field, forms.ChoiceField)
        choices = [(data_set_value(c.segment), _data_set_label(c)) for c in data_sets.choices]
        chosen = values.get("data_set", "")
        if chosen not in dict(choices):
            choices += self._what_is_gone(chosen)
        field.choices = choices

    def _what_is_gone(self, chosen: str) -> list[tuple[str, str]]:
        """Nothing is dropped silently: what was chosen and is gone stays in the list until something else is."""
        segment = segment_of(chosen)
        if segment is None:
            return []
        label = label_of(segment)
        if self.data_sets.error:
            return [(chosen, label)]
        return [(chosen, _("%(name)s (no longer exists)") % {"name": label})]

    def clean_data_set(self) -> str:
        """The segment's name, empty for all customers."""
        segment = segment_of(self.cleaned_data["data_set"])
        assert segment is not None
        if self.data_sets.error and segment != self.stored:
            raise ValidationError(_("The customer data cannot be read just now. Try again in a moment."))
        found = self.data_sets.get(segment)
        if found is None and not self.data_sets.error:
            raise ValidationError(_("This segment no longer exists. Choose another one."))
        if found is not None and found.error:
            raise ValidationError(_("It cannot be read just now: %(why)s") % {"why": found.error})
        return segment

    def chosen(self) -> DataSet:
        """What the checked answer names."""
        segment = self.cleaned_data["data_set"]
        return self.data_sets.get(segment) or DataSet(segment=segment, label=label_of(segment))


def _data_set_label(choice: DataSet) -> str:
    members = choice.error or choice.members
    return f"{choice.label} ({members})" if members else choice.label


def data_set_value(segment: str) -> str:
    """The answer that stands for a segment, or for all customers."""
    return f"{SEGMENT}{segment}" if segment else CUSTOMERS


def segment_of(value: str) -> str | None:
    """The segment that an answer names, empty for all customers; None for what is no answer."""
    if value == CUSTOMERS:
        return ""
    name = value.removeprefix(SEGMENT)
    return name if value.startswith(SEGMENT) and 0 < len(name) <= 200 and "\0" not in name else None


class OptionsForm(StepForm):
    """What the type asks of each enrichment, as ``option_KEY``; the type itself checks it."""

    def __init__(self, values: Values, *, checked: bool, connector: type[Connector]) -> None:
        super().__init__(values, checked=checked)
        self.connector = connector
        for option in connector.enrichment_options:
            self.fields[f"option_{option.key}"] = _option_field(option)

    def options(self) -> dict[str, str]:
        """The checked answers by key."""
        return {name.removeprefix("option_"): value for name, value in self.cleaned_data.items()}

    def clean(self) -> dict[str, Any]:
        """Have the type put the answers into their one form."""
        super().clean()
        cleaned = dict(self.cleaned_data)
        try:
            answers = self.connector.clean_options(self.options())
        except InvalidSettings as wrong:
            answers = dict(wrong.cleaned)
            for key, message in wrong.errors.items():
                if f"option_{key}" in self.fields and not self.has_error(f"option_{key}"):
                    self.add_error(f"option_{key}", _(message))
        return cleaned | {f"option_{key}": value for key, value in answers.items()}


def _option_field(option: Field) -> forms.Field:
    common: dict[str, Any] = {
        "label": _(option.label),
        "help_text": _(option.help) if option.help else "",
        "required": False,  # the type says what is missing
    }
    if option.choices:
        choices = [(choice.value, _(choice.label)) for choice in option.choices]
        field: forms.Field = forms.ChoiceField(
            choices=choices, error_messages={"invalid_choice": _("Choose one of the answers.")}, **common
        )
    else:
        field = forms.CharField(
            max_length=option.max_length,
            strip=False,
            widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": option.placeholder}),
            **common,
        )
    field.marked_required = option.required and not option.default  # type: ignore[attr-defined]
    return field


class ReviewForm(StepForm):
    """What the enrichment and its table are called; the table's name is set once.

    What is typed into the fields is bounded, since the wizard carries it in an address; what is still too long is said.
    """

    name = forms.CharField(
        label=gettext_lazy("Enrichment name"),
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "maxlength": 2 * MAX_LENGTH}),
    )
    table_name = forms.CharField(
        label=gettext_lazy("Output table name"),
        help_text=gettext_lazy(
            "A letter first, then letters, digits and underscores. It cannot be changed afterwards."
        ),
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "maxlength": MAX_LENGTH}),
    )

    def __init__(self, values: Values, *, checked: bool, new: bool) -> None:
        super().__init__(values, checked=checked)
        if not new:
            del self.fields["table_name"]
        for field in self.fields.values():
            field.marked_required = True  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        """A name as rule S23 wants it."""
        return clean_name(self.cleaned_data["name"])

    def clean_table_name(self) -> str:
        """A name that a table can have."""
        return tables.valid_table_name(self.cleaned_data["table_name"])
