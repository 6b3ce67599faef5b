"""*Needs attention*: set by a run, or a check of a Key Vault, that only an administrator can help; cleared by one that
succeeds.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from connections.models import Connection, ConnectionSecret, State
from connections.vault_states import FOUND_BY_CHECKS, Trouble, trouble_of
from connections_portal import audit
from connections_portal.models import AuditEntry


def mark_needs_attention(*, connection_id: int, cause: str, code: str) -> bool:
    """Ready → needs attention, with a sentence for administrators. Returns whether anything changed."""
    with transaction.atomic():
        changed = Connection.objects.filter(pk=connection_id, state=State.READY).update(
            state=State.NEEDS_ATTENTION, state_cause=cause[:300], state_code=code[:40]
        )
        if changed:
            connection = Connection.objects.get(pk=connection_id)
            audit.record("connection.needs_attention", actor=None, target=connection, code=code)
    return bool(changed)


def clear_attention(*, connection_id: int) -> bool:
    """Needs attention → ready, after a run that succeeded. Returns whether it is ready now and was not.

    A run may have read its secrets before the Key Vault got into trouble: that is then what still needs attention.
    """
    attention = Connection.objects.filter(pk=connection_id, state=State.NEEDS_ATTENTION)
    if (trouble := _troubles([connection_id]).get(connection_id)) is not None:
        attention.update(state_code=trouble.code, state_cause=trouble.cause)
        return False
    return bool(attention.update(state=State.READY, state_cause="", state_code=""))


def needs_attention_since(connection: Connection, moment: datetime) -> bool:
    """Whether a run asked for an administrator after ``moment``, so that a verification before says nothing of it."""
    asked = AuditEntry.objects.filter(
        action="connection.needs_attention", object_uuid=connection.uuid, at__gt=moment
    )
    return connection.state == State.NEEDS_ATTENTION and asked.exists()


def settle_vault_connections(*, vault_id: int) -> int:
    """Mark the connections whose secrets from this vault cannot be read, and clear those that only waited for that;
    returns how many changed. Paused and unverified ones stay as they are, and so does what a run found out.

    Each in a transaction of its own, and true to what is stored: it may be repeated at any time.
    """
    through = ConnectionSecret.objects.filter(vault_secret__vault=vault_id, connection__isnull=False)
    return settle_connections(through.values_list("connection", flat=True).distinct())


def settle_connections(connection_ids: Iterable[int]) -> int:
    """The same for these connections: also one that waited for a vault and reads from none, or another one, now."""
    ids = list(connection_ids)
    troubles = _troubles(ids)
    connections = Connection.objects.filter(pk__in=ids).order_by("pk")
    return sum(_settle(connection, troubles.get(connection.pk)) for connection in connections)


def _troubles(connection_ids: list[int]) -> dict[int, Trouble]:
    """What is known to keep these connections from reading their secrets, by id; those that can are absent."""
    secrets = ConnectionSecret.objects.filter(
        connection__in=connection_ids, vault_secret__isnull=False
    ).select_related("vault_secret__vault", "connection")
    troubles: dict[int, Trouble] = {}
    for secret in secrets.order_by("connection", "field"):
        assert secret.connection is not None
        assert secret.vault_secret is not None
        if (trouble := trouble_of(secret.vault_secret, secret.connection)) is not None:
            troubles.setdefault(secret.connection.pk, trouble)
    return troubles


def _settle(connection: Connection, trouble: Trouble | None) -> bool:
    if connection.state == State.READY and trouble is not None:
        return mark_needs_attention(connection_id=connection.pk, cause=trouble.cause, code=trouble.code)
    if connection.state != State.NEEDS_ATTENTION or connection.state_code not in FOUND_BY_CHECKS:
        return False
    same = Connection.objects.filter(
        pk=connection.pk, state=State.NEEDS_ATTENTION, state_code=connection.state_code
    )
    if trouble is not None:
        if trouble.code == connection.state_code:
            return False
        return bool(same.update(state_code=trouble.code, state_cause=trouble.cause))
    with transaction.atomic():
        changed = same.update(state=State.READY, state_code="", state_cause="")
        if changed:
            audit.record("connection.well_again", actor=None, target=connection, code=connection.state_code)
    return bool(changed)
