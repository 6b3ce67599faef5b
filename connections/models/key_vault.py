"""Linked Key Vaults: which one, how the portal signs in there, which of its secrets may be used, and how they are.

No value of a vault's secret is ever stored. What is stored are names, versions, dates and states.
"""

import uuid
from collections.abc import Iterable

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from connections.models.connection import Consent
from connections_portal.models import User


class VaultIdentity(models.TextChoices):
    """Who signs in at the vault."""

    PORTAL = "portal", _("The portal's own identity")
    PRINCIPAL_SECRET = "principal_secret", _("A service principal with a client secret")
    PRINCIPAL_CERTIFICATE = "principal_certificate", _("A service principal with a certificate")


class VaultScope(models.TextChoices):
    """Which secrets of the vault may be used here (rule S8)."""

    PREFIX = "prefix", _("Secrets whose name begins with")
    TAG = "tag", _("Secrets with the tag")
    ALL = "all", _("All secrets of the vault")


class VaultState(models.TextChoices):
    """How the last contact with the vault went."""

    WORKING = "working", _("Working")
    UNREACHABLE = "unreachable", _("Out of reach")
    SIGN_IN_REFUSED = "sign_in_refused", _("Sign-in refused")
    FORBIDDEN = "forbidden", _("No permission")


class VaultSecretState(models.TextChoices):
    """How a secret was when it was last looked at; the first four can be read and used."""

    USABLE = "usable", _("Usable")
    EXPIRES_30 = "expires_30", _("Expires within 30 days")
    EXPIRES_7 = "expires_7", _("Expires within 7 days")
    EXPIRES_1 = "expires_1", _("Expires within a day")
    EXPIRED = "expired", _("Expired")
    NOT_YET_VALID = "not_yet_valid", _("Not valid yet")
    DISABLED = "disabled", _("Disabled")
    MISSING = "missing", _("Missing")
    FORBIDDEN = "forbidden", _("No permission to read it")
    NOT_ALLOWED = "not_allowed", _("Not among the secrets that may be used here")


class KeyVault(models.Model):
    """A linked vault, ``https://<host>``.

    ``identity`` says who signs in; a principal has ``tenant_id`` and ``client_id``, and its secret or certificate is a
    ConnectionSecret of this vault, encrypted for ``target_digest``. ``subscription_*``, ``resource_group`` and
    ``region`` are what Azure's directory says of it, empty where it was not asked. ``version`` grows with each change
    of the link (stale pages are refused, live clients are made anew). ``names_*`` tell about the list of names in
    ``VaultName``: when one was begun and by which token, when the last whole one was finished, how many it has.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    host = models.CharField(max_length=255, unique=True)
    subscription_id = models.CharField(max_length=36, blank=True)
    subscription_name = models.CharField(max_length=200, blank=True)
    resource_group = models.CharField(max_length=90, blank=True)
    region = models.CharField(max_length=60, blank=True)

    identity = models.CharField(max_length=21, choices=VaultIdentity.choices)
    tenant_id = models.CharField(max_length=36, blank=True)
    client_id = models.CharField(max_length=36, blank=True)
    target_digest = models.CharField(max_length=64)
    scope = models.CharField(max_length=6, choices=VaultScope.choices)
    scope_value = models.CharField(max_length=127, blank=True)
    can_list = models.BooleanField(default=True)

    state = models.CharField(max_length=15, choices=VaultState.choices, default=VaultState.WORKING)
    state_code = models.CharField(max_length=40, blank=True)
    state_cause = models.CharField(max_length=300, blank=True)
    state_since = models.DateTimeField(auto_now_add=True)
    last_contact_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_queued_at = models.DateTimeField(null=True)

    verified_at = models.DateTimeField(null=True)
    verified_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    verification = models.JSONField(default=list)
    consent = models.ForeignKey(Consent, on_delete=models.PROTECT, related_name="+")

    names_token = models.CharField(max_length=32, blank=True)
    names_begun_at = models.DateTimeField(null=True)
    names_at = models.DateTimeField(null=True)
    names_count = models.PositiveIntegerField(default=0)

    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["host"]
        verbose_name = _("Key Vault")
        verbose_name_plural = _("Key Vaults")
        constraints = [
            models.CheckConstraint(
                condition=Q(identity=VaultIdentity.PORTAL, client_id="")
                | (~Q(identity=VaultIdentity.PORTAL) & ~Q(tenant_id="") & ~Q(client_id="")),
                name="key_vault_principal_is_named",
            ),
            models.CheckConstraint(
                condition=Q(scope=VaultScope.ALL, scope_value="")
                | (~Q(scope=VaultScope.ALL) & ~Q(scope_value="")),
                name="key_vault_scope_is_named",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def sorted_by_name(vaults: Iterable["KeyVault"]) -> "list[KeyVault]":
        """As people read them: by host ``contoso-2`` stands before ``contoso``, and databases disagree."""
        return sorted(vaults, key=lambda vault: (vault.name, vault.host))

    @property
    def name(self) -> str:
        """What Azure calls it: the first part of its host."""
        return self.host.partition(".")[0]

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"https://{self.host}"


class VaultSecret(models.Model):
    """A secret of a vault that connections or drafts refer to, always its latest version unless ``pinned`` names one.

    What the vault said of it last, and never its value: ``version`` that was found, dates, whether enabled, and the tag
    ``portal-target``. ``generation`` grows with *Refresh now*: what processes keep of an earlier one is not used.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    vault = models.ForeignKey(KeyVault, on_delete=models.PROTECT, related_name="referenced")
    name = models.CharField(max_length=127)
    pinned = models.CharField(max_length=32, blank=True)
    version = models.CharField(max_length=32, blank=True)
    portal_target = models.CharField(max_length=256, blank=True)
    not_before = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=13, choices=VaultSecretState.choices, default=VaultSecretState.USABLE)
    state_since = models.DateTimeField(auto_now_add=True)
    checked_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    generation = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "pinned"]
        verbose_name = _("secret of a Key Vault")
        verbose_name_plural = _("secrets of Key Vaults")
        constraints = [
            models.UniqueConstraint(fields=["vault", "name", "pinned"], name="vault_secret_once"),
        ]

    def __str__(self) -> str:
        return self.name


