"""*Create duplicate*: a new export with the settings of another one."""

from django.db import transaction
from django.utils.translation import gettext as _

from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.names import copy_name
from exports.models import Export, ItemKind
from exports.operations.edit import Item, Timing, create_export, is_ready_for
from exports.operations.run import lock_export
from exports.permissions import require_edit


def duplicate_export(*, export: Export, actor: User) -> Export:
    """A copy with the same connection, options and items, under a new name, and with its schedule off.

    Raises Stale when the export was removed meanwhile, NotAllowed, and OperationError when its connection is gone or
    is none that ``actor`` may choose for a new export.
    """
    with transaction.atomic():
        locked = lock_export(export.pk)
        require_edit(actor, locked)
        connection = locked.connection
        if connection is None:
            raise OperationError(_("The export waits for a connection. Add one first."))
        if not is_ready_for(connection, actor):
            raise OperationError(
                _("The connection of this export is not ready, so nothing new can be built on it.")
            )
        items = [
            Item(kind=ItemKind(item.kind), source=item.source, fields=tuple(item.fields))
            for item in locked.items.all()
        ]
        return create_export(
            name=_free_name(locked.name),
            connection=connection,
            options=locked.options,
            items=items,
            schedule=Timing(zone=locked.schedule.zone),
            actor=actor,
            copy_of=locked,
        )


def _free_name(name: str) -> str:
    free = copy_name(name, lambda key: Export.objects.filter(name_key=key).exists())
    if not free:
        raise OperationError(_("There are too many copies of this export."))
    return free
