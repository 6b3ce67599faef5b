"""*Pause* a connection and *Withdraw agreement*: nothing goes out any more until somebody resumes."""

from django.db import transaction
from django.utils.translation import gettext as _

from connections import consent, dependents
from connections.models import Connection, State
from connections.operations.edit import lock
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User


def pause_connection(*, connection: Connection, version: int, actor: User) -> Connection:
    """Cancel what runs on the connection and let nothing start; everything is kept. ``version`` is that of the page.

    Raises Stale, FinishingRun while a run is publishing, and OperationError for one that is paused already.
    """
    with transaction.atomic():
        locked = lock(connection, version)
        if locked.state == State.PAUSED:
            raise OperationError(_("The connection is paused already."))
        canceled = halt(locked, actor)
        locked.save()
        audit.record(
            "connection.paused", actor=actor, target=locked, canceled=canceled, version=locked.version
        )
        return locked


def withdraw_consent(*, connection: Connection, version: int, actor: User) -> Connection:
    """Take the agreement back, which pauses the connection; resuming asks for a new one. Secrets are kept.

    Raises Stale, FinishingRun, and OperationError where no agreement is in force.
    """
    with transaction.atomic():
        locked = lock(connection, version)
        if locked.consent is None:
            raise OperationError(_("Nobody has agreed to the privacy terms of this connection."))
        canceled = halt(locked, actor)
        withdrawn = consent.withdraw(connection=locked, person=actor)
        locked.consent = None
        locked.save()
        audit.record(
            "connection.consent_withdrawn",
            actor=actor,
            target=locked,
            consent=str(withdrawn.uuid),
            canceled=canceled,
            version=locked.version,
        )
        return locked


def halt(connection: Connection, actor: User, *, leave_finishing: bool = False) -> int:
    """Pause, inside the caller's transaction and without saving; returns how many runs were canceled.

    Raises FinishingRun while a run is publishing. With ``leave_finishing`` that run is left to end, and the epoch it
    needs for that with it (rule S4): everything else is canceled, and nothing begins while the connection is paused.
    """
    canceled = dependents.interrupt_all(connection, actor, leave_finishing=leave_finishing)
    dependents.hold_all(connection)
    connection.state, connection.state_cause, connection.state_code = State.PAUSED, "", ""
    if not (leave_finishing and dependents.under_way(connection)):
        connection.epoch += 1
    connection.version += 1
    connection.updated_by = actor
    return canceled
