"""What becomes of many exports at once when their connection is removed, or when they move to another one.

Everything here runs inside the caller's transaction, with the connections locked, and takes as many queries for
hundreds of exports as for one. One audit row is written for each export.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.models import Connection, State
from connections.operations.cancel import cancel_runs
from connections.sharing import people_with_use
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from exports.models import (
    Export,
    ExportAttempt,
    ExportFile,
    ExportItem,
    ExportRun,
    ExportSchedule,
    ExportTask,
    ScheduleKind,
    TaskState,
    TemporaryFolder,
)
from exports.operations.edit import valid_options
from exports.schedules import next_run_at

REMOVE, DETACH, MOVE = "remove", "detach", "move"


def settle(
    connection: Connection,
    chosen: Collection[UUID] | None,
    choice: str,
    target: Connection | None,
    actor: User,
) -> int:
    """Remove, detach or move the exports on ``connection`` with these uuids (None: all); returns how many.

    Runs under way are canceled. Raises FinishingRun while one of them is publishing, and OperationError for an
    export that cannot move to ``target``.
    """
    exports = Export.objects.filter(connection=connection)
    if chosen is not None:
        exports = exports.filter(uuid__in=chosen)
    found = list(exports.order_by("name_key").only("uuid", "name", "type_key", "options"))
    if not found:
        return 0
    if target is not None:
        _require_fitting(found, target)
    cancel_all(exports, actor=actor)
    how: Mapping[str, Callable[[], None]] = {
        REMOVE: lambda: _remove(exports, found, connection, actor),
        DETACH: lambda: _detach(exports, found, connection, actor),
        MOVE: lambda: _move(exports, found, connection, target, actor),
    }
    how[choice]()
    return len(found)


def cancel_all(exports: QuerySet[Export], *, actor: User, leave_finishing: bool = False) -> int:
    """Cancel what is under way of these exports; how many runs. Raises FinishingRun, unless told to leave those."""
    runs = ExportRun.objects.filter(export__in=exports.order_by().values("pk")).select_related("export")
    canceled = cancel_runs(runs, actor=actor, action="export.run_canceled", leave_finishing=leave_finishing)
    if canceled:
        ExportTask.objects.filter(run__in=canceled, state=TaskState.RUNNING).update(
            state=TaskState.FAILED, finished_at=timezone.now()
        )
    return len(canceled)


def unfit(connection: Connection, targets: Sequence[Connection]) -> dict[int, dict[UUID, str]]:
    """By id of each target the exports on ``connection`` that cannot go on over it, and why not."""
    exports = list(Export.objects.filter(connection=connection).only("uuid", "type_key", "options"))
    return {target.pk: _unfit(exports, target) for target in targets}


def _unfit(exports: Iterable[Export], target: Connection) -> dict[UUID, str]:
    known: dict[str, str] = {}  # most exports of a connection answer its options alike
    found: dict[UUID, str] = {}
    for export in exports:
        answers = json.dumps([export.type_key, export.options], sort_keys=True)
        if answers not in known:
            known[answers] = _why_unfit(export, target)
        if known[answers]:
            found[export.uuid] = known[answers]
    return found


def _why_unfit(export: Export, target: Connection) -> str:
    if export.type_key != target.type_key:
        return _("It was built for another type of connection.")
    try:
        valid_options(target.type_key, export.options)
    except OperationError as refused:
        return _("Its settings do not fit any more. Edit it first.") if refused.fields else refused.message
    return ""


def _require_fitting(exports: list[Export], target: Connection) -> None:
    wrong = _unfit(exports, target)
    for export in exports:
        if reason := wrong.get(export.uuid):
            raise OperationError(
                _("%(export)s cannot move to %(connection)s: %(reason)s")
                % {"export": export.name, "connection": target.name, "reason": reason}
            )


def _detach(exports: QuerySet[Export], found: list[Export], connection: Connection, actor: User) -> None:
    _schedules(exports).update(next_at=None)
    exports.update(connection=None, **_changed_by(actor))
    _record("export.detached", found, actor, connection=connection.name)


def _move(
    exports: QuerySet[Export],
    found: list[Export],
    connection: Connection,
    target: Connection | None,
    actor: User,
) -> None:
    if target is None:
        raise OperationError(_("Choose where to move them."))
    # who may not use the other connection cannot answer for what runs over it (rule S11)
    usable_by = people_with_use(target).values("pk")
    exports.exclude(responsible__in=usable_by).update(responsible=actor)
    _count_again(exports, target, timezone.now())
    exports.update(connection=target, **_changed_by(actor))
    _record("export.moved", found, actor, before=connection.name, connection=target.name)


def _count_again(exports: QuerySet[Export], target: Connection, now: datetime) -> None:
    """What did not count because of a pause counts from now on; what is due at a moment stays due then."""
    if target.state == State.PAUSED:
        _schedules(exports).update(next_at=None)
        return
    waiting = list(_schedules(exports).filter(next_at=None).exclude(kind=ScheduleKind.MANUAL))
    for schedule in waiting:
        schedule.next_at = next_run_at(schedule, now)
    ExportSchedule.objects.bulk_update(waiting, ["next_at"])


def _remove(exports: QuerySet[Export], found: list[Export], connection: Connection, actor: User) -> None:
    """From the leaves to the exports, without reading what goes: a removal by objects reads all of it first."""
    _record("export.removed", found, actor, connection=connection.name)
    ids = exports.order_by().values("pk")
    TemporaryFolder.objects.filter(run__export__in=ids).update(run=None)
    gone: list[QuerySet[Any]] = [
        ExportFile.objects.filter(task__run__export__in=ids),
        ExportTask.objects.filter(run__export__in=ids),
        ExportAttempt.objects.filter(run__export__in=ids),
        ExportRun.objects.filter(export__in=ids),
        ExportSchedule.objects.filter(export__in=ids),
        ExportItem.objects.filter(export__in=ids),
        exports,
    ]
    for rows in gone:
        rows.order_by()._raw_delete(DEFAULT_DB_ALIAS)


def _schedules(exports: QuerySet[Export]) -> QuerySet[ExportSchedule]:
    return ExportSchedule.objects.filter(export__in=exports.order_by().values("pk"))


def _changed_by(actor: User) -> dict[str, Any]:
    """One more version each, so that forms that are open on them are refused."""
    return {"updated_by": actor, "updated_at": timezone.now(), "version": F("version") + 1}


def _record(action: str, exports: list[Export], actor: User, **details: str) -> None:
    audit.record_each(action, [(e, {"type": e.type_key, **details}) for e in exports], actor=actor)
