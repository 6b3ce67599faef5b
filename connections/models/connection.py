"""Connections, their secrets, drafts, consent and grants."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from connections_portal.models import User


class Access(models.TextChoices):
    """*Choose who can use this connection.*"""

    ADMINISTRATORS = "administrators", _("Administrators")
    CONTRIBUTORS = "contributors", _("Administrators and contributors")
    SPECIFIC = "specific", _("Specific people")


class State(models.TextChoices):
    """Whether a connection may be used."""

    NOT_VERIFIED = "not_verified", _("Not verified")
    READY = "ready", _("Ready")
    NEEDS_ATTENTION = "needs_attention", _("Needs attention")
    PAUSED = "paused", _("Paused")


class Consent(models.Model):
    """Agreement to the privacy terms, *given* or *withdrawn*. Append-only, ids and labels as plain columns."""

    class Action(models.TextChoices):
        """What the person declared."""

        GIVEN = "given", _("Given")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    action = models.CharField(max_length=9, choices=Action.choices)
    at = models.DateTimeField(auto_now_add=True)
    person_id = models.BigIntegerField()
    person_label = models.CharField(max_length=150)
    connection_uuid = models.UUIDField(db_index=True)
    connection_name = models.CharField(max_length=100)
    type_key = models.CharField(max_length=60)
    target_label = models.CharField(max_length=600)
    target_digest = models.CharField(max_length=64)
    wording_version = models.CharField(max_length=20)
    wording_hash = models.CharField(max_length=64)
    wording = models.TextField()

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = _("consent")
        verbose_name_plural = _("consents")

    def __str__(self) -> str:
        return f"{self.get_action_display()}: {self.connection_name}"


class ConnectionQuerySet(models.QuerySet["Connection"]):
    """What a person may see and use, as querysets, so that lists, choices and checks cannot disagree."""

    def editable_by(self, user: User) -> "ConnectionQuerySet":
        """All of them for administrators, none for anybody else."""
        from connections.permissions import editable_connections

        return editable_connections(self, user)

    def usable_by(self, user: User, direction: str = "export") -> "ConnectionQuerySet":
        """Those an export, or an enrichment, may be built on by ``user`` (rule S10), whatever their state."""
        from connections.permissions import usable_connections

        return usable_connections(self, user, direction)


class Connection(models.Model):
    """One place where data may go: settings and secrets of one service, agreed to, shared with some.

    ``settings`` are cleaned by the connector and hold no secret. ``target_digest`` names the place that settings,
    secrets, host key and consent all belong to. ``version`` grows with each change (stale pages are refused),
    ``epoch`` with each change that stops running runs (rule S4).
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    name_key = models.CharField(max_length=200, editable=False)
    type_key = models.CharField(max_length=60)
    settings = models.JSONField(default=dict)
    target_digest = models.CharField(max_length=64)
    host_key = models.TextField(blank=True)

    state = models.CharField(max_length=15, choices=State.choices, default=State.NOT_VERIFIED)
    state_cause = models.CharField(max_length=300, blank=True)
    state_code = models.CharField(max_length=40, blank=True)
    verified_at = models.DateTimeField(null=True)
    verified_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    verification = models.JSONField(default=list)
    consent = models.ForeignKey(Consent, null=True, on_delete=models.PROTECT, related_name="+")

    access = models.CharField(max_length=14, choices=Access.choices, default=Access.ADMINISTRATORS)
    max_parallel = models.PositiveSmallIntegerField(default=2)
    version = models.PositiveIntegerField(default=1)
    epoch = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        permissions = [("use_connection", "May build exports on this connection")]
        constraints = [
            models.UniqueConstraint(fields=["type_key", "name_key"], name="connection_name_once_per_type"),
            models.CheckConstraint(
                condition=Q(state=State.PAUSED) | Q(consent__isnull=False),
                name="connection_consent_unless_paused",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[State.NOT_VERIFIED, State.PAUSED]) | Q(verified_at__isnull=False),
                name="connection_ready_means_verified",
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="connection_created")]

    def __str__(self) -> str:
        return self.name


class ConnectionUserObjectPermission(UserObjectPermissionBase):
    """A grant to a person."""

    content_object = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="user_grants")

    class Meta(UserObjectPermissionBase.Meta):
        abstract = False
        verbose_name = _("grant to a person")
        verbose_name_plural = _("grants to people")


class ConnectionGroupObjectPermission(GroupObjectPermissionBase):
    """A grant to a group."""

    content_object = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="group_grants")

    class Meta(GroupObjectPermissionBase.Meta):
        abstract = False
        verbose_name = _("grant to a group")
        verbose_name_plural = _("grants to groups")


