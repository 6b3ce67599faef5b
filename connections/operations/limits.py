"""How often strangers' servers are asked by somebody who verifies (rule S20): places at once, and numbers a minute."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User

PER_MINUTE = 10
REFUSED_SIGN_INS = 5
REFUSED_PAUSE = dt.timedelta(minutes=15)
# What counts as one verification, of a connection and of a Key Vault, and what says how it ended.
BEGUN = ("connection.verification_begun", "vault.verification_begun")
ENDED = ("connection.verified", "vault.verified")
REFUSED_CODES = ("sign_in_refused", "vault_sign_in_refused")

# Verifications wait on strangers' servers: two at a time leave the other threads to everybody else.
_slots = BoundedSemaphore(2)


class TooMany(OperationError):
    """Verification is limited; the message says how long to wait."""

    status = 429


@contextmanager
def slot() -> Iterator[None]:
    """One of the two places of this process, for the length of the block. Raises TooMany while both are taken."""
    if not _slots.acquire(blocking=False):
        raise TooMany(_("Two other verifications are running. Try again in a few seconds."))
    try:
        yield
    finally:
        _slots.release()


def count_in(
    action: str, *, actor: User, target: Any, label: str, host: str, account: str, now: dt.datetime
) -> None:
    """Count a verification before it begins, so that many at once cannot pass the limit together.

    ``action`` is one of ``BEGUN``; it is recorded with ``host`` and ``account``, digests of the machine that is asked
    and of the account there. Raises TooMany above ten a minute per person and per machine, and after five refused
    sign-ins of the account.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=actor.pk)
        begun = AuditEntry.objects.filter(action__in=BEGUN, at__gt=now - dt.timedelta(minutes=1))
        by_person = begun.filter(actor_id=actor.pk).count()
        by_host = begun.filter(details__host=host).count()
        if max(by_person, by_host) >= PER_MINUTE:
            raise TooMany(_("Ten verifications a minute are allowed. Wait a minute, then verify again."))
        refused = AuditEntry.objects.filter(
            action__in=ENDED,
            at__gt=now - REFUSED_PAUSE,
            details__account=account,
            details__code__in=REFUSED_CODES,
        ).count()
        if refused >= REFUSED_SIGN_INS:
            raise TooMany(
                _(
                    "The server refused this account five times. So that it is not locked there, wait 15 minutes "
                    "before you verify again."
                )
            )
        audit.record(action, actor=actor, target=target, label=label, host=host, account=account)
