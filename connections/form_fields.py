"""How a field that a connection type declares becomes one of a form."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from connections.connectors.base import Connector, Field, FieldKind


class SecretText(forms.Textarea):
    """A secret of several lines; like a password field it never shows what was typed."""

    def format_value(self, value: Any) -> str | None:
        """Nothing."""
        return None


def form_field(
    field: Field, connector: type[Connector], *, url: str, values: Mapping[str, str]
) -> forms.Field:
    """The form's field for ``field``; ``url`` is where the form lives, ``values`` what the type's fields show now."""
    attrs: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false", "maxlength": field.max_length}
    if field.placeholder:
        attrs["placeholder"] = field.placeholder
    options: dict[str, Any] = {"label": _(field.label), "required": False, "help_text": _(field.help)}
    if field.kind is FieldKind.CHOICE:
        choices = [(choice.value, _(choice.label)) for choice in field.choices]
        made: forms.Field = forms.ChoiceField(
            choices=choices, widget=forms.RadioSelect, initial=field.default, **options
        )
        made.inline = True  # type: ignore[attr-defined]
    elif field.secret:
        attrs["autocomplete"] = "new-password"
        widget = (
            forms.PasswordInput(attrs) if field.kind is FieldKind.SECRET else SecretText(attrs | {"rows": 5})
        )
        made = forms.CharField(strip=False, widget=widget, max_length=field.max_length, **options)
    else:
        attrs |= _address_attrs(field, connector, url)
        made = forms.CharField(max_length=field.max_length, widget=forms.TextInput(attrs), **options)
    made.affix = field.prefix  # type: ignore[attr-defined]
    made.suffix = connector.beside(field.key, values)  # type: ignore[attr-defined]
    made.marked_required = field.required  # type: ignore[attr-defined]
    if field.shown_when:
        made.shown_when = "=".join(field.shown_when)  # type: ignore[attr-defined]
    return made


def _address_attrs(field: Field, connector: type[Connector], url: str) -> dict[str, str]:
    """Pasting fills other fields; a new target brings the privacy text that names it."""
    attrs: dict[str, str] = {}
    if field.fills:
        attrs["data-parse-address"] = field.prefix.removesuffix("://")
        attrs["data-fills"] = json.dumps({part: f"id_{key}" for part, key in field.fills})
    if field.target:
        targets = [f.key for f in connector.fields if f.target]
        attrs |= {
            "hx-post": url,
            "hx-trigger": "change",
            "hx-target": "#consent",
            "hx-swap": "outerHTML",
            "hx-vals": '{"action": "terms"}',
            "hx-params": ",".join(["action", "agree", "wording", *targets]),
        }
    return attrs
