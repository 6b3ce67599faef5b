"""Whose right an export runs by: *Take over*, and what withdrawing access does to exports (rule S11)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.models import Connection
from connections.permissions import can_use
from connections_portal import audit
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import User
from exports.models import Export, ExportSchedule, ScheduleKind
from exports.operations.edit import changed_since, lock, set_next_run
from exports.permissions import may_run


def take_over_export(*, export: Export, version: int, actor: User) -> Export:
    """Make ``actor`` responsible for the export as it stands; its settings and schedule stay.

    ``version`` is that of the page on which it was pressed. Raises Stale, NotAllowed, and OperationError where there
    is nothing to take over: no connection, it is theirs already, or whoever is responsible may use the connection.
    """
    with transaction.atomic():
        locked = lock(export)
        if locked.connection_id is None:
            raise OperationError(_("The export waits for a connection. Add one first."))
        if not may_run(actor, locked):
            raise NotAllowed(_("You may not use the connection of this export."))
        if locked.responsible_id == actor.pk:
            raise OperationError(_("You are responsible for this export already."))
        if locked.version != version:
            raise changed_since(locked, actor)
        if locked.responsible and locked.connection and can_use(locked.responsible, locked.connection):
            raise OperationError(
                _("%(person)s is responsible for this export and may use its connection.")
                % {"person": locked.responsible}
            )
        before = str(locked.responsible) if locked.responsible else ""
        locked.responsible = locked.updated_by = actor
        locked.version += 1
        locked.save(update_fields=["responsible", "updated_by", "updated_at", "version"])
        audit.record("export.taken_over", actor=actor, target=locked, before=before)
        return locked


def answer_for(exports: QuerySet[Export], *, actor: User) -> list[UUID]:
    """Make ``actor`` responsible for these exports, inside the caller's transaction and audit; returns which."""
    found = list(exports.select_for_update(of=("self",)).values_list("pk", "uuid"))
    _write(found, responsible=actor, updated_by=actor)
    return [uuid for _pk, uuid in found]


def turn_off(exports: QuerySet[Export], *, actor: User) -> list[UUID]:
    """Let these exports run by hand only, inside the caller's transaction and audit; returns which had a schedule."""
    scheduled = exports.exclude(schedule__kind=ScheduleKind.MANUAL)
    found = list(scheduled.select_for_update(of=("self",)).values_list("pk", "uuid"))
    ExportSchedule.objects.filter(export__in=[pk for pk, _uuid in found]).update(
        kind=ScheduleKind.MANUAL, next_at=None
    )
    _write(found, updated_by=actor)
    return [uuid for _pk, uuid in found]


def remember(connection: Connection, losing: Sequence[User], keep: bool) -> list[list[Any]]:
    """Before the first of the two (``keep``) or the second: what ``bring_back`` needs of the exports it changes, as
    JSON.
    """
    left = Export.objects.filter(connection=connection, responsible__in=losing).order_by("pk")
    if not keep:
        left = left.exclude(schedule__kind=ScheduleKind.MANUAL)
    rows = left.values_list("uuid", "version", "responsible", "schedule__kind")
    return [[uuid.hex, version, person, kind] for uuid, version, person, kind in rows]


def bring_back(connection: Connection, memory: Sequence[Sequence[Any]], actor: User, now: datetime) -> int:
    """Undo one of the two, inside the caller's transaction and audit; schedules count from ``now``, without catch-up.

    An export that was changed since stays as it is; returns how many those are.
    """
    remembered = {UUID(hex=key): rest for key, *rest in memory}
    exports = Export.objects.select_for_update(of=("self",)).select_related("schedule", "connection")
    missed = 0
    for export in exports.filter(uuid__in=remembered, connection=connection).order_by("pk"):
        version, person, kind = remembered[export.uuid]
        if export.version == version:
            continue  # it was left alone
        if export.version != version + 1:
            missed += 1
            continue
        ExportSchedule.objects.filter(export=export).update(kind=kind)
        export.schedule.kind = kind
        responsible = User.objects.filter(pk=person).first()
        _write([(export.pk, export.uuid)], responsible=responsible, updated_by=actor)
        set_next_run(export, now)
    return missed


def _write(found: list[tuple[int, UUID]], **columns: object) -> None:
    """One more version each, so that forms that are open on them are refused."""
    Export.objects.filter(pk__in=[pk for pk, _uuid in found]).update(
        version=F("version") + 1, updated_at=timezone.now(), **columns
    )
