"""How linked Key Vaults and their secrets are: the only place that changes their states and makes notices of it.

A check by a worker and a read for a run report here what they found. The row is locked while its state is compared, so
that one change makes one notice, whoever sees it first and however many see it.

A vault is *out of reach* when it was so twice, ``DOUBT`` apart: one lost packet mails nobody, and administrators still
know within minutes. Between the two the vault keeps its state, and its ``state_code`` says what is doubted. A refused
sign-in, or a missing right, is an answer and counts at once.
"""

import datetime as dt
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections import connectors
from connections.connectors.errors import ConnectorError
from connections.key_vault.base import SecretFacts
from connections.models import (
    Connection,
    ConnectionDraft,
    ConnectionSecret,
    KeyVault,
    VaultNotice,
    VaultSecret,
    VaultSecretState,
    VaultSecretTarget,
    VaultState,
)
from connections.operations.attention import settle_vault_connections
from connections.vault_states import GOOD, SECRET_STATES, VAULT_STATES, by_date, stored_of
from connections.vault_tasks import check
from connections_portal import audit, mail, roles
from connections_portal.models import User

# The kind of letter that a notice is sent as.
NOTICE = "vault_notice"
# How long after a vault was out of reach it has to be so again before anybody is told.
DOUBT = dt.timedelta(minutes=2)


