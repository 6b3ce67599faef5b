"""*Choose who can use this connection* as a form of its own: access, people and groups, and the question after it."""

from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.models import Access, Connection
from connections.picker import Picker, keys_of
from connections.sharing import Grants, granted
from connections_portal.models import User

KEEP, TURN_OFF = "keep", "off"


class Keys(forms.Field):
    """The ticked keys, as they were sent."""

    widget = forms.CheckboxSelectMultiple

    def to_python(self, value: Any) -> list[str]:
        """Each once, in order."""
        return list(dict.fromkeys(str(key) for key in value or []))


class ShareForm(forms.Form):
    """Access, people and groups; after the first answer also what becomes of exports."""

    access = forms.ChoiceField(
        label=gettext_lazy("Choose who can use this connection"),
        choices=Access.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose one of the answers."),
            "invalid_choice": gettext_lazy("Choose one of the answers."),
        },
    )
    grantees = Keys(label=gettext_lazy("People and groups"), required=False)
    afterwards = forms.ChoiceField(
        label=gettext_lazy("What happens to them"),
        choices=[
            (KEEP, gettext_lazy("Keep them running")),
            (TURN_OFF, gettext_lazy("Turn their schedules off")),
        ],
        initial=KEEP,
        required=False,
        widget=forms.RadioSelect,
    )

    def __init__(
        self, connection: Connection, data: QueryDict | None = None, *, shown: QueryDict | None = None
    ) -> None:
        """What is stored, what was sent (``data``), or what was typed so far and is only shown again (``shown``)."""
        source = shown if data is None else data
        self.stored = granted(connection)
        initial: dict[str, Any] = {"access": connection.access, "grantees": keys_of(self.stored)}
        if source is not None:
            initial = {"access": source.get("access", ""), "grantees": source.getlist("grantees")}
        if data is not None:
            # the first answer asks, and has to show the answer that is given when nobody chooses
            data = data.copy()
            data.setdefault("afterwards", KEEP)
        super().__init__(data, initial=initial, auto_id="share_%s")
        self.fields["access"].marked_required = True  # type: ignore[attr-defined]
        words = (source or QueryDict()).get("q", "")
        self.picker = Picker(initial["grantees"], words=words, stored=self.stored)

    def clean(self) -> dict[str, Any]:
        """Somebody has to be chosen with *Specific people*, and nobody else than who can be."""
        cleaned = super().clean() or {}
        if cleaned.get("access") == Access.SPECIFIC:
            if self.picker.unknown:
                self.add_error("grantees", _("Choose people and groups from the list."))
            elif not self.picker.keys:
                self.add_error("grantees", _("Choose at least one person or group."))
        return cleaned

    def chosen(self) -> Grants:
        """What a valid form chooses, as it would be stored."""
        access = Access(self.cleaned_data["access"])
        if access != Access.SPECIFIC:
            return Grants(access=access)
        return Grants(
            access=access,
            people=frozenset(person.pk for person in self.people()),
            groups=frozenset(group.pk for group in self.groups()),
        )

    def people(self) -> list[User]:
        """The chosen people of a valid form, by name."""
        return self.picker.people

    def groups(self) -> list[Group]:
        """The chosen groups of a valid form, by name."""
        return self.picker.groups

    @property
    def keeps(self) -> bool:
        """Whether what loses its responsible person keeps running."""
        return bool(self.cleaned_data["afterwards"] != TURN_OFF)
