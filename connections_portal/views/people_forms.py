"""The forms of Settings > Permissions. What is right is said by the operations; the forms keep what was typed."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from connections_portal.groups import groups
from connections_portal.models import User
from connections_portal.people import faults, newcomer, stored_role
from connections_portal.roles import LABELS, Role

MAKE, TYPE = "make", "type"

# Said beside the choice, so that nobody has to look them up.
WHAT_ROLES_DO = {
    Role.ADMINISTRATOR: gettext_lazy("decides where data may go, who may use it, and who is here"),
    Role.CONTRIBUTOR: gettext_lazy("builds and runs exports and enrichments on what is shared with them"),
    Role.VIEWER: gettext_lazy("looks at exports and enrichments"),
    Role.SUPPORT: gettext_lazy("reads runs and the audit in the Django admin"),
}


def _text(label: Any, *, required: bool = False, help_text: Any = "", kind: str = "text") -> forms.CharField:
    # the operations trim, and say what is too long
    return forms.CharField(
        label=label,
        required=required,
        strip=False,
        help_text=help_text,
        widget=forms.TextInput(attrs={"autocomplete": "off", "type": kind, "spellcheck": "false"}),
    )


class Described(forms.Form):
    """Name, address, role and groups."""

    first_name = _text(gettext_lazy("First name"))
    last_name = _text(gettext_lazy("Last name"))
    email = _text(gettext_lazy("E-mail"), kind="email")
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        choices=[],
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose a role.")},
    )
    groups: Any = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Groups"),
        queryset=None,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "invalid_choice": gettext_lazy("One of the groups was removed meanwhile. Choose again."),
            "invalid_pk_value": gettext_lazy("Choose groups from the list."),
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "person_%s"} | kwargs)
        role: Any = self.fields["role"]
        role.choices = [(key.value, f"{label}: {WHAT_ROLES_DO[key]}") for key, label in LABELS.items()]
        chosen: Any = self.fields["groups"]
        chosen.queryset = groups()

    def described(self) -> dict[str, Any]:
        """The arguments of the operations, from a valid form."""
        cleaned = self.cleaned_data
        return {name: cleaned[name] for name in ("first_name", "last_name", "email")} | {
            "role": Role(cleaned["role"]) if cleaned.get("role") else None,
            "groups": list(cleaned["groups"]),
        }


class Password(forms.Form):
    """The first password: made here, or typed; a typed one is never shown again."""

    how = forms.ChoiceField(
        label=gettext_lazy("First password"),
        choices=[
            (MAKE, gettext_lazy("Make one, and show it to me once")),
            (TYPE, gettext_lazy("I type one")),
        ],
        initial=MAKE,
        widget=forms.RadioSelect,
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        required=False,
        strip=False,
        help_text=gettext_lazy("At least 10 characters. It has to be changed at the next sign-in."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", "password_%s")
        super().__init__(*args, **kwargs)
        shown: Any = self.fields["password"]
        shown.shown_when = f"how={TYPE}"


class AddPerson(Described, Password):
    """Somebody new."""

    field_order = ("username", "first_name", "last_name", "email", "role", "groups", "how", "password")
    username = _text(
        gettext_lazy("User name"),
        required=True,
        help_text=gettext_lazy("What they sign in with: letters, digits and . _ + - @; it stays as it is."),
    )

    def clean(self) -> dict[str, Any]:
        """What the operation would refuse is said together with what is missing, all at once."""
        cleaned = super().clean() or {}
        typed = {name: cleaned.get(name, "") for name in ("first_name", "last_name", "email")}
        is_typed = cleaned.get("how") == TYPE
        password = cleaned.get("password", "") if is_typed else None
        for name, message in faults(
            newcomer(cleaned.get("username", "")), password=password, **typed
        ).items():
            if name not in self.errors:
                self.add_error(name, message)
        return cleaned


class EditPerson(Described):
    """Somebody who is there. A superuser counts as administrator, so there is no role to choose."""

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        kwargs["initial"] = {
            "first_name": person.first_name,
            "last_name": person.last_name,
            "email": person.email,
            "role": (role := stored_role(person)) and role.value,
            "groups": list(groups().filter(user=person).values_list("pk", flat=True)),
        }
        super().__init__(*args, **kwargs)
        if person.is_superuser:
            del self.fields["role"]


class GroupForm(forms.Form):
    """Name and members of a group; who can be chosen is the picker's matter."""

    name = _text(gettext_lazy("Name"), required=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "group_%s"} | kwargs)
