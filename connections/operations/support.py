"""What support staff do to a run: cancel it, or have a lost one looked at again. Each with a reason that is kept."""

from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.operations import attempts
from connections_portal import messages, roles
from connections_portal.errors import OperationError
from connections_portal.models import LEASED_STATES, RunState, User
from connections_portal.roles import Role
from connections_portal.runs import Lease

SHORTEST, LONGEST = 5, 300


class NotSupport(OperationError):
    """The person is not support staff (rule S15)."""

    status = 403


class NotLost(OperationError):
    """Somebody has the run, or it has ended; the message says which."""

    status = 409


def check(actor: User, reason: str) -> None:
    """Raise NotSupport unless ``actor`` is support staff, and OperationError for a reason that says nothing."""
    if roles.role_of(actor) is not Role.SUPPORT:
        raise NotSupport(_("Only support staff may do this."))
    if not SHORTEST <= len(reason.strip()) <= LONGEST:
        raise OperationError(
            _("Give a reason of %(shortest)d to %(longest)d characters.")
            % {"shortest": SHORTEST, "longest": LONGEST},
            fields={"reason": _("Say why.")},
        )


def ended() -> OperationError:
    """The refusal to cancel a run that is over."""
    return NotLost(_("The run has ended already."))


def requeue(run: Any, *, task: Any, carrier: attempts.Carrier) -> None:
    """Have a worker look at a lost run again, inside the caller's transaction. ``task`` is that of its messages.

    Lost is a queued run that has no message, and one whose lease is over by the database's clock; every write is
    conditional on that. A run that has used up its attempts gets one more. Raises NotLost for any other.
    """
    model = type(run)
    current = model._default_manager.select_for_update(of=("self",)).filter(pk=run.pk).first()
    if current is None or current.state not in (RunState.QUEUED, *LEASED_STATES):
        raise ended()
    if current.state == RunState.QUEUED:
        _wake(current, task, carrier)
        return
    lease = Lease(model, current.pk, current.lease_token, Q(lease_until__lt=Now()))
    if current.state == RunState.PUBLISHING and lease.rows(RunState.PUBLISHING).exists():
        _wake(current, task, carrier)
    elif current.state == RunState.PUBLISHING or not attempts.take_back(
        current, lease, carrier=carrier, anyway=True
    ):
        raise NotLost(_("A worker has the run: it is alive."))


def _wake(run: Any, task: Any, carrier: attempts.Carrier) -> None:
    if run.pk in messages.waiting(task):
        raise NotLost(_("The run waits in the queue: it is not lost."))
    carrier.wake(run.pk, max(0.0, (run.not_before - timezone.now()).total_seconds()))
