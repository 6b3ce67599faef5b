"""Forms of *Request access*: asking, sharing in answer, declining."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.access_requests import askable
from connections.operations.requests import LONGEST_REASON, SHORTEST_REASON, clean_text
from connections.types import type_name


class Text(forms.CharField):
    """A few lines, cleaned as they are stored; the length counts after that."""

    widget = forms.Textarea

    def __init__(self, *, shortest: int = 0, **options: Any) -> None:
        super().__init__(strip=False, **options)
        self.shortest = shortest
        self.widget.attrs |= {"rows": 4, "maxlength": LONGEST_REASON}

    def to_python(self, value: Any) -> str:
        """Composed, trimmed, nothing hidden in it."""
        return clean_text(super().to_python(value) or "")

    def validate(self, value: Any) -> None:
        """Not empty where it is asked for, and neither too short nor too long."""
        super().validate(value)
        length = len(value)
        if value and length < self.shortest:
            raise forms.ValidationError(
                _("Write at least %(least)d characters: what you want to send, and why.")
                % {"least": self.shortest}
            )
        if length > LONGEST_REASON:
            raise forms.ValidationError(
                _("This has %(length)d characters; %(most)d are allowed.")
                % {"length": length, "most": LONGEST_REASON}
            )


class AskForm(forms.Form):
    """Which type of connection, and what for."""

    type = forms.ChoiceField(
        label=gettext_lazy("Type of connection"),
        error_messages={
            "required": gettext_lazy("Choose a type."),
            "invalid_choice": gettext_lazy("Choose a type from the list."),
        },
    )
    reason = Text(
        label=gettext_lazy("Reason"),
        shortest=SHORTEST_REASON,
        help_text=gettext_lazy("What you want to send, where, and why. Administrators read it."),
        error_messages={"required": gettext_lazy("Say what you need it for.")},
    )

    def __init__(self, data: QueryDict | None = None, *, type_key: str = "") -> None:
        types = sorted(((c.key, type_name(c.key)) for c in askable()), key=lambda entry: entry[1])
        known = type_key in dict(types)
        chosen = type_key if known else types[0][0] if len(types) == 1 else ""
        super().__init__(data, initial={"type": chosen}, auto_id="ask_%s")
        field = self.fields["type"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*([] if len(types) == 1 else [("", _("Choose a type"))]), *types]


class GrantForm(forms.Form):
    """Which connection is shared in answer, and a word with it."""

    connection = forms.ChoiceField(
        label=gettext_lazy("Connection to share"),
        error_messages={
            "required": gettext_lazy("Choose a connection."),
            "invalid_choice": gettext_lazy("Choose a connection from the list."),
        },
    )
    answer = Text(
        label=gettext_lazy("A word with it"),
        required=False,
        help_text=gettext_lazy("Whoever asked reads it with the answer."),
    )

    def __init__(
        self, data: QueryDict | None = None, *, choices: Sequence[tuple[str, str]], chosen: str = ""
    ) -> None:
        super().__init__(data, initial={"connection": chosen}, auto_id="grant_%s")
        field = self.fields["connection"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*([] if len(choices) == 1 else [("", _("Choose a connection"))]), *choices]


class DeclineForm(forms.Form):
    """Why not."""

    answer = Text(
        label=gettext_lazy("Answer"),
        help_text=gettext_lazy("Whoever asked reads it: why not, or what to do instead."),
        error_messages={"required": gettext_lazy("Say a word about why.")},
    )

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data, auto_id="decline_%s")
