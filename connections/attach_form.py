"""The form of *Add connection*: a ready connection for what has none."""

from collections.abc import Sequence

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.models import Connection


class AttachForm(forms.Form):
    """One of ``connections``, named ``label``."""

    connection = forms.ChoiceField(
        error_messages={
            "required": gettext_lazy("Choose a connection."),
            "invalid_choice": gettext_lazy("Choose a connection from the list."),
        },
    )

    def __init__(
        self, data: QueryDict | None = None, *, connections: Sequence[Connection], label: str
    ) -> None:
        super().__init__(data)
        self.connections = connections
        field = self.fields["connection"]
        assert isinstance(field, forms.ChoiceField)
        field.label = label
        field.choices = [("", _("Choose a connection")), *((str(c.uuid), c.name) for c in connections)]

    def chosen(self) -> Connection:
        """The connection of a valid form."""
        return next(c for c in self.connections if str(c.uuid) == self.cleaned_data["connection"])
