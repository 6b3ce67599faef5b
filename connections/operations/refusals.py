"""Why a run must not use a connection, or not yet: asked when a worker takes it up, before any secret is read."""

from typing import Any

from connections import connectors, dependents
from connections.connectors.base import N_
from connections.models import Connection, State
from connections_portal.models import WhoActs
from connections_portal.runs import Refusal

ADMINISTRATOR = WhoActs.ADMINISTRATOR.value


def of_connection(connection: Connection) -> Refusal | None:
    """What keeps the portal from using the connection at all: type, pause, verification, agreement."""
    if (refusal := type_is_gone(connection)) is not None:
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


def of_run_on(run: Any, connection: Connection) -> Refusal | None:
    """What is wrong with the run's connection: its type, what changed since the run was queued, its state (S4, S16)."""
    if (refusal := type_is_gone(connection)) is not None:
        return refusal
    if (connection.uuid, connection.epoch) != (run.connection_uuid, run.connection_epoch):
        return Refusal(
            "connection_changed",
            N_("The connection was changed after the run was started."),
            N_("Start the run again."),
            WhoActs.EDITOR.value,
        )
    return of_connection(connection)


def has_room(connection: Connection) -> bool:
    """Whether one more session may be opened over the connection, besides the runs under way."""
    return sum(kind.running(connection) for kind in dependents.kinds()) < connection.max_parallel


def type_is_gone(connection: Connection) -> Refusal | None:
    """What is wrong when no connector has the connection's type any more."""
    if connectors.get(connection.type_key) is not None:
        return None
    return Refusal(
        "unknown_type",
        N_("This connection type does not exist any more."),
        N_("Choose another connection."),
        ADMINISTRATOR,
    )
