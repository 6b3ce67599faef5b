"""*Check now*: a worker looks at a linked vault and the secrets in use, before its time."""

import datetime as dt

from django.db import transaction
from django.utils import timezone

from connections.models import KeyVault
from connections.vault_tasks import check
from connections_portal import audit
from connections_portal.models import User

# Asked again within this time, the check that is queued already is meant.
SOON = dt.timedelta(seconds=30)


def check_now(*, vault: KeyVault, actor: User, now: dt.datetime | None = None) -> bool:
    """Queue a check; false while one that was just asked for has not begun or ended."""
    now = now or timezone.now()
    with transaction.atomic():
        locked = KeyVault.objects.select_for_update().filter(pk=vault.pk).first()
        if locked is None or is_waiting(locked, now):
            return False
        KeyVault.objects.filter(pk=locked.pk).update(check_queued_at=now)
        audit.record("vault.check_requested", actor=actor, target=locked)
        check.enqueue(locked.pk)
    return True


def is_waiting(vault: KeyVault, now: dt.datetime) -> bool:
    """Whether a check was asked for and nothing has been heard of it."""
    queued = vault.check_queued_at
    if queued is None or queued <= now - SOON:
        return False
    return vault.checked_at is None or vault.checked_at < queued
