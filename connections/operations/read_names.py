"""The list of a vault's secrets that the chooser searches: asked for, read by a worker page by page, and swapped in.

A reading is known by its token. Two of them do not disturb each other: whoever no longer finds its own token stops.
Until the last page is there, what an earlier reading wrote stays and is offered; only then what was not seen goes.
"""

import datetime as dt
import secrets
import time
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from connections import vault_clients
from connections.connectors.errors import ConnectorError, TryLater
from connections.key_vault import names
from connections.key_vault.base import SecretFacts
from connections.models import KeyVault, VaultName
from connections.vault_tasks import read_names as message
from connections_portal import audit, messages
from connections_portal.models import User

# Older than this, a list is read anew when somebody opens it, or at the latest by the portal's clock.
OLD = dt.timedelta(minutes=10)
STALE = dt.timedelta(days=1)
# A reading that nothing was heard of for so long is lost; one that failed is not tried again by the clock before.
LOST_AFTER = dt.timedelta(minutes=10)
AGAIN_AFTER = dt.timedelta(hours=1)
# Nor by somebody who types on before.
SOON_AGAIN = dt.timedelta(minutes=1)
# For one message, so that a slow vault keeps no worker from other work; the next one goes on.
SECONDS = 50.0
BATCH = 250
# After a vault asked to wait without saying how long, the longest wait, and how often in a row.
PAUSE_SECONDS, LONGEST_PAUSE, MOST_PAUSES = 30.0, 300.0, 10


def ask_for_names(*, vault: KeyVault, actor: User | None, now: dt.datetime | None = None) -> bool:
    """Have a worker read the list; false while one is being read, and for a vault that does not list its secrets.

    ``actor`` is who pressed *Refresh now*, None when the portal wants the list by itself.
    """
    now = now or timezone.now()
    with transaction.atomic():
        locked = KeyVault.objects.select_for_update().filter(pk=vault.pk).first()
        if locked is None or not locked.can_list or is_reading(locked, now):
            return False
        token = secrets.token_hex(16)
        KeyVault.objects.filter(pk=locked.pk).update(names_token=token, names_begun_at=now)
        if actor is not None:
            audit.record("vault.names_requested", actor=actor, target=locked)
        message.enqueue(locked.pk, token)
    vault.names_token, vault.names_begun_at = token, now
    return True


def refresh_if_old(*, vault: KeyVault, now: dt.datetime | None = None) -> bool:
    """Have the list read where somebody looks at it and it is older than ten minutes, or not there yet."""
    now = now or timezone.now()
    if vault.names_at is not None and vault.names_at > now - OLD:
        return False
    if has_failed(vault) and vault.names_begun_at and vault.names_begun_at > now - SOON_AGAIN:
        return False
    return ask_for_names(vault=vault, actor=None, now=now)


def queue_old(*, now: dt.datetime) -> int:
    """Have every list read that is older than a day; returns how many."""
    due = KeyVault.objects.filter(
        Q(names_at=None) | Q(names_at__lt=now - STALE),
        Q(names_begun_at=None) | Q(names_begun_at__lt=now - AGAIN_AFTER),
        can_list=True,
    )
    return sum(ask_for_names(vault=vault, actor=None, now=now) for vault in due)


def close_dead() -> int:
    """Mark messages as failed whose worker was killed; returns how many."""
    return messages.close_dead(message, after=LOST_AFTER)


def is_reading(vault: KeyVault, now: dt.datetime) -> bool:
    """Whether a reading is under way that something was heard of lately."""
    begun = vault.names_begun_at
    return bool(vault.names_token) and begun is not None and begun > now - LOST_AFTER


def has_failed(vault: KeyVault) -> bool:
    """Whether the last reading ended, or was lost, before the list was whole; for one that is not under way."""
    begun = vault.names_begun_at
    return begun is not None and (vault.names_at is None or vault.names_at < begun)


