"""*Use Key Vault* beside one secret field: which secret of which linked vault is used in place of a typed value.

Four posted fields stand beside the field ``key``: ``key-source`` (``vault``, else it is typed), ``key-vault``,
``key-name`` and ``key-version``. An empty name keeps what is chosen already, as an empty field keeps a typed secret.
No value of a vault is ever here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from connections.connectors.base import Connector, Field
from connections.key_vault import names
from connections.models import KeyVault, VaultSecret

PARTS = ("source", "vault", "name", "version")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A secret as it was chosen, cleaned and not looked up yet; ``pinned`` is empty for *Always the latest*."""

    vault: KeyVault
    name: str
    pinned: str = ""

    def is_same(self, secret: VaultSecret) -> bool:
        """Whether it is the secret that this row refers to; vaults do not tell small letters from capital ones."""
        same = secret.vault_id == self.vault.pk and secret.name.lower() == self.name.lower()
        return same and secret.pinned == self.pinned


class Unfit(Exception):
    """What was chosen cannot be used: ``part`` is one of ``PARTS``, the message one sentence."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part, self.message = part, message


class Switch(forms.CheckboxInput):
    """A switch that is on for the one value ``vault``, so that ``typed`` is off."""

    def __init__(self) -> None:
        super().__init__(attrs={"role": "switch", "value": "vault"})

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Whether it was on."""
        return data.get(name) == "vault"


class VaultChoice:
    """The choice for ``field``; ``kept`` is the secret that is used so far, None where there is none.

    ``vaults`` are all that are linked, at least one; ``is_on`` is whether the form shows the vault's side.
    """

    def __init__(
        self,
        field: Field,
        vaults: Sequence[KeyVault],
        *,
        kept: VaultSecret | None,
        is_on: bool,
        data: Mapping[str, Any] | None,
    ) -> None:
        self.field, self.vaults, self.kept, self.is_on = field, vaults, kept, is_on
        self.key = field.key
        self._data = {} if data is None else data

    def posted(self, part: str) -> str:
        """What was posted for a part, empty where nothing was."""
        return str(self._data.get(f"{self.key}-{part}", ""))

    @property
    def vault(self) -> KeyVault | None:
        """The vault that is chosen; None for one that is not linked."""
        text = self.posted("vault")
        if not text:
            kept = self.kept
            return next((v for v in self.vaults if kept and v.pk == kept.vault_id), self.vaults[0])
        return next((vault for vault in self.vaults if str(vault.uuid) == text), None)

    @property
    def has_version(self) -> bool:
        """Whether a version was posted, *Always the latest* included."""
        return f"{self.key}-version" in self._data

    @property
    def shown_version(self) -> str:
        """The fixed version that the form shows, empty for *Always the latest*."""
        if self.has_version:
            return self.posted("version")
        return self.kept.pinned if self.kept is not None and not self.posted("name") else ""

    def form_fields(self) -> dict[str, forms.Field]:
        """The fields to add to the form, by name."""
        label = _(self.field.label)
        chosen = self.vault or self.vaults[0]
        source = forms.BooleanField(
            required=False,
            initial=self.is_on,
            widget=Switch(),
            label=_("Use Key Vault for: %(field)s") % {"field": label},
        )
        vault = forms.ChoiceField(
            required=False,
            label=_("Vault"),
            choices=[(str(v.uuid), v.name) for v in self.vaults],
            initial=str(chosen.uuid),
            widget=forms.Select if len(self.vaults) > 1 else forms.HiddenInput,
        )
        attrs = {"autocomplete": "off", "spellcheck": "false", "maxlength": 127}
        name = forms.CharField(required=False, label=_("Secret name"), widget=forms.TextInput(attrs))
        name.marked_required = self.field.required  # type: ignore[attr-defined]
        version = forms.CharField(required=False, label=_("Version"), widget=forms.HiddenInput)
        made = dict(zip(PARTS, (source, vault, name, version), strict=True))
        return {f"{self.key}-{part}": made[part] for part in PARTS}

    def clean(self, *, keeps: bool, anew: bool) -> Chosen | None:
        """What is chosen, None where it stays as it is. Raises Unfit.

        ``keeps``: what is used so far may stay, because the target does; ``anew``: it goes unless it is named again.
        """
        vault = self.vault
        if vault is None:
            raise Unfit("vault", _("This vault is not linked any more. Choose another one."))
        kept = self.kept if keeps else None
        try:
            pinned = names.clean_version(self.posted("version"))
        except ValueError as error:
            raise Unfit("version", _(str(error))) from None
        text = self.posted("name").strip()
        if not text:
            if kept is None:
                raise Unfit("name", self._ask())
            if kept.vault_id != vault.pk:
                raise Unfit("name", _("Choose a secret of this vault."))
            if not self.has_version:
                pinned = kept.pinned
            text = kept.name
        try:
            chosen = Chosen(vault=vault, name=names.clean_secret_name(text), pinned=pinned)
        except ValueError as error:
            raise Unfit("name", _(str(error))) from None
        if kept is not None and chosen.is_same(kept) and not anew:
            return None
        return chosen

    def _ask(self) -> str:
        if self.kept is not None:
            return _("The target has changed, so this has to be chosen again.")
        return _("Choose a secret of the vault.")


def supports(connector: type[Connector]) -> bool:
    """Whether connections of this type can read a secret from a Key Vault: every secret field can."""
    return any(field.secret for field in connector.fields)


def words_of(secret: VaultSecret) -> str:
    """*sftp-password of contoso-kv, always the latest version*."""
    which = (
        _("version %(version)s") % {"version": secret.pinned}
        if secret.pinned
        else _("always the latest version")
    )
    return _("%(name)s of %(vault)s, %(which)s") % {
        "name": secret.name,
        "vault": secret.vault.name,
        "which": which,
    }
