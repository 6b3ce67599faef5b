"""Looking at Key Vaults and their secrets without anybody asking, by workers.

``queue_due`` queues one message for each vault whose time has come; ``look_at`` is what a worker does with it. First
the vault itself: one page of names, or the first secrets in use where listing is not allowed. Only if it answers does
what it says of each secret that a connection uses count; a vault that is out of reach leaves them as they were.

One message takes ``SECONDS`` at most, so that a vault that hangs keeps no worker from other work; what is left then is
looked at by the next message, which goes on with what was not looked at for the longest time.
"""

import datetime as dt
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from connections import vault_clients
from connections.connectors.errors import ConnectorError, TryLater
from connections.key_vault import names
from connections.key_vault.base import SecretFacts, Vault
from connections.models import (
    ConnectionSecret,
    KeyVault,
    VaultScope,
    VaultSecret,
    VaultSecretState,
    VaultState,
)
from connections.operations.attention import settle_vault_connections
from connections.operations.vault_health import is_doubted, record_secret_state, record_vault_state
from connections.vault_states import SECRET_STATES, VAULT_STATES
from connections.vault_tasks import check
from connections_portal import audit, messages

logger = logging.getLogger(__name__)

# For one message, and what the last thing begun within that may take (a client that answers at once, 8 s).
SECONDS = 50.0
# A message that nothing was heard of for so long is lost.
LOST_AFTER = dt.timedelta(minutes=10)
# After a vault asked to wait without saying how long; and however soon it may be asked again.
PAUSE_SECONDS, LEAST_SECONDS = 60.0, 15.0
# So many secrets that cannot be looked at, one after the other, are a vault that stopped answering.
MOST_FAILURES = 3
# So many secrets show that a vault lets nothing be read.
TRIED = 3
FORBIDDEN, UNFIT = "vault_forbidden", "vault_secret_unfit"
# How long a secret is remembered that nothing refers to any more.
KEEP = dt.timedelta(days=1)


@dataclass
class _Look:
    """One look at a vault; ``said`` is what it said of secrets so far, by their ids."""

    vault: KeyVault
    client: Vault
    said: dict[int, SecretFacts] = field(default_factory=dict)


def queue_due(*, now: dt.datetime) -> int:
    """Queue a check of every vault that is due, and again where its message was lost; returns how many were queued."""
    every = dt.timedelta(seconds=settings.VAULT_CHECK_SECONDS)
    due = KeyVault.objects.filter(
        Q(checked_at=None) | Q(checked_at__lte=now - every),
        Q(check_queued_at=None) | Q(check_queued_at__lte=now - LOST_AFTER),
    )
    found = list(due.values_list("pk", "check_queued_at"))
    waiting = messages.waiting(check) if found else set()
    queued = 0
    for vault_id, before in found:
        if vault_id in waiting:
            continue
        with transaction.atomic():
            # whoever changes the row queues the message: several clocks may tick at the same moment
            mine = KeyVault.objects.filter(pk=vault_id, check_queued_at=before).update(check_queued_at=now)
            if mine:
                check.enqueue(vault_id)
                queued += 1
    return queued


def close_dead() -> int:
    """Mark messages as failed whose worker was killed; returns how many."""
    return messages.close_dead(check, after=LOST_AFTER)


def look_at(*, vault_id: int, seconds: float = SECONDS) -> str:
    """Look at the vault and its secrets for ``seconds``. Returns what came of it: a VaultState, or why it goes on."""
    vault = KeyVault.objects.filter(pk=vault_id).first()
    if vault is None:
        return "gone"
    round_began = vault.check_queued_at or timezone.now()
    end, began = time.monotonic() + seconds, timezone.now()
    try:
        look = _Look(vault, vault_clients.client_of(vault, patient=False))
        if _has_contact(look):
            record_vault_state(vault.pk, VaultState.WORKING)
        began = timezone.now()
        rest = _look_at_secrets(look, round_began, end)
    except ConnectorError as error:
        return _without_contact(vault, error, began)
    finally:
        _forget_unused(vault)
        # also what changed without a state of its own, and what an earlier check could not finish
        settle_vault_connections(vault_id=vault.pk)
    if rest:
        KeyVault.objects.filter(pk=vault.pk).update(check_queued_at=round_began)
        check.enqueue(vault.pk)
        return "goes on"
    _finish(vault)
    return VaultState.WORKING.value


def _without_contact(vault: KeyVault, error: ConnectorError, began: dt.datetime) -> str:
    """The vault did not answer, asked to wait, or refuses the portal altogether."""
    state = VAULT_STATES.get(error.code)
    if state is None:
        after = error.after if isinstance(error, TryLater) and error.after is not None else PAUSE_SECONDS
        now = timezone.now()
        KeyVault.objects.filter(pk=vault.pk).update(check_queued_at=now)
        if vault.pk not in messages.waiting(check):
            check.using(run_after=now + dt.timedelta(seconds=max(after, LEAST_SECONDS))).enqueue(vault.pk)
        return error.code
    record_vault_state(vault.pk, state, code=error.code, cause=error.cause, began=began)
    _finish(vault)
    return state.value