def record_vault_state(
    vault_id: int,
    state: str,
    *,
    code: str = "",
    cause: str = "",
    began: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> bool:
    """Note how contact with the vault went just now: a VaultState, with code and cause of ``key_vault.errors``.

    ``began`` is when the look began: what failed since then counts for nothing if the vault answered meanwhile.
    Returns whether its state is another one now; then administrators were told, and its connections marked.
    """
    now = now or timezone.now()
    with transaction.atomic():
        vault = KeyVault.objects.select_for_update().filter(pk=vault_id).first()
        if vault is None or (state != VaultState.WORKING and _later(vault.last_contact_at, began)):
            return False
        if state == VaultState.UNREACHABLE and not _is_confirmed(vault, now):
            _doubt(vault, code, now)
            return False
        changed = _set_vault_state(vault, VaultState(state), code, cause, now)
    if changed:
        settle_vault_connections(vault_id=vault_id)
    return changed


def _is_confirmed(vault: KeyVault, now: dt.datetime) -> bool:
    """Whether it was out of reach before as well, long enough ago for this to be another time."""
    if vault.state == VaultState.UNREACHABLE:
        return True
    return is_doubted(vault) and vault.checked_at is not None and vault.checked_at <= now - DOUBT


def is_doubted(vault: KeyVault) -> bool:
    """Whether one look found it out of reach and nobody was told yet."""
    doubted = VAULT_STATES.get(vault.state_code) == VaultState.UNREACHABLE
    return doubted and vault.state != VaultState.UNREACHABLE


def _doubt(vault: KeyVault, code: str, now: dt.datetime) -> None:
    """Look again soon; a second doubt does not put that off."""
    if is_doubted(vault):
        return
    KeyVault.objects.filter(pk=vault.pk).update(state_code=code or "vault_unreachable", checked_at=now)
    check.using(run_after=now + DOUBT).enqueue(vault.pk)


def _set_vault_state(vault: KeyVault, state: VaultState, code: str, cause: str, now: dt.datetime) -> bool:
    columns: dict[str, Any] = {"state": state, "state_code": code[:40], "state_cause": cause[:300]}
    if state == VaultState.WORKING:
        columns |= {"state_code": "", "state_cause": "", "last_contact_at": now}
    if changed := vault.state != state:
        columns["state_since"] = now
    KeyVault.objects.filter(pk=vault.pk).update(**columns)
    if changed:
        audit.record(
            "vault.state_changed", actor=None, target=vault, before=vault.state, state=state, code=code
        )
        notice = VaultNotice(kind=VaultNotice.Kind.VAULT, before=vault.state, after=state, cause=cause[:300])
        _tell(notice, vault, ConnectionSecret.objects.filter(vault_secret__vault=vault))
    return changed


def record_secret_state(
    secret_id: int,
    state: str,
    *,
    facts: SecretFacts | None = None,
    began: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> bool:
    """Note how a secret was just now: a value of VaultSecretState, with what the vault says of it where that is known.

    Of one that can be used it is enough to say so: how soon it expires is read from its date. ``began`` is
    when the look began: it counts for nothing if the secret was looked at or read meanwhile. Returns whether its state
    is another one now; then administrators were told, and its connections marked.
    """
    now = now or timezone.now()
    with transaction.atomic():
        secret = (
            VaultSecret.objects.select_for_update(of=("self",))
            .select_related("vault")
            .filter(pk=secret_id)
            .first()
        )
        if secret is None or _later(secret.checked_at, began):
            return False
        changed = _set_secret_state(secret, VaultSecretState(state), facts, now)
    if changed:
        settle_vault_connections(vault_id=secret.vault_id)
    return changed


def _later(moment: dt.datetime | None, began: dt.datetime | None) -> bool:
    return moment is not None and began is not None and moment > began


def _set_secret_state(
    secret: VaultSecret, state: VaultSecretState, facts: SecretFacts | None, now: dt.datetime
) -> bool:
    expires_at = facts.expires_at if facts else secret.expires_at
    after = by_date(expires_at, now) if state in GOOD else state
    columns: dict[str, Any] = {"state": after, "checked_at": now, **(stored_of(facts) if facts else {})}
    if changed := secret.state != after:
        columns["state_since"] = now
    VaultSecret.objects.filter(pk=secret.pk).update(**columns)
    if changed:
        audit.record(
            "vault.secret_state_changed",
            actor=None,
            target=secret.vault,
            secret=secret.name,
            before=secret.state,
            state=after,
        )
        notice = VaultNotice(
            kind=VaultNotice.Kind.SECRET,
            secret_name=secret.name,
            before=secret.state,
            after=after,
            cause=secret.pinned,
            expires_at=expires_at,
        )
        _tell(notice, secret.vault, ConnectionSecret.objects.filter(vault_secret=secret))
    return changed


def record_failure(secret: VaultSecret, error: ConnectorError) -> bool:
    """Note what a read of the secret that failed says of it or of its vault; returns whether a state changed.

    A throttled vault, or a secret that does not fit its connection, is as well as before.
    """
    if (state := SECRET_STATES.get(error.code)) is not None:
        return record_secret_state(secret.pk, state)
    if (vault_state := VAULT_STATES.get(error.code)) is not None:
        return record_vault_state(secret.vault_id, vault_state, code=error.code, cause=error.cause)
    return False


def record_new_target(
    secret: VaultSecret, *, owner: Connection | ConnectionDraft, actor: User | None
) -> bool:
    """Tell all administrators when the secret is used for this target for the first time (rule S8).

    Returns whether it is the first time.
    """
    from connections import secret_store  # which reads values, and reports here

    digest = secret_store.target_digest(owner.type_key, owner.settings)
    connector = connectors.get(owner.type_key)
    with transaction.atomic():
        _row, first = VaultSecretTarget.objects.get_or_create(secret=secret, target_digest=digest)
        if not first:
            return False
        name = secret_store.label_of(owner)
        audit.record(
            "vault.notice",
            actor=actor,
            target=secret.vault,
            secret=secret.name,
            connection=name,
        )
        notice = VaultNotice(
            kind=VaultNotice.Kind.NEW_TARGET,
            secret_name=secret.name,
            cause=(connector.target_label(owner.settings) if connector else "")[:300],
            person_label=str(actor)[:150] if actor else "",
            connections=[name] if name else [],
        )
        _tell(notice, secret.vault, None)
    return True


def _tell(notice: VaultNotice, vault: KeyVault, used: Any) -> None:
    """Keep the notice, with the names of the connections that are concerned, and write to all administrators."""
    notice.vault_uuid, notice.vault_name = vault.uuid, vault.name
    if used is not None:
        names = Connection.objects.filter(pk__in=used.values("connection")).order_by("name", "pk")
        notice.connections = list(names.values_list("name", flat=True))
    notice.save(force_insert=True)
    mail.send_later(NOTICE, about=notice.uuid, to=roles.administrators())
