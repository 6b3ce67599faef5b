"""The form of a vault's link, for a new one and for changes; without ``save`` and without asking Azure."""

import re
from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.form_fields import SecretText
from connections.key_vault import names
from connections.key_vault.base import ListedVault
from connections.models import KeyVault, VaultIdentity, VaultScope
from connections.operations.link_vault import VaultLink

GUID = re.compile(r"\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?", re.IGNORECASE)
# Azure's rule for names of tags and the values of a prefix; `name` or `name=value`.
TAG = re.compile(r"[^<>%&\\?/=\x00-\x1f\x7f]{1,100}(=[^\x00-\x1f\x7f]{0,100})?")
PREFIX = re.compile(r"[0-9A-Za-z-]{1,127}")
# A certificate with its key, and a client secret (40 characters at Azure, with room to spare).
LONGEST_CERTIFICATE = 25_000
LONGEST_SECRET = 500
OFF = {"autocomplete": "off", "spellcheck": "false"}


class VaultForm(forms.Form):
    """Which vault, who signs in, what may be used, agreement. ``link`` is what is typed, once the form is valid.

    ``vault`` is the one whose link is changed; ``vaults`` are those of Azure's directory that may be chosen from.
    What is typed as a secret is never shown again, but stays in its input while htmx swaps the form around it.
    """

    subscription = forms.CharField(required=False, max_length=36)
    group = forms.CharField(required=False, max_length=90)
    listed = forms.CharField(label=gettext_lazy("Vault"), required=False, max_length=255)
    address = forms.CharField(
        label=gettext_lazy("Address of the vault"),
        required=False,
        help_text=gettext_lazy("For a vault that is not in the list."),
        max_length=255,
        widget=forms.TextInput(OFF | {"placeholder": "https://contoso-portal.vault.azure.net"}),
    )
    subscription_name = forms.CharField(
        label=gettext_lazy("Subscription"), required=False, max_length=200, widget=forms.TextInput(OFF)
    )
    resource_group = forms.CharField(
        label=gettext_lazy("Resource group"), required=False, max_length=90, widget=forms.TextInput(OFF)
    )
    identity = forms.ChoiceField(
        label=gettext_lazy("Who signs in"),
        choices=VaultIdentity.choices,
        initial=VaultIdentity.PORTAL,
        widget=forms.RadioSelect,
    )
    tenant_id = forms.CharField(
        label=gettext_lazy("Directory (tenant) ID"),
        required=False,
        max_length=60,
        widget=forms.TextInput(OFF | {"placeholder": "00000000-0000-0000-0000-000000000000"}),
    )
    client_id = forms.CharField(
        label=gettext_lazy("Application (client) ID"),
        required=False,
        max_length=60,
        widget=forms.TextInput(OFF | {"placeholder": "00000000-0000-0000-0000-000000000000"}),
    )
    client_secret = forms.CharField(
        label=gettext_lazy("Client secret"),
        required=False,
        strip=True,
        max_length=LONGEST_SECRET,
        help_text=gettext_lazy("The secret's value from the app registration, not its ID."),
        widget=forms.PasswordInput(OFF | {"autocomplete": "new-password"}),
    )
    certificate = forms.CharField(
        label=gettext_lazy("Certificate and private key"),
        required=False,
        max_length=LONGEST_CERTIFICATE,
        help_text=gettext_lazy("As PEM text, both parts, the private key without a password."),
        widget=SecretText(OFF | {"rows": 5}),
    )
    scope = forms.ChoiceField(
        label=gettext_lazy("Which secrets may be used here"),
        choices=VaultScope.choices,
        initial=VaultScope.PREFIX,
        widget=forms.RadioSelect,
    )
    name_prefix = forms.CharField(
        label=gettext_lazy("Name begins with"),
        required=False,
        max_length=127,
        widget=forms.TextInput(OFF | {"placeholder": "portal-"}),
    )
    tag = forms.CharField(
        label=gettext_lazy("Tag"),
        required=False,
        max_length=127,
        help_text=gettext_lazy("Its name, or name=value."),
        widget=forms.TextInput(OFF | {"placeholder": "used-by=portal"}),
    )
    secret_name = forms.CharField(
        label=gettext_lazy("Secret to try"),
        required=False,
        max_length=127,
        help_text=gettext_lazy(
            "Its name, where the portal may read secrets but not list them. Otherwise the first one in the list is "
            "tried. Its value is read and forgotten."
        ),
        widget=forms.TextInput(OFF),
    )
    agree = forms.BooleanField(label=gettext_lazy("I agree"), required=False)
    wording = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        vault: KeyVault | None = None,
        vaults: Sequence[ListedVault] = (),
    ) -> None:
        if data is not None and not vaults and data.get("listed") and not data.get("address", "").strip():
            # the list that it was chosen from cannot be shown again: it stays as an address
            data = data.copy()
            data["address"], data["listed"] = data.get("listed", ""), ""
        super().__init__(data, initial=_stored(vault) if vault else {})
        self.vault = vault
        self.vaults = vaults
        self.link: VaultLink | None = None
        for name in ("tenant_id", "client_id"):
            self._mark(name, "identity=principal_secret|principal_certificate")
        self._mark("client_secret", f"identity={VaultIdentity.PRINCIPAL_SECRET}")
        self._mark("certificate", f"identity={VaultIdentity.PRINCIPAL_CERTIFICATE}")
        self._mark("name_prefix", f"scope={VaultScope.PREFIX}")
        self._mark("tag", f"scope={VaultScope.TAG}")
        if vault is not None:
            kept = "certificate" if vault.identity == VaultIdentity.PRINCIPAL_CERTIFICATE else "client_secret"
            if vault.identity != VaultIdentity.PORTAL:
                self.fields[kept].help_text = _(
                    "Stored, never shown. Leave it empty to keep it for this tenant and client."
                )
        self._keep_in_browser()

    def _mark(self, name: str, shown_when: str) -> None:
        self.fields[name].marked_required = True  # type: ignore[attr-defined]
        self.fields[name].shown_when = shown_when  # type: ignore[attr-defined]

    def _keep_in_browser(self) -> None:
        """Let htmx leave the inputs of secrets as they stand, except where what was typed there is wrong."""
        for name in ("client_secret", "certificate"):
            attrs = self.fields[name].widget.attrs
            attrs["hx-preserve"] = "true"
            if self.is_bound and name in self.errors:
                del attrs["hx-preserve"]

    @property
    def chosen(self) -> ListedVault | None:
        """The vault of the directory that the form names, by choice or by address."""
        host = self.host
        return next((one for one in self.vaults if one.host == host), None)

    @property
    def host(self) -> str:
        """The host that is typed or chosen now; empty while there is none."""
        if self.vault is not None:
            return self.vault.host
        typed = str(self["address"].value() or "").strip() or str(self["listed"].value() or "").strip()
        try:
            return names.clean_host(typed, cloud=settings.AZURE_CLOUD) if typed else ""
        except ValueError:
            return ""

    def clean(self) -> dict[str, Any]:
        """Fill ``link``, or say at each field what is wrong with it."""
        cleaned = super().clean() or {}
        host = self._clean_host(cleaned)
        identity, scope = cleaned.get("identity", ""), cleaned.get("scope", "")
        tenant = client = credential = ""
        if identity and identity != VaultIdentity.PORTAL:
            tenant, client = self._clean_guid(cleaned, "tenant_id"), self._clean_guid(cleaned, "client_id")
            credential = self._clean_credential(cleaned, identity)
        value = self._clean_scope(cleaned, scope)
        secret_name = self._clean_name(cleaned)
        self._forgive_hidden(identity, scope)
        if not self.errors:
            self.link = VaultLink(
                host=host,
                identity=identity,
                tenant_id=tenant,
                client_id=client,
                credential=credential,
                scope=scope,
                scope_value=value,
                secret_name=secret_name,
                **self._labels(cleaned),
            )
        return cleaned

    def _clean_host(self, cleaned: dict[str, Any]) -> str:
        if self.vault is not None:
            return self.vault.host
        typed, listed = cleaned.get("address", "").strip(), cleaned.get("listed", "").strip()
        if not typed and not listed:
            if "address" not in self.errors:
                self.add_error("address", _("Choose a vault from the list, or type its address."))
            return ""
        try:
            host = names.clean_host(typed or listed, cloud=settings.AZURE_CLOUD)
            if typed and listed and names.clean_host(listed, cloud=settings.AZURE_CLOUD) != host:
                self.add_error("address", _("Another vault is chosen in the list. Keep one of the two."))
        except ValueError as error:
            self.add_error("address", _(str(error)))
            return ""
        return host

    def _clean_guid(self, cleaned: dict[str, Any], name: str) -> str:
        text = cleaned.get(name, "").strip()
        found = GUID.fullmatch(text)
        if found:
            return found[1].lower()
        if name not in self.errors:
            wrong = _("This is not an ID. It has 32 letters and digits in five groups.")
            self.add_error(name, wrong if text else _("Fill in this field."))
        return ""

    def _clean_credential(self, cleaned: dict[str, Any], identity: str) -> str:
        """What is typed to sign in with; empty where the stored one may stay, which the operation decides (S1)."""
        if identity == VaultIdentity.PRINCIPAL_CERTIFICATE:
            name, text = "certificate", cleaned.get("certificate", "").replace("\r\n", "\n").strip()
            if text and not ("-----BEGIN CERTIFICATE-----" in text and "PRIVATE KEY-----" in text):
                self.add_error(name, _("Paste the certificate and its private key, both as PEM text."))
            elif "ENCRYPTED" in text:
                self.add_error(name, _("The private key has a password. Paste one without."))
        else:
            name, text = "client_secret", cleaned.get("client_secret", "")
            if not text.isprintable() or not text.isascii():
                self.add_error(name, _("A client secret has letters, digits and signs only, on one line."))
        if not text and self.vault is None and name not in self.errors:
            self.add_error(name, _("Fill in this field."))
        return "" if name in self.errors else text

    def _clean_scope(self, cleaned: dict[str, Any], scope: str) -> str:
        if scope == VaultScope.PREFIX:
            text = str(cleaned.get("name_prefix", "")).strip()
            if "name_prefix" not in self.errors and not PREFIX.fullmatch(text):
                wrong = _("Names of secrets have letters, digits and hyphens only.")
                self.add_error(
                    "name_prefix", wrong if text else _("Type how their names begin, or choose otherwise.")
                )
            return text
        if scope == VaultScope.TAG:
            text = str(cleaned.get("tag", "")).strip()
            if "tag" not in self.errors and not TAG.fullmatch(text):
                wrong = _("Type the tag's name, or name=value.")
                self.add_error("tag", wrong)
            return text
        return ""

    def _clean_name(self, cleaned: dict[str, Any]) -> str:
        text = cleaned.get("secret_name", "").strip()
        try:
            return names.clean_secret_name(text) if text else ""
        except ValueError as error:
            self.add_error("secret_name", _(str(error)))
            return ""

    def _forgive_hidden(self, identity: str, scope: str) -> None:
        """What stands in fields that are not shown may stop nobody."""
        shown = {
            "tenant_id": identity != VaultIdentity.PORTAL,
            "client_id": identity != VaultIdentity.PORTAL,
            "client_secret": identity == VaultIdentity.PRINCIPAL_SECRET,
            "certificate": identity == VaultIdentity.PRINCIPAL_CERTIFICATE,
            "name_prefix": scope == VaultScope.PREFIX,
            "tag": scope == VaultScope.TAG,
            "subscription": False,
            "group": False,
        }
        for name, is_shown in shown.items():
            if not is_shown:
                self.errors.pop(name, None)

    def _labels(self, cleaned: dict[str, Any]) -> dict[str, str]:
        """What is known of where the vault is: typed when a link is changed, else from Azure's directory."""
        if self.vault is not None:
            return {
                "subscription_id": self.vault.subscription_id,
                "subscription_name": cleaned.get("subscription_name", "").strip(),
                "resource_group": cleaned.get("resource_group", "").strip(),
                "region": self.vault.region,
            }
        one = self.chosen
        if one is None:
            return {}
        return {
            "subscription_id": one.subscription_id[:36],
            "subscription_name": one.subscription_name[:200],
            "resource_group": one.resource_group[:90],
            "region": one.region[:60],
        }


def _stored(vault: KeyVault) -> dict[str, Any]:
    return {
        "subscription_name": vault.subscription_name,
        "resource_group": vault.resource_group,
        "identity": vault.identity,
        "tenant_id": vault.tenant_id,
        "client_id": vault.client_id,
        "scope": vault.scope,
        "name_prefix": vault.scope_value if vault.scope == VaultScope.PREFIX else "",
        "tag": vault.scope_value if vault.scope == VaultScope.TAG else "",
    }
