"""*Schedule*: when an export runs by itself."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from connections_portal import audit
from connections_portal.models import User
from exports.models import Export
from exports.operations.edit import Timing, changed_since, write_schedule
from exports.operations.run import lock_export
from exports.permissions import require_edit


def set_schedule(
    *, export: Export, schedule: Timing, actor: User, version: int | None = None, now: datetime | None = None
) -> Export:
    """Let the export run as ``schedule`` says; without a connection the schedule waits for one.

    ``actor`` becomes responsible: it is their right that scheduled runs need (rule S11). ``version`` is that of the
    page, if one export was shown; None for several at once. Raises Stale (also when removed meanwhile) and NotAllowed.
    """
    with transaction.atomic():
        locked = lock_export(export.pk)  # with its connection, whose pause decides when it is due
        if version is not None and locked.version != version:
            raise changed_since(locked, actor)
        require_edit(actor, locked)
        write_schedule(locked, schedule, now or timezone.now())
        locked.responsible = locked.updated_by = actor
        locked.version += 1
        locked.save()
        audit.record(
            "export.scheduled",
            actor=actor,
            target=locked,
            schedule=schedule.kind.value,
            time=f"{schedule.local_time:%H:%M}" if schedule.local_time else "",
            zone=schedule.zone,
            version=locked.version,
        )
        return locked
