"""What a worker does with a run over a connection, whatever its kind: take it up, open its connection, end it well.

In between each kind does its own; how an attempt goes wrong is told in ``attempts``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error, transaction
from django.db.models import Q
from django.db.models.functions import Now

from connections.connectors.base import N_, Connector
from connections.connectors.errors import ConnectorError
from connections.models import Connection
from connections.operations import attempts
from connections.operations.attempts import Carrier
from connections.operations.attention import clear_attention
from connections.operations.connector import has_other_secrets, open_connector
from connections.operations.failures import Failed, Failure, of_connector
from connections.operations.refusals import has_room
from connections_portal import runs
from connections_portal.models import LEASED_STATES, Run, RunState, WhoActs
from connections_portal.runs import Claimed, Lease, LeaseLost, Refusal

Step = Callable[[Any, Lease], str]

REFUSED = "sign_in_refused"
# The secret was changed at the Key Vault since this process read it: the run goes on with the new one at once.
ROTATED = Failure(
    "secret_rotated",
    N_("The secret was changed at the Key Vault meanwhile. The run is tried again with the new one."),
    WhoActs.NOBODY,
    retry=True,
    after=0.0,
    uses_up=False,
)


def carry(
    model: type[Run],
    run_id: int,
    *,
    worker: str,
    still: Q,
    refuses: Callable[[Any], Refusal | None],
    attempt: Step,
    publish: Step,
    carrier: Carrier,
) -> str:
    """Take the run up if it is due, and carry it to its end or its next attempt. Returns what came of it.

    ``attempt`` does all of it, ``publish`` only the last step where somebody else left it; both return what came of it
    and may raise LeaseLost. ``still`` and ``refuses`` are as for ``runs.claim``.
    """
    if not attempts.has_space(run_id):
        return "no space"
    subject = model.subject_name
    ends: tuple[type[Exception], ...] = (LeaseLost, *_gone(model))
    claimed, lease = runs.claim(
        model,
        run_id,
        worker=worker,
        lock_first=lambda run_id: _lock_connection(model, run_id),
        slot_free=lambda run: has_room(Connection.objects.get(pk=run.subject.connection_id)),
        refuses=refuses,
        on_refused=lambda run, refusal: carrier.record_end(run, RunState.FAILED, refusal.code),
        still=still,
    )
    if lease is None:
        if claimed is Claimed.REFUSED:
            _wake_next(model, run_id, carrier)
        return claimed.value
    taken = model._default_manager.select_related(
        f"{subject}__connection", f"{subject}__responsible", "started_by"
    )
    with runs.keep(lease):
        try:
            run = taken.get(pk=run_id)
            outcome = publish(run, lease) if run.state == RunState.PUBLISHING else attempt(run, lease)
        except ends:
            # canceled, or removed together with what it is a run of
            outcome = "lost"
    _wake_next(model, run_id, carrier)
    return outcome


@contextmanager
def connector_of(run: Run, of_portal: Callable[[Any, Exception], Failure]) -> Iterator[Connector]:
    """The run's connector; whatever goes wrong becomes a Failure while its secrets can still be masked.

    A sign-in that was refused with a secret of the Key Vault has that read again. ``of_portal`` tells what is not the
    connector's. Raises Failed, LeaseLost, and what the database raises.
    """
    subject: Any = run.subject
    passes_on: tuple[type[Exception], ...] = (Failed, LeaseLost, *_gone(type(run)), Error)
    if subject.connection is None:
        raise LeaseLost
    try:
        with open_connector(
            subject.connection, purpose="run", actor=run.started_by or subject.responsible, run=run
        ) as connector:
            try:
                yield connector
            except ConnectorError as error:
                failure = of_connector(error)
                if failure.code == REFUSED and _is_rotated(run, connector):
                    failure = ROTATED
                raise Failed(failure) from None
    except passes_on:
        # a run that is gone has no end. The database is not the run's fault: the worker stops, its lease ends, and the
        # next one goes on
        raise
    except Exception as error:  # noqa: BLE001  # the run must end in a true state whatever happens
        raise Failed(of_portal(run, error)) from None


def _is_rotated(run: Any, connector: Connector) -> bool:
    """Whether the secret at the Key Vault is another one than the server just refused; asked once per run.

    Raises ConnectorError when the Key Vault does not hand it out any more: that is then what is wrong.
    """
    connection = run.subject.connection
    if run.code == ROTATED.code or run.attempts.filter(code=ROTATED.code).exists():
        return False
    return has_other_secrets(
        connection,
        connector,
        purpose="run",
        actor=run.started_by or run.subject.responsible,
        run=run,
    )


def succeed(run: Any, lease: Lease, *, carrier: Carrier) -> str:
    """End a run whose results are visible; returns how. Raises LeaseLost when it is not ours to say."""
    state = RunState.WARNINGS if run.rejected else RunState.SUCCESSFUL
    with transaction.atomic():
        if run.subject.connection_id:
            clear_attention(connection_id=run.subject.connection_id)  # before the run, as everywhere
        texts = {"code": "", "cause": "", "remedy": "", "detail": "", "who_acts": ""}
        if not runs.finish(lease, RunState.PUBLISHING, state=state, **texts):
            raise LeaseLost
        attempts.succeed(run)
        carrier.record_end(run, state, "")
    return state.value


def _gone(model: type[Run]) -> tuple[type[ObjectDoesNotExist], ...]:
    """What is raised for a run that was removed while a worker has it in its hands."""
    subject: Any = model._meta.get_field(model.subject_name).related_model
    run: Any = model
    return run.DoesNotExist, subject.DoesNotExist


def _connection_of(model: type[Run], run_id: int) -> Any:
    """The id of the run's connection, as a subquery."""
    return model._default_manager.filter(pk=run_id).values(f"{model.subject_name}__connection")


def _lock_connection(model: type[Run], run_id: int) -> None:
    """Lock what slots are counted on; always before the run, as those do who change a connection."""
    Connection.objects.select_for_update(of=("self",)).filter(pk__in=_connection_of(model, run_id)).first()


def _wake_next(model: type[Run], run_id: int, carrier: Carrier) -> None:
    """Wake the oldest due run that waits for a slot: unless this one still holds its own, there is room."""
    if model._default_manager.filter(pk=run_id, state__in=LEASED_STATES).exists():
        return
    same = {f"{model.subject_name}__connection__in": _connection_of(model, run_id)}
    waiting = model._default_manager.filter(**same, state=RunState.QUEUED, not_before__lte=Now())
    next_id = waiting.order_by("queued_at", "pk").values_list("pk", flat=True).first()
    if next_id is not None:
        carrier.wake(next_id, 0)
