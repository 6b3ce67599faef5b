"""*Detach connection* and *Add connection*."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.models import Connection
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from exports.models import Export, ExportSchedule
from exports.operations.edit import is_ready_for, lock, lock_connection, set_next_run
from exports.operations.run import cancel_active_runs, lock_export
from exports.permissions import require_edit


def detach_connection(*, export: Export, actor: User) -> Export:
    """Take the connection off the export, which keeps everything else and does not run any more.

    The run under way is canceled. Raises Stale when the export was removed meanwhile, NotAllowed, FinishingRun while
    a run is publishing, and OperationError when there is no connection.
    """
    with transaction.atomic():
        locked = lock_export(export.pk)
        require_edit(actor, locked)
        if locked.connection is None:
            raise OperationError(_("This export has no connection."))
        name = locked.connection.name
        cancel_active_runs(export=locked, actor=actor)
        locked.connection = None
        locked.updated_by = actor
        locked.version += 1
        locked.save()
        ExportSchedule.objects.filter(export=locked).update(next_at=None)
        audit.record("export.detached", actor=actor, target=locked, type=locked.type_key, connection=name)
        return locked


def attach_connection(
    *, export: Export, connection: Connection, actor: User, now: datetime | None = None
) -> Export:
    """Give a detached export its next connection; its schedule counts again from ``now``, nothing is caught up.

    The connection is of the export's type, ready, and may be used by ``actor``, who becomes responsible. Raises Stale,
    NotAllowed and OperationError (message at ``connection``).
    """
    with transaction.atomic():
        connection = lock_connection(connection)
        locked = lock(export)
        require_edit(actor, locked)
        if locked.connection_id is not None:
            raise OperationError(_("This export has a connection already."))
        if connection.type_key != locked.type_key or not is_ready_for(connection, actor):
            raise OperationError(
                _("No connection was added."), fields={"connection": _("Choose a connection from the list.")}
            )
        locked.connection = connection
        locked.responsible = locked.updated_by = actor
        locked.version += 1
        locked.save()
        set_next_run(locked, now or timezone.now())
        audit.record(
            "export.attached", actor=actor, target=locked, type=locked.type_key, connection=connection.name
        )
        return locked
