"""The form that sets up or edits a connection: made from the type's declaration, without I/O and without ``save``."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.formats import time_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.connectors.base import Connector, Field, FieldKind, is_active
from connections.connectors.errors import InvalidSettings
from connections.models import Access, Connection, ConnectionDraft
from connections.picker import Picker
from connections.secret_store import target_digest
from connections.share_form import Keys
from connections.sharing import is_open
from connections_portal.models import User
from connections_portal.names import clean_name

OWN_FIELDS = ("name", "access", "grantees", "agree", "wording")


class SecretText(forms.Textarea):
    """A secret of several lines; like a password field it never shows what was typed."""

    def format_value(self, value: Any) -> str | None:
        """Nothing."""
        return None


class SetUpForm(forms.Form):
    """Name, access, the type's own fields and agreement.

    Two questions are asked of it: ``is_valid`` (everything that *Save* needs of the form) and ``settings_are_valid``
    (what *Verify* needs). ``cleaned_settings`` and ``typed_secrets`` then hold the result for the draft. Where a
    setting is wrong, ``right_settings`` are the others: secrets can be kept as soon as the target is among them.
    """

    name = forms.CharField(
        label=gettext_lazy("Display name"),
        required=False,
        strip=False,
        help_text=gettext_lazy(
            "Say what it is for and where it goes, for example “Newsletter, Lisbon office”."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    access = forms.ChoiceField(
        label=gettext_lazy("Choose who can use this connection"),
        choices=Access.choices,
        initial=Access.ADMINISTRATORS,
        widget=forms.RadioSelect,
    )
    grantees = Keys(label=gettext_lazy("People and groups"), required=False)
    agree = forms.BooleanField(label=gettext_lazy("I agree"), required=False)
    wording = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self,
        connector: type[Connector],
        *,
        draft: ConnectionDraft | None,
        url: str,
        data: QueryDict | None = None,
        expired: bool = False,
        connection: Connection | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        """For ``connector``; ``draft`` gives what is kept, ``data`` what is posted, ``url`` where the form lives.

        ``connection`` is the one that is edited, ``initial`` what a new one starts with; ``expired``: there was a
        draft, and its time is over.
        """
        stored = {"name": connection.name, **connection.settings} if connection else dict(initial or {})
        super().__init__(data, initial={**stored, **draft.form, **draft.settings} if draft else stored)
        self.connector = connector
        self.connection = connection
        self.draft = draft
        self.expired = expired
        self.url = url
        self.cleaned_settings: dict[str, str] = {}
        self.right_settings: dict[str, str] = {}
        self.typed_secrets: dict[str, str] = {}
        keys = self.initial.get("grantees", []) if data is None else data.getlist("grantees")
        self.picker = Picker(keys, words="" if data is None else data.get("q", ""))
        self.is_shared = not is_open(connector.key)
        # an existing one's sharing has a page of its own
        self.asks_access = connection is None and self.is_shared
        if not self.is_shared:
            self.fields["name"].help_text = _(
                "Say what it brings in and from where, for example “Loyalty scores, data science team”."
            )
        if not self.asks_access:
            del self.fields["access"], self.fields["grantees"]
        self.fields["name"].marked_required = True  # type: ignore[attr-defined]
        self.fields["agree"].marked_required = True  # type: ignore[attr-defined]
        for field in connector.fields:
            self.fields[field.key] = self._form_field(field, url)

    @property
    def type_fields(self) -> list[forms.BoundField]:
        """The connector's fields, in its order."""
        return [self[field.key] for field in self.connector.fields]

    def note_kept_secrets(self) -> None:
        """Say at each secret's field what the draft keeps of it now."""
        for field in self.connector.fields:
            if field.secret and (kept := self._kept_until(field) or self._stored_since(field)):
                self[field.key].help_text = kept

    def note_stored_values(self) -> None:
        """Say at each field what somebody else stored there meanwhile, where it is not what is typed."""
        if self.connection is None:
            return
        stored = {"name": self.connection.name, **self.connection.settings}
        for field in (self["name"], *self.type_fields):
            value = str(stored.get(field.name, ""))
            if field.name in stored and value != str(field.value() or ""):
                field.help_text = _("Stored now: %(value)s") % {"value": value or "–"}

    @property
    def settings_are_valid(self) -> bool:
        """Whether the connector's fields are fit to be verified."""
        return not any(field.key in self.errors for field in self.connector.fields)

    @property
    def is_as_kept(self) -> bool:
        """Whether the draft holds what the form shows, so that its verification speaks of this."""
        if self.draft is None:
            return False
        return not self.is_bound or (self.settings_are_valid and self.cleaned_settings == self.draft.settings)

    @property
    def agreed_to(self) -> str:
        """The hash of the text that *I agree* was ticked under, now or in the draft; empty when it is not ticked."""
        if not self.is_bound:
            return str(self.draft.form.get("agreed_to", "")) if self.draft else ""
        return str(self.data.get("wording", ""))[:64] if self.data.get("agree") == "on" else ""

    @property
    def changes_settings(self) -> bool:
        """Whether the form, if it is valid, holds more than a new name for the connection that is edited."""
        if self.connection is None:
            return True
        return self.cleaned_settings != self.connection.settings or bool(self.typed_secrets)

    def kept_form(self) -> dict[str, Any]:
        """What the draft keeps besides settings and secrets, as typed (a NUL has no place in a JSON column)."""

        def kept(text: str) -> str:
            return text.replace("\0", "")

        return {
            "name": kept(self.data.get("name", "")),
            "access": kept(self.data.get("access", "")),
            "version": kept(self.data.get("version", ""))[:10],
            "grantees": [kept(key) for key in self.data.getlist("grantees")],  # type: ignore[attr-defined]
            "agreed_to": kept(self.agreed_to),
        }

    def chosen_access(self) -> Access:
        """The answer to *Choose who can use this connection*; the default where it is not asked."""
        return Access(self.cleaned_data.get("access", Access.ADMINISTRATORS))

    def people(self) -> list[User]:
        """The chosen people."""
        return self.picker.people if self.cleaned_data.get("grantees") else []

    def groups(self) -> list[Group]:
        """The chosen groups."""
        return self.picker.groups if self.cleaned_data.get("grantees") else []

    def clean_name(self) -> str:
        """One to a hundred visible characters."""
        return clean_name(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """Have the connector clean its settings and the secrets that were typed."""
        cleaned = super().clean() or {}
        if self.asks_access:
            self._clean_grantees(cleaned)
        typed = {f.key: str(cleaned.get(f.key) or "") for f in self.connector.fields}
        try:
            self.cleaned_settings = self.connector.clean(
                {f.key: typed[f.key] for f in self.connector.fields if not f.secret}
            )
            self.right_settings = self.cleaned_settings
        except InvalidSettings as error:
            self._add(error.errors)
            self.right_settings = error.cleaned
        self._clean_secrets(typed)
        self._hide_what_was_typed()
        return cleaned

    def _clean_grantees(self, cleaned: dict[str, Any]) -> None:
        if cleaned.get("access") != Access.SPECIFIC:
            # hidden then, and without effect: nothing in it may stop anybody
            self.errors.pop("grantees", None)
            cleaned["grantees"] = []
        elif self.picker.unknown:
            self.add_error("grantees", _("Choose people and groups from the list."))
        elif not self.picker.keys:
            self.add_error("grantees", _("Choose at least one person or group."))

    def _clean_secrets(self, typed: Mapping[str, str]) -> None:
        settings = self.cleaned_settings or typed
        kept = self._kept()
        target_known = bool(self.target)
        for field in self.connector.fields:
            if not field.secret or not is_active(field, settings):
                continue
            if typed[field.key]:
                try:
                    value = self.connector.clean_secret(field.key, typed[field.key], typed)
                    self.typed_secrets[field.key] = value
                except InvalidSettings as error:
                    self._add(error.errors)
                    if field.key not in error.errors:
                        # wrong together with another one, and only that one is typed again
                        self.typed_secrets[field.key] = typed[field.key]
                if field.key in self.typed_secrets and not target_known:
                    del self.typed_secrets[field.key]
                    self._add(
                        {field.key: _("Type it again once the target is right; it is kept for that only.")}
                    )
            elif field.required and field.key not in kept and (target_known or not self._was_kept(field)):
                self._add({field.key: self._asks_for(field)})
        for key in self.typed_secrets.keys() & self.errors.keys():
            del self.typed_secrets[key]

    def _kept(self) -> set[str]:
        """Fields whose secret draft or connection holds for the target that is typed now (rule S1)."""
        target = self.target
        return {
            key
            for owner in self._owners
            for key in owner.secrets.filter(target_digest=target).values_list("field", flat=True)
        }

    @property
    def target(self) -> str:
        """The digest of the target that is typed; empty while it is not known."""
        wanted = [field.key for field in self.connector.fields if field.target]
        if not all(key in self.right_settings and key not in self.errors for key in wanted):
            return ""
        return target_digest(self.connector.key, self.right_settings)

    @property
    def refused_secrets(self) -> list[str]:
        """Fields in which a secret was typed that cannot be kept: what was kept before is not meant any more."""
        typed = [f.key for f in self.connector.fields if f.secret and self.data.get(f.key)]
        return [key for key in typed if key not in self.typed_secrets]

    @property
    def _owners(self) -> list[Connection | ConnectionDraft]:
        return [owner for owner in (self.draft, self.connection) if owner is not None]

    def _asks_for(self, field: Field) -> str:
        if self._was_kept(field):
            return _("The target has changed, so this has to be typed again.")
        return _("Fill in this field.")

    def _was_kept(self, field: Field) -> bool:
        return any(owner.secrets.filter(field=field.key).exists() for owner in self._owners)

    def _add(self, errors: Mapping[str, str]) -> None:
        for key, message in errors.items():
            self.add_error(key if key in self.fields else None, ValidationError(_(message)))

    def _hide_what_was_typed(self) -> None:
        """Show again only what may be shown: an address without the password somebody pasted in it."""
        data = self.data.copy()  # type: ignore[attr-defined]
        for field in self.connector.fields:
            if not field.secret and field.key in data:
                data[field.key] = self.connector.shown(field.key, str(data[field.key]))
        self.data = data

    def _form_field(self, field: Field, url: str) -> forms.Field:
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
                forms.PasswordInput(attrs)
                if field.kind is FieldKind.SECRET
                else SecretText(attrs | {"rows": 5})
            )
            made = forms.CharField(strip=False, widget=widget, max_length=field.max_length, **options)
        else:
            attrs |= self._address_attrs(field, url)
            made = forms.CharField(max_length=field.max_length, widget=forms.TextInput(attrs), **options)
        made.affix = field.prefix  # type: ignore[attr-defined]
        made.suffix = self.connector.beside(field.key, self._values())  # type: ignore[attr-defined]
        made.marked_required = field.required  # type: ignore[attr-defined]
        if field.shown_when:
            made.shown_when = "=".join(field.shown_when)  # type: ignore[attr-defined]
        return made

    def _values(self) -> dict[str, str]:
        """What the connector's fields show now."""
        source = self.data if self.is_bound else self.initial
        return {f.key: str(source.get(f.key, "") or "") for f in self.connector.fields if not f.secret}

    def _kept_until(self, field: Field) -> str:
        if self.draft is None or not self.draft.secrets.filter(field=field.key).exists():
            return ""
        until = time_format(timezone.localtime(self.draft.expires_at), "H:i")
        return _("Kept for this set-up until %(time)s. Type to replace it.") % {"time": until}

    def _stored_since(self, field: Field) -> str:
        """What stands at a secret of the connection that is edited."""
        connection = self.connection
        if connection is None or not connection.secrets.filter(field=field.key).exists():
            return ""
        if self.is_bound and self.target != connection.target_digest:
            return ""
        return _("Stored, never shown. Leave it empty to keep it.")

    def _address_attrs(self, field: Field, url: str) -> dict[str, str]:
        """Pasting fills other fields; a new target brings the privacy text that names it."""
        attrs: dict[str, str] = {}
        if field.fills:
            attrs["data-parse-address"] = field.prefix.removesuffix("://")
            attrs["data-fills"] = json.dumps({part: f"id_{key}" for part, key in field.fills})
        if field.target:
            targets = [f.key for f in self.connector.fields if f.target]
            attrs |= {
                "hx-post": url,
                "hx-trigger": "change",
                "hx-target": "#consent",
                "hx-swap": "outerHTML",
                "hx-vals": '{"action": "terms"}',
                "hx-params": ",".join(["action", "agree", "wording", *targets]),
            }
        return attrs
