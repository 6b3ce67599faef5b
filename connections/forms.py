"""The form that sets up or edits a connection: made from the type's declaration, without I/O and without ``save``."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.connectors.base import Connector
from connections.connectors.errors import InvalidSettings
from connections.form_fields import form_field
from connections.form_secrets import FormSecrets, KeptSecrets
from connections.models import Access, Connection, ConnectionDraft
from connections.picker import Picker
from connections.secret_store import target_digest
from connections.share_form import Keys
from connections.sharing import is_open
from connections.vault_choice import PARTS
from connections_portal.models import User
from connections_portal.names import clean_name

OWN_FIELDS = ("name", "access", "grantees", "agree", "wording")


class SetUpForm(forms.Form):
    """Name, access, the type's own fields and agreement.

    Two questions are asked of it: ``is_valid`` (everything that *Save* needs of the form) and ``settings_are_valid``
    (what *Verify* needs). ``cleaned_settings``, ``secrets.typed`` and ``secrets.chosen`` then hold the result for the
    draft. Where a setting is wrong, ``right_settings`` are the others: secrets can be kept as soon as the target is
    among them.
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
        self.secrets = FormSecrets(connector, KeptSecrets(draft, connection), data=data)
        for field in connector.fields:
            self.fields[field.key] = form_field(field, connector, url=url, values=self._values())
            if choice := self.secrets.choices.get(field.key):
                self.fields.update(choice.form_fields())

    @property
    def type_fields(self) -> list[forms.BoundField]:
        """The connector's fields, in its order."""
        return [self[field.key] for field in self.connector.fields]

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The connector's fields as the page shows them: a secret's with its choice where vaults are linked."""
        choices = self.secrets.choices
        return [
            {
                "field": self[field.key],
                "secret": field.secret,
                "choice": choices.get(field.key),
                **{part: self[f"{field.key}-{part}"] for part in PARTS if field.key in choices},
            }
            for field in self.connector.fields
        ]

    @property
    def has_vaults(self) -> bool:
        """Whether a vault is linked that a secret can come from."""
        return bool(self.secrets.choices)

    @property
    def choosing_params(self) -> str:
        """What a list of a vault's secrets is told of the form, for ``hx-params``: no secret, and nothing of people."""
        keys = [field.key for field in self.connector.fields if not field.secret]
        for key in self.secrets.choices:
            keys += [f"{key}-{part}" for part in (*PARTS, "after")]
        return ",".join(["csrfmiddlewaretoken", "action", *keys])

    def note_kept_secrets(self) -> None:
        """Say at each secret's field what is kept of it now."""
        kept = KeptSecrets(self.draft, self.connection)
        for key in [field.key for field in self.connector.fields if field.secret]:
            for in_vault in (False, True):
                row = kept.last(key, in_vault=in_vault)
                if row is not None and (
                    row.draft_id or not self.is_bound or self.target == row.target_digest
                ):
                    self[f"{key}-name" if in_vault and self.has_vaults else key].help_text = kept.note(row)

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
        keys = [field.key for field in self.connector.fields]
        parts = [f"{key}-{part}" for key in self.secrets.choices for part in PARTS]
        return not any(key in self.errors for key in (*keys, *parts))

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
        return self.cleaned_settings != self.connection.settings or bool(
            self.secrets.typed or self.secrets.chosen
        )

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
        for key in self.secrets.choices:
            if self.secrets.is_on(key):
                self.errors.pop(key, None)  # whatever was typed there does not count
        self.secrets.clean(typed, self.cleaned_settings or typed, self.target)
        self._add(self.secrets.errors)
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

    @property
    def target(self) -> str:
        """The digest of the target that is typed; empty while it is not known."""
        wanted = [field.key for field in self.connector.fields if field.target]
        if not all(key in self.right_settings and key not in self.errors for key in wanted):
            return ""
        return target_digest(self.connector.key, self.right_settings)

    @property
    def host(self) -> str:
        """The host of the target that is typed; empty while it is not known."""
        return self.connector.target(self.right_settings).get("host", "") if self.target else ""

    @property
    def refused_secrets(self) -> list[str]:
        """Fields in which a secret was given that cannot be kept: what was kept before is not meant any more."""
        secrets, refused = self.secrets, list(self.secrets.switched)
        for key in [field.key for field in self.connector.fields if field.secret]:
            if secrets.is_on(key):
                given = bool(self.data.get(f"{key}-name")) and f"{key}-name" in self.errors
            else:
                given = bool(self.data.get(key)) and key not in secrets.typed
            if given and key not in refused:
                refused.append(key)
        return refused

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

    def _values(self) -> dict[str, str]:
        """What the connector's fields show now."""
        source = self.data if self.is_bound else self.initial
        return {f.key: str(source.get(f.key, "") or "") for f in self.connector.fields if not f.secret}
