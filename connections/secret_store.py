"""Secrets in use: which of them a connection or a draft has, and their values while they are needed.

``resolve`` compares the target, commits an audit row, and only then decrypts or reads the Key Vault; the values live in
one object for the length of a ``with`` block (rules S1, S5, S6). At rest they are ``sealed``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from connections import connectors, sealed, vault_access
from connections.connectors.base import is_active
from connections.models import Connection, ConnectionDraft, ConnectionSecret, VaultSecret
from connections.sealed import SecretError, TargetChanged, digest
from connections_portal import audit, redaction
from connections_portal.errors import OperationError
from connections_portal.models import Run, User

Owner = Connection | ConnectionDraft


class Resolved(Mapping[str, str]):
    """Secret values by field key, for the length of a ``with`` block. Prints as ``***``, cannot be pickled."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "Resolved(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets cannot be pickled")

    def clear(self) -> None:
        """Forget every value."""
        self._values.clear()


def target_digest(type_key: str, cleaned: Mapping[str, str]) -> str:
    """The digest of where these cleaned settings send data (rule S1)."""
    connector = connectors.get(type_key)
    if connector is None:
        raise OperationError(_("This connection type does not exist any more."))
    return digest([type_key, connector.target(cleaned)])


def put(*, draft: ConnectionDraft, field: str, value: str, for_target: str) -> None:
    """Keep a typed secret with the draft. The same value again for the same target keeps its revision."""
    secret = ConnectionSecret.objects.filter(draft=draft, field=field).first()
    if secret is None:
        secret = ConnectionSecret(draft=draft, field=field, target_digest=for_target)
    elif secret.target_digest == for_target and sealed.holds(secret, value):
        return
    else:
        secret.revision += 1
        secret.target_digest = for_target
    sealed.seal(secret, value)
    secret.save()


def put_reference(*, draft: ConnectionDraft, field: str, vault_secret: VaultSecret, for_target: str) -> None:
    """Keep with the draft that the field reads this secret of a Key Vault; a typed value there is erased.

    The same secret again for the same target keeps its revision.
    """
    secret = ConnectionSecret.objects.filter(draft=draft, field=field).first()
    if secret is None:
        secret = ConnectionSecret(draft=draft, field=field)
    elif secret.target_digest == for_target and secret.vault_secret_id == vault_secret.pk:
        return
    else:
        secret.revision += 1
    secret.target_digest, secret.vault_secret = for_target, vault_secret
    secret.nonce = secret.ciphertext = secret.key_version = None
    secret.save()


def in_effect(owner: Owner) -> list[ConnectionSecret]:
    """The secrets that ``owner`` uses, by field.

    Of an edit these are the ones typed in it and, where nothing typed replaces them, the connection's own, as long
    as they were given for the target that the edit has now (rule S1).
    """
    secrets = list(owner.secrets.select_related("vault_secret__vault").order_by("field"))
    if isinstance(owner, ConnectionDraft) and owner.connection is not None:
        typed = {secret.field for secret in secrets}
        connector = connectors.get(owner.type_key)
        kept = [
            field.key
            for field in (connector.fields if connector else ())
            if is_active(field, owner.settings) and field.key not in typed and field.part_of not in typed
        ]
        own = owner.connection.secrets.select_related("vault_secret__vault")
        stored = own.filter(field__in=kept, target_digest=owner.target_digest)
        secrets = sorted([*secrets, *stored], key=lambda secret: secret.field)
    return secrets


def uses_vault(owner: Owner) -> bool:
    """Whether any of the secrets that ``owner`` uses is read from a Key Vault."""
    return any(secret.vault_secret_id for secret in in_effect(owner))


def revisions(owner: Owner) -> list[list[Any]]:
    """Field, row and revision of each secret, and what it refers to: what a verification is bound to, without any
    value.
    """
    return [
        [secret.field, str(secret.uuid), secret.revision, *_referred_to(secret)]
        for secret in in_effect(owner)
    ]


def _referred_to(secret: ConnectionSecret) -> list[str]:
    """Which secret of a Key Vault, and which version of it."""
    chosen = secret.vault_secret
    return [] if chosen is None else [str(chosen.vault.uuid), str(chosen.uuid), chosen.name, chosen.pinned]


def move(*, draft: ConnectionDraft, connection: Connection) -> None:
    """Hand the draft's secrets over to the connection; rows, not copies. What they replace is deleted."""
    kept = [secret.pk for secret in in_effect(draft)]
    connection.secrets.exclude(pk__in=kept).delete()
    ConnectionSecret.objects.filter(draft=draft).update(draft=None, connection=connection)


def about(owner: Owner) -> Owner:
    """What the audit speaks of: the connection that is edited rather than the draft of the edit."""
    return owner.connection or owner if isinstance(owner, ConnectionDraft) else owner


def label_of(owner: Owner) -> str:
    """The name under which the audit knows it."""
    named = about(owner)
    return named.name if isinstance(named, Connection) else str(named.form.get("name", ""))


@contextmanager
def resolve(
    owner: Owner, *, purpose: str, actor: User | None, run: Run | None = None, fresh: bool = False
) -> Iterator[Resolved]:
    """The secrets of ``owner`` for one run attempt, verification or list of choices.

    ``fresh``: from the Key Vault again, even where a value is in memory. Raises TargetChanged, KeyUnknown or Tampered,
    ConnectorError for a secret that the Key Vault does not hand out, and whatever the database raises when the use
    cannot be recorded: no record, no value. Must not be called inside a transaction.
    """
    expected = target_digest(owner.type_key, owner.settings)
    with transaction.atomic(
        durable=True
    ):  # refuses to be called inside one before anything is asked of anybody
        secrets = in_effect(owner)
    if any(secret.target_digest != expected for secret in secrets):
        raise TargetChanged(_("The target has changed since the secret was typed. Type it again."))
    reading = vault_access.Reading(secrets, owner=owner, purpose=purpose, actor=actor, fresh=fresh)
    reading.check()
    record: Callable[..., object] = partial(
        audit.record,
        actor=actor,
        target=about(owner),
        label=label_of(owner),
        purpose=purpose,
        **({"run": str(run.uuid), "item": str(run.subject)} if run else {"run": ""}),  # type: ignore[arg-type]
    )
    with transaction.atomic(durable=True):
        from_vaults = {"from_vaults": reading.told()} if reading else {}
        record("secret.used", fields=[secret.field for secret in secrets], **from_vaults)
    values = {secret.field: sealed.unseal(secret) for secret in secrets if secret.vault_secret is None}
    with redaction.in_use(values.values()):
        values |= reading.values(values, record)
        resolved = Resolved(values)
        try:
            with redaction.in_use(resolved.values()):
                yield resolved
        finally:
            resolved.clear()


@dataclass(frozen=True)
class Unread:
    """A secret that could not be rewritten: the uuids of its row and of its owner, and why."""

    secret: UUID
    owner: UUID
    field: str
    key_version: int
    why: SecretError


def rotate() -> tuple[int, list[Unread]]:
    """Encrypt every secret that an older key wrote with the newest one; how many were rewritten, and which were not.

    Row by row and conditional on the revision, so it can be stopped, started again and run beside the portal. A row
    that cannot be read, because it was tampered with or its key is missing, stays as it is and stops no other.
    """
    newest = next(iter(settings.CONNECTION_SECRET_KEYS))
    rewritten = 0
    unread: list[Unread] = []
    older = (
        ConnectionSecret.objects.filter(vault_secret=None)
        .exclude(key_version=newest)
        .select_related("connection", "draft", "key_vault")
    )
    for secret in older.order_by("pk").iterator():
        old_version, revision = secret.key_version or 0, secret.revision
        try:
            value = sealed.unseal(secret)
        except SecretError as error:
            owner = secret.connection or secret.draft or secret.key_vault
            assert owner is not None
            unread.append(Unread(secret.uuid, owner.uuid, secret.field, old_version, error))
            continue
        sealed.seal(secret, value)
        rewritten += ConnectionSecret.objects.filter(
            pk=secret.pk, key_version=old_version, revision=revision
        ).update(nonce=secret.nonce, ciphertext=secret.ciphertext, key_version=secret.key_version)
    if rewritten or unread:
        audit.record(
            "secret.key_rotated",
            actor=None,
            count=rewritten,
            key_version=newest,
            unread=[str(row.secret) for row in unread],
        )
    return rewritten, unread