class VaultSecretTarget(models.Model):
    """That a secret of a vault was used for a target: the first time is told to all administrators (rule S8)."""

    secret = models.ForeignKey(VaultSecret, on_delete=models.CASCADE, related_name="targets")
    target_digest = models.CharField(max_length=64)
    first_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["secret", "target_digest"], name="vault_secret_target_once"),
        ]

    def __str__(self) -> str:
        return f"{self.secret}: {self.target_digest[:8]}"


class VaultName(models.Model):
    """One name of the list that the chooser searches, written by a worker; ``seen`` is the token of that reading.

    ``allowed`` is whether the link lets it be used here, by name or tag.
    """

    vault = models.ForeignKey(KeyVault, on_delete=models.CASCADE, related_name="names")
    name = models.CharField(max_length=127)
    enabled = models.BooleanField(default=True)
    not_before = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    portal_target = models.CharField(max_length=256, blank=True)
    allowed = models.BooleanField(default=True)
    seen = models.CharField(max_length=32)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["vault", "name"], name="vault_name_once")]

    def __str__(self) -> str:
        return self.name


class VaultNotice(models.Model):
    """One change that administrators are told of, in the portal and by e-mail; kept as a history.

    About the vault (``secret_name`` empty), one of its secrets, or a secret's first use for a new target (``kind``).
    ``before`` and ``after`` are values of VaultState or VaultSecretState. ``cause`` is why a vault is in
    its state, the fixed version of a secret (empty for its latest), or the new target.
    """

    class Kind(models.TextChoices):
        """What happened."""

        VAULT = "vault", _("State of the vault")
        SECRET = "secret", _("State of a secret")
        NEW_TARGET = "new_target", _("First use for a new target")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    vault_uuid = models.UUIDField(db_index=True)
    vault_name = models.CharField(max_length=255)
    secret_name = models.CharField(max_length=127, blank=True)
    before = models.CharField(max_length=15, blank=True)
    after = models.CharField(max_length=15, blank=True)
    cause = models.CharField(max_length=300, blank=True)
    expires_at = models.DateTimeField(null=True)
    connections = models.JSONField(default=list)
    person_label = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = _("notice about a Key Vault")
        verbose_name_plural = _("notices about Key Vaults")

    def __str__(self) -> str:
        return self.vault_name