def _finish(vault: KeyVault) -> None:
    """The check is over. While the vault is doubted, the time of the doubt stays: it counts from then."""
    with transaction.atomic():
        now = KeyVault.objects.select_for_update().filter(pk=vault.pk).first()
        if now is not None:
            checked = {} if is_doubted(now) else {"checked_at": timezone.now()}
            KeyVault.objects.filter(pk=vault.pk).update(check_queued_at=None, **checked)


def _has_contact(look: _Look) -> bool:
    """Whether the vault answers; false where there is nothing that it could be asked. Raises ConnectorError."""
    refused = None
    if look.vault.can_list:
        refused = _refusal(look.client.names)
        if refused is None:
            return True
    for secret in _in_use(look.vault)[:TRIED]:
        refused = _refusal(functools.partial(_facts, look, secret))
        if refused is None:
            return True
    if refused is not None:
        raise refused
    return False


def _refusal(ask: Callable[[], object]) -> ConnectorError | None:
    """The error of a vault that answers and does not permit this; None for any other answer. Raises ConnectorError."""
    try:
        ask()
    except ConnectorError as error:
        if error.code == FORBIDDEN:
            return error
        if error.code not in (*SECRET_STATES, UNFIT):
            raise
    return None


def _in_use(vault: KeyVault) -> QuerySet[VaultSecret]:
    """The secrets that a connection uses, what was not looked at for the longest time first."""
    used = ConnectionSecret.objects.filter(vault_secret=OuterRef("pk"), connection__isnull=False)
    secrets = VaultSecret.objects.filter(Exists(used), vault=vault)
    return secrets.order_by(F("checked_at").asc(nulls_first=True), "pk")


def _look_at_secrets(look: _Look, round_began: dt.datetime, end: float) -> bool:
    """Look at each secret that this round has not looked at; returns whether some are left because time is over.

    Raises the ConnectorError of a vault that stopped answering.
    """
    due = _in_use(look.vault).filter(Q(checked_at=None) | Q(checked_at__lt=round_began))
    failures = 0
    for secret in list(due):
        if time.monotonic() >= end:
            return True
        began = timezone.now()
        try:
            state, facts = _state_of(look, secret)
        except ConnectorError as error:
            failures += 1
            if error.code == "vault_throttled" or failures >= MOST_FAILURES:
                raise
            logger.warning(
                "secret %s of vault %s could not be looked at: %s", secret.pk, look.vault.pk, error.code
            )
            continue
        failures = 0
        record_secret_state(secret.pk, state, facts=facts, began=began)
    return False


def _state_of(look: _Look, secret: VaultSecret) -> tuple[VaultSecretState, SecretFacts | None]:
    """How the secret is, and what the vault says of it. Raises a ConnectorError that says nothing of it."""
    vault, name = look.vault, SecretFacts(name=secret.name)
    if vault.scope == VaultScope.PREFIX and not names.allows(vault.scope, vault.scope_value, name):
        return VaultSecretState.NOT_ALLOWED, None
    facts = None
    try:
        facts = _facts(look, secret)
        if not names.allows(vault.scope, vault.scope_value, facts):
            return VaultSecretState.NOT_ALLOWED, facts
        if code := names.usable(facts, timezone.now()):
            return SECRET_STATES[code], facts
        if secret.state == VaultSecretState.FORBIDDEN:
            # what is said of it may be seen without the right to read it
            _read(look, secret)
    except ConnectorError as error:
        if error.code == UNFIT:  # a matter of who uses it
            return VaultSecretState.USABLE, facts
        if (state := SECRET_STATES.get(error.code)) is None:
            raise
        return state, facts
    return VaultSecretState.USABLE, facts


def _facts(look: _Look, secret: VaultSecret) -> SecretFacts:
    """What the vault says of the secret; where it does not list, that comes with the value, which is dropped at once.

    By a tag that is not known yet nothing is read (rule S8).
    """
    if (said := look.said.get(secret.pk)) is not None:
        return said
    try:
        said = look.client.facts(secret.name, secret.pinned)
    except ConnectorError as error:
        if error.code != FORBIDDEN or look.vault.scope == VaultScope.TAG:
            raise
        said = _read(look, secret)
    look.said[secret.pk] = said
    return said


def _read(look: _Look, secret: VaultSecret) -> SecretFacts:
    """Read the secret to see whether it can be read, recorded before and after like every reading (rule S5)."""
    about: dict[str, Any] = {"target": look.vault, "purpose": "check", "secret": secret.name}
    with transaction.atomic(durable=True):
        audit.record("secret.used", actor=None, fields=[], **about)
    facts = look.client.read(secret.name, secret.pinned)[1]
    with transaction.atomic(durable=True):
        audit.record("vault.secret_read", actor=None, version=facts.version, **about)
    return facts


def _forget_unused(vault: KeyVault) -> None:
    """Forget secrets that nothing, and no draft, has referred to for a day."""
    since = timezone.now() - max(KEEP, 2 * dt.timedelta(seconds=settings.VAULT_CHECK_SECONDS))
    unused = VaultSecret.objects.filter(
        Q(checked_at=None) | Q(checked_at__lt=since),
        Q(read_at=None) | Q(read_at__lt=since),
        vault=vault,
        created_at__lt=since,
        used_as=None,
    )
    for secret in unused[:100]:
        try:
            with transaction.atomic():
                secret.delete()
        except IntegrityError:  # somebody chose it at this moment
            continue
