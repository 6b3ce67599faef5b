"""Why a queued run must not start, or not yet: checked when a worker takes it up, before any secret is read."""

from connections.connectors.base import N_
from connections.models import Connection
from connections.operations.refusals import ADMINISTRATOR, of_run_on
from connections.permissions import can_use
from connections_portal.models import Trigger, WhoActs
from connections_portal.runs import Refusal
from exports.models import ExportRun

EDITOR = WhoActs.EDITOR.value


def of_run(run: ExportRun) -> Refusal | None:
    """What is wrong with the run's connection, its agreement or the right to use it (rules S4, S10, S11, S16)."""
    connection = run.export.connection
    if connection is None:
        return Refusal(
            "no_connection",
            N_("The export has no connection."),
            N_("Add a connection to the export."),
            EDITOR,
        )
    return of_run_on(run, connection) or _no_right(run, connection)


def _no_right(run: ExportRun, connection: Connection) -> Refusal | None:
    """A first attempt by hand needs the right of whoever pressed, all others that of the responsible person."""
    by_hand = run.trigger in (Trigger.PERSON, Trigger.COMMAND) and run.attempt == 0
    person = run.started_by if by_hand else run.export.responsible
    if person is not None and can_use(person, connection):
        return None
    if by_hand:
        cause = N_("Whoever started the run may not use the connection of the export any more.")
        return Refusal(
            "no_right", cause, N_("Somebody who may use the connection starts it again."), ADMINISTRATOR
        )
    if person is None or not person.is_active:
        cause = N_("The person responsible for the export has left.")
    else:
        cause = N_("The person responsible for the export may not use its connection any more.")
    remedy = N_("Somebody who may use the connection takes the export over.")
    return Refusal("no_right", cause, remedy, ADMINISTRATOR)
