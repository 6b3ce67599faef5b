"""*Needs attention*: set by a run, or a check of a Key Vault, that only an administrator can help; cleared by one that
succeeds.
"""

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
    """Needs attention → ready, after a run or verification that succeeded. Returns whether anything changed."""
    changed = Connection.objects.filter(pk=connection_id, state=State.NEEDS_ATTENTION).update(
        state=State.READY, state_cause="", state_code=""
    )
    return bool(changed)


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
    secrets = ConnectionSecret.objects.filter(
        connection__in=through.values("connection"), vault_secret__isnull=False
    ).select_related("vault_secret__vault", "connection")
    connections: dict[int, Connection] = {}
    troubles: dict[int, Trouble] = {}
    for secret in secrets.order_by("connection", "field"):
        assert secret.connection is not None
        assert secret.vault_secret is not None
        connections[secret.connection.pk] = secret.connection
        if (trouble := trouble_of(secret.vault_secret, secret.connection)) is not None:
            troubles.setdefault(secret.connection.pk, trouble)
    return sum(_settle(connection, troubles.get(pk)) for pk, connection in connections.items())


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
