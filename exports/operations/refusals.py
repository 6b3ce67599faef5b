"""Why a queued run must not start, or not yet: checked when a worker takes it up, before any secret is read."""

from django.db.models.functions import Now

from connections import connectors
from connections.connectors.base import N_
from connections.models import Connection, State
from connections.permissions import can_use
from connections_portal.models import LEASED_STATES, Trigger, WhoActs
from connections_portal.runs import Refusal
from exports.models import ExportRun

ADMINISTRATOR, EDITOR = WhoActs.ADMINISTRATOR.value, WhoActs.EDITOR.value


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
    refusal = _type_is_gone(connection)
    if refusal is None and (connection.uuid, connection.epoch) != (run.connection_uuid, run.connection_epoch):
        refusal = Refusal(
            "connection_changed",
            N_("The connection was changed after the run was started."),
            N_("Start the run again."),
            EDITOR,
        )
    return refusal or of_connection(connection) or _no_right(run, connection)


def of_connection(connection: Connection) -> Refusal | None:
    """What keeps the portal from using the connection at all: type, pause, verification, agreement."""
    if (refusal := _type_is_gone(connection)) is not None:
        return refusal
    if connection.state == State.PAUSED:
        return Refusal(
            "paused", N_("The connection is paused."), N_("An administrator resumes it."), ADMINISTRATOR
        )
    if connection.state == State.NOT_VERIFIED or connection.verified_at is None:
        return Refusal(
            "not_verified",
            N_("The connection is not verified."),
            N_("An administrator verifies it."),
            ADMINISTRATOR,
        )
    if connection.consent is None or connection.consent.target_digest != connection.target_digest:
        return Refusal(
            "no_consent",
            N_("Nobody has agreed to the privacy terms for where this connection leads."),
            N_("An administrator agrees to them."),
            ADMINISTRATOR,
        )
    return None


def has_room(connection: Connection) -> bool:
    """Whether one more session may be opened over the connection, besides the runs under way."""
    running = ExportRun.objects.filter(
        export__connection=connection, state__in=LEASED_STATES, lease_until__gte=Now()
    )
    return running.count() < connection.max_parallel


def _type_is_gone(connection: Connection) -> Refusal | None:
    if connectors.get(connection.type_key) is not None:
        return None
    return Refusal(
        "unknown_type",
        N_("This connection type does not exist any more."),
        N_("Move the export to another connection."),
        ADMINISTRATOR,
    )


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
