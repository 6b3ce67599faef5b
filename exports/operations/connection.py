"""*Detach connection*, its *Undo*, and *Add connection*."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections.models import Connection
from connections.permissions import can_use
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from connections_portal.undo import CannotUndo, Item
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


def to_undo(before: Export, after: Export) -> Item | None:
    """What undoes a detachment, from the export as it was shown and as it is; None if it was changed in between."""
    if before.connection is None or after.version != before.version + 1:
        return None
    return Item(uuid=after.uuid, version=after.version, before={"connection": str(before.connection.uuid)})


def undo_detach(*, item: Item, actor: User, now: datetime | None = None) -> Export:
    """Put the export's connection back; it is as it was, and its schedule counts again from ``now`` on.

    ``actor`` answers for it where the responsible person lost the right to the connection meanwhile. A run that was
    canceled stays so, and nothing is caught up. Raises Stale when the export was changed since or removed, CannotUndo
    when the connection was removed or ``actor`` may not use it any more, and NotAllowed.
    """
    with transaction.atomic():
        # the connection first, as everywhere: nobody waits for each other
        connections = Connection.objects.select_for_update()
        connection = connections.filter(uuid=UUID(item.before["connection"])).first()
        found = Export.objects.filter(uuid=item.uuid).first()
        if found is None:
            raise Stale(_("The export was removed meanwhile."))
        export = lock(found)
        if export.version != item.version:
            raise Stale(_("The export was changed since. Nothing was undone."))
        if connection is None:
            raise CannotUndo(_("The connection was removed meanwhile. Nothing was undone."))
        if not can_use(actor, connection):
            raise CannotUndo(_("You may not use the connection any more. Nothing was undone."))
        require_edit(actor, export)
        export.connection = connection
        if export.responsible is None or not can_use(export.responsible, connection):
            # the access was withdrawn meanwhile, which asked nothing about an export that was detached
            export.responsible = actor
        export.updated_by = actor
        export.version += 1
        export.save()
        set_next_run(export, now or timezone.now())
        audit.record(
            "export.detach_undone",
            actor=actor,
            target=export,
            type=export.type_key,
            connection=connection.name,
        )
        return export


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