class ConnectionDraft(models.Model):
    """A set-up, or an edit of ``connection``, under way. Only its maker reaches it; it ends 60 minutes after the last
    request.

    ``settings`` are as typed until they are cleaned for a verification; ``form`` keeps what else was typed (name,
    access). ``verified_digest`` binds a passed verification to settings, secrets and host key (rule S16).
    ``host_key_base`` is the key that the edited connection had when the draft last looked.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    connection = models.ForeignKey(Connection, null=True, on_delete=models.CASCADE, related_name="drafts")
    type_key = models.CharField(max_length=60)
    settings = models.JSONField(default=dict)
    form = models.JSONField(default=dict)
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    host_key_seen = models.TextField(blank=True)
    host_key_trusted = models.TextField(blank=True)
    host_key_base = models.TextField(blank=True)
    target_digest = models.CharField(max_length=64, blank=True)
    verification = models.JSONField(default=list)
    verified_digest = models.CharField(max_length=64, blank=True)
    verified_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.uuid)


class ConnectionSecret(models.Model):
    """One secret for one target (rule S1): a value, encrypted (rule S2), or a secret of a linked Key Vault.

    It belongs to a draft, to a connection, or to a linked vault (what the portal signs in with there; always a value).
    Reached through ``secret_store`` and ``vault_access`` only.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    draft = models.ForeignKey(ConnectionDraft, null=True, on_delete=models.CASCADE, related_name="secrets")
    connection = models.ForeignKey(Connection, null=True, on_delete=models.CASCADE, related_name="secrets")
    key_vault = models.ForeignKey("KeyVault", null=True, on_delete=models.CASCADE, related_name="secrets")
    field = models.CharField(max_length=60)
    nonce = models.BinaryField(max_length=12, null=True)
    ciphertext = models.BinaryField(null=True)
    key_version = models.PositiveIntegerField(null=True)
    vault_secret = models.ForeignKey(
        "VaultSecret", null=True, on_delete=models.PROTECT, related_name="used_as"
    )
    target_digest = models.CharField(max_length=64)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(draft__isnull=False, connection__isnull=True, key_vault__isnull=True)
                | Q(draft__isnull=True, connection__isnull=False, key_vault__isnull=True)
                | Q(draft__isnull=True, connection__isnull=True, key_vault__isnull=False),
                name="secret_belongs_to_one_owner",
            ),
            models.CheckConstraint(
                condition=Q(
                    vault_secret__isnull=True,
                    nonce__isnull=False,
                    ciphertext__isnull=False,
                    key_version__isnull=False,
                )
                | Q(
                    vault_secret__isnull=False,
                    key_vault__isnull=True,
                    nonce__isnull=True,
                    ciphertext__isnull=True,
                    key_version__isnull=True,
                ),
                name="secret_is_stored_or_in_vault",
            ),
            models.UniqueConstraint(fields=["draft", "field"], name="secret_once_per_draft_field"),
            models.UniqueConstraint(fields=["connection", "field"], name="secret_once_per_connection_field"),
            models.UniqueConstraint(fields=["key_vault", "field"], name="secret_once_per_key_vault_field"),
        ]

    def __str__(self) -> str:
        return f"{self.field} ***"


class RemovedConnection(models.Model):
    """What is kept of a removed connection until ``keep_until``, to restore it: no secret, no grant, no consent."""

    uuid = models.UUIDField(unique=True)
    type_key = models.CharField(max_length=60)
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict)
    host_key = models.TextField(blank=True)
    max_parallel = models.PositiveSmallIntegerField(default=2)
    epoch = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(auto_now_add=True)
    removed_by_label = models.CharField(max_length=150)
    keep_until = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-removed_at", "-id"]

    def __str__(self) -> str:
        return self.name


class AccessRequest(models.Model):
    """A contributor asks for a connection of a type, with a reason; an administrator grants or declines.

    ``connection_uuid`` and ``connection_name`` are those that were shared with the person in answer.
    """

    class State(models.TextChoices):
        """Where a request stands."""

        OPEN = "open", _("Open")
        GRANTED = "granted", _("Granted")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    type_key = models.CharField(max_length=60)
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="access_requests")
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    answer = models.CharField(max_length=500, blank=True)
    answered_at = models.DateTimeField(null=True)
    answered_by_label = models.CharField(max_length=150, blank=True)
    connection_uuid = models.UUIDField(null=True)
    connection_name = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("access request")
        verbose_name_plural = _("access requests")
        indexes = [models.Index(fields=["state", "-created_at"], name="access_request_open")]
        constraints = [
            models.UniqueConstraint(
                fields=["person", "type_key"], condition=Q(state="open"), name="one_open_request_per_type"
            ),
            models.CheckConstraint(
                condition=Q(state="open", answered_at__isnull=True)
                | Q(~Q(state="open"), answered_at__isnull=False),
                name="access_request_answered_unless_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.type_key}"
