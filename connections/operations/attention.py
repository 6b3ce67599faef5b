"""*Needs attention*: set by a run that only an administrator can help, cleared by one that succeeds."""

from datetime import datetime

from django.db import transaction

from connections.models import Connection, State
from connections_portal import audit
from connections_portal.models import AuditEntry


def mark_needs_attention(*, connection_id: int, cause: str, code: str) -> bool:
    """Ready → needs attention, with a sentence for administrators. Returns whether anything changed."""
    with transaction.atomic():
        changed = Connection.objects.filter(pk=connection_id, state=State.READY).update(
            state=State.NEEDS_ATTENTION, state_cause=cause[:300]
        )
        if changed:
            connection = Connection.objects.get(pk=connection_id)
            audit.record("connection.needs_attention", actor=None, target=connection, code=code)
    return bool(changed)


def clear_attention(*, connection_id: int) -> bool:
    """Needs attention → ready, after a run or verification that succeeded. Returns whether anything changed."""
    changed = Connection.objects.filter(pk=connection_id, state=State.NEEDS_ATTENTION).update(
        state=State.READY, state_cause=""
    )
    return bool(changed)


def needs_attention_since(connection: Connection, moment: datetime) -> bool:
    """Whether a run asked for an administrator after ``moment``, so that a verification before says nothing of it."""
    asked = AuditEntry.objects.filter(
        action="connection.needs_attention", object_uuid=connection.uuid, at__gt=moment
    )
    return connection.state == State.NEEDS_ATTENTION and asked.exists()