def names_so_far(vault: KeyVault) -> int:
    """How many names the reading under way has found."""
    return VaultName.objects.filter(vault=vault, seen=vault.names_token).count()


def read_names(
    *, vault_id: int, token: str, after: str = "", pauses: int = 0, seconds: float = SECONDS
) -> str:
    """Read on from the page ``after`` for ``seconds``; ``pauses`` is how often the vault asked to wait in a row.

    Returns what came of it. Losing or doubling this does no harm. The vault's ``names_begun_at`` tells when the reading
    last got on.
    """
    vault = KeyVault.objects.filter(pk=vault_id, names_token=token).first()
    if vault is None or not token:
        return "superseded"
    end = time.monotonic() + seconds
    found: dict[str, SecretFacts] = {}
    try:
        client = vault_clients.client_of(vault, patient=True)
        while True:
            page = client.names(after)
            found |= {facts.name: facts for facts in page.items}
            after, pauses = page.after, 0
            over = not after or time.monotonic() >= end
            if over or len(found) >= BATCH:
                if not _write(vault, token, found.values()):
                    return "superseded"
                found = {}
            if over:
                return _finish(vault, token) if not after else _go_on(vault, token, after, 0, 0.0)
    except ConnectorError as error:
        if not _write(vault, token, found.values()):
            return "superseded"
        if isinstance(error, TryLater) and pauses < MOST_PAUSES:
            wait = PAUSE_SECONDS if error.after is None else min(max(error.after, 1.0), LONGEST_PAUSE)
            return _go_on(vault, token, after, pauses + 1, wait)
        _give_up(vault, token)
        return error.code


def _is_mine(vault: KeyVault, token: str, **columns: object) -> bool:
    """Write these columns if the reading is still the one under way; locks the vault until the transaction ends."""
    return bool(KeyVault.objects.filter(pk=vault.pk, names_token=token).update(**columns))


def _write(vault: KeyVault, token: str, found: Iterable[SecretFacts]) -> bool:
    """Store names; false when another reading, or a changed link, has taken the place of this one."""
    rows = [
        VaultName(
            vault=vault,
            name=facts.name,
            enabled=facts.enabled,
            not_before=facts.not_before,
            expires_at=facts.expires_at,
            portal_target=names.target_tag(facts)[:256],
            allowed=names.allows(vault.scope, vault.scope_value, facts),
            seen=token,
        )
        for facts in found
    ]
    with transaction.atomic():
        if not _is_mine(vault, token, names_begun_at=timezone.now()):
            return False
        VaultName.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["vault", "name"],
            update_fields=["enabled", "not_before", "expires_at", "portal_target", "allowed", "seen"],
        )
    return True


def _finish(vault: KeyVault, token: str) -> str:
    """The list is whole: what was not seen goes."""
    now = timezone.now()
    with transaction.atomic():
        if not _is_mine(vault, token, names_token="", names_at=now):
            return "superseded"
        VaultName.objects.filter(vault=vault).exclude(seen=token).delete()
        count = VaultName.objects.filter(vault=vault).count()
        KeyVault.objects.filter(pk=vault.pk).update(names_count=count)
        audit.record("vault.names_read", actor=None, target=vault, vault=vault.host, count=count)
    return "done"


def _go_on(vault: KeyVault, token: str, after: str, pauses: int, wait: float) -> str:
    """Leave the rest to another message, ``wait`` seconds from now."""
    then = timezone.now() + dt.timedelta(seconds=wait)
    with transaction.atomic():
        if not _is_mine(vault, token, names_begun_at=then):
            return "superseded"
        later = message.using(run_after=then) if wait else message
        later.enqueue(vault.pk, token, after, pauses)
    return "goes on"


def _give_up(vault: KeyVault, token: str) -> None:
    """End the reading; the list of an earlier one stays."""
    with transaction.atomic():
        _is_mine(vault, token, names_token="")
