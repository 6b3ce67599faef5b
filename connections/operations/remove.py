"""*Remove* a connection: everything built on it is settled first, in the same transaction (design: Removal)."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import ProtectedError, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import dependents
from connections.dependents import Kind
from connections.models import Connection, RemovedConnection, State
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import AuditEntry, User

# How long a removed connection can be restored.
KEPT_FOR = timedelta(days=30)


class InUse(OperationError):
    """Something is built on the connection, and nothing was decided about it."""

    status = 409


@dataclass(frozen=True)
class Decision:
    """What becomes of a dependent: the ``key`` of a choice of its kind, and with *Move to* the other connection."""

    choice: str
    target: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What was decided about the dependents of one kind: ``each`` by its uuid, ``rest`` for all others."""

    each: Mapping[UUID, Decision] = field(default_factory=dict)
    rest: Decision | None = None


def remove_connection(
    *, connection: Connection, impact: str, choices: Mapping[str, Decisions] | None = None, actor: User
) -> None:
    """Carry out the choices, then delete the connection with its secrets and grants; consent and audit stay.

    ``choices`` are by the key of the kind. ``impact`` is the token of what was shown (``impact_of``). What runs is
    canceled first. For 30 days the connection can be restored. Raises Stale when it was removed, or when it or
    anything built on it changed since; InUse when something has no decision (the attempt is recorded); FinishingRun;
    and OperationError for a choice that cannot be carried out. Nothing has happened then.
    """
    choices = choices or {}
    try:
        with transaction.atomic():
            locked, targets = _lock(connection, choices)
            phrases = dependents.blocked_by(locked)
            if phrases and not choices:
                raise _in_use(locked, phrases)
            if impact != impact_of(locked):
                raise Stale(_("This has changed since you opened this dialog. Look at it again."))
            settled = _settle(locked, choices, targets, actor)
            if phrases := dependents.blocked_by(locked):
                raise _in_use(locked, phrases)
            for kind in dependents.kinds():
                if number := kind.let_go(locked, actor):
                    settled[f"{kind.key}: let_go"] = number
            _archive(locked, actor)
            audit.record(
                "connection.removed", actor=actor, target=locked, type=locked.type_key, settled=settled
            )
            locked.delete()
    except (InUse, ProtectedError) as refused:
        in_use = refused if isinstance(refused, InUse) else _in_use(connection, [_("something")])
        audit.record(
            "connection.remove_refused",
            actor=actor,
            target=connection,
            refused=True,
            used_by=dependents.blocked_by(connection),
        )
        raise in_use from None


def impact_of(connection: Connection) -> str:
    """The token of a connection and all that is built on it, as they are now."""
    return impacts_of([connection])[connection.pk]


def impacts_of(connections: Sequence[Connection]) -> dict[int, str]:
    """By id the tokens of these connections, with one query for each kind of dependent.

    SHA-256 (hex) over the connection's identifier and version and, sorted, the kind, identifier and version of every
    dependent: so whatever is added, changed or goes makes it another one.
    """
    marks: dict[int, list[list[str | int]]] = {connection.pk: [] for connection in connections}
    for kind in dependents.kinds():
        for connection_id, found in kind.marks(list(marks)).items():
            marks[connection_id] += [[kind.key, str(uuid), version] for uuid, version in found]
    return {
        connection.pk: hashlib.sha256(
            json.dumps([str(connection.uuid), connection.version, sorted(marks[connection.pk])]).encode()
        ).hexdigest()
        for connection in connections
    }


def move_targets(connection: Connection, user: User) -> QuerySet[Connection]:
    """The connections that what is built on this one may move to: of its type, ready, and open to the person."""
    others = Connection.objects.filter(type_key=connection.type_key, state=State.READY).editable_by(user)
    return others.exclude(pk=connection.pk).order_by("name_key", "pk")


def removed_type(uuid: UUID) -> str:
    """The type of a connection that was removed, from the audit; empty for one that is there or never was."""
    if Connection.objects.filter(uuid=uuid).exists():
        return ""
    removed = AuditEntry.objects.filter(action="connection.removed", object_uuid=uuid).first()
    return str(removed.details.get("type", "")) if removed else ""


def lock_with(connection: Connection, others: Iterable[UUID]) -> dict[UUID, Connection]:
    """The connection and the others that still exist, locked in the order of their ids, and all that is built on it.

    Raises Stale when the connection itself was removed.
    """
    wanted = [connection.uuid, *others]
    rows = Connection.objects.select_for_update(of=("self",)).filter(uuid__in=wanted).order_by("pk")
    locked = {row.uuid: row for row in rows}
    if connection.uuid not in locked:
        raise Stale(_("The connection was removed meanwhile."))
    for kind in dependents.kinds():
        kind.lock(locked[connection.uuid])
    return locked


def _lock(
    connection: Connection, choices: Mapping[str, Decisions]
) -> tuple[Connection, dict[UUID, Connection]]:
    decided = [d for decisions in choices.values() for d in (*decisions.each.values(), decisions.rest) if d]
    locked = lock_with(connection, {decision.target for decision in decided if decision.target})
    return locked.pop(connection.uuid), locked


def _in_use(connection: Connection, phrases: Sequence[str]) -> InUse:
    using = (kind for kind in dependents.kinds() if kind.count([connection.pk]))
    return InUse(
        _("This connection is used by %(what)s.") % {"what": ", ".join(phrases)},
        url=next((kind.list_url(connection) for kind in using), ""),
    )


def _settle(
    connection: Connection, choices: Mapping[str, Decisions], targets: Mapping[UUID, Connection], actor: User
) -> dict[str, int]:
    """Carry out what was decided, kind by kind; returns how many by kind and choice."""
    settled: dict[str, int] = {}
    for kind in dependents.kinds():
        decisions = choices.get(kind.key, Decisions())
        grouped: dict[Decision, list[UUID]] = {}
        for uuid, decision in decisions.each.items():
            grouped.setdefault(decision, []).append(uuid)
        todo: list[tuple[Decision, list[UUID] | None]] = [*grouped.items()]
        if decisions.rest is not None:
            todo.append((decisions.rest, None))
        for decision, uuids in todo:
            target = _target_of(decision, kind, connection, targets, actor)
            name = f"{kind.key}: {decision.choice}"
            settled[name] = settled.get(name, 0) + kind.settle(
                connection, uuids, decision.choice, target, actor
            )
    return {name: number for name, number in settled.items() if number}


def _target_of(
    decision: Decision, kind: Kind, connection: Connection, targets: Mapping[UUID, Connection], actor: User
) -> Connection | None:
    """Where a decision moves to, checked; None for the others. Raises OperationError for what is not offered."""
    choice = next((choice for choice in kind.choices() if choice.key == decision.choice), None)
    if choice is None:
        raise OperationError(_("Choose one of the answers."))
    if not choice.moves:
        return None
    target = targets.get(decision.target) if decision.target else None
    if target is None or not move_targets(connection, actor).filter(pk=target.pk).exists():
        raise OperationError(_("The connection to move to cannot be used any more. Choose another one."))
    return target


def _archive(connection: Connection, actor: User) -> None:
    now = timezone.now()
    RemovedConnection.objects.create(
        uuid=connection.uuid,
        type_key=connection.type_key,
        name=connection.name,
        settings=connection.settings,
        host_key=connection.host_key,
        max_parallel=connection.max_parallel,
        # one number above both: whatever is restored begins where nothing from before fits
        epoch=max(connection.epoch, connection.version) + 1,
        created_at=connection.created_at,
        removed_by_label=str(actor)[:150],
        keep_until=now + KEPT_FOR,
    )
