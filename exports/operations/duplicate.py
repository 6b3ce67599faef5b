"""*Create duplicate*: a new export with the settings of another one."""

from django.db import transaction
from django.utils.translation import gettext as _

from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.names import MAX_LENGTH, name_key
from exports.models import Export, ItemKind
from exports.operations.edit import Item, Timing, create_export, is_ready_for, lock
from exports.permissions import require_edit

_MOST_COPIES = 1000


def duplicate_export(*, export: Export, actor: User) -> Export:
    """A copy with the same connection, options and items, under a new name, and with its schedule off.

    Raises Stale when the export was removed meanwhile, NotAllowed, and OperationError when its connection is gone or
    is none that ``actor`` may choose for a new export.
    """
    with transaction.atomic():
        locked = lock(export)
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
            name=copy_name(locked.name),
            connection=connection,
            options=locked.options,
            items=items,
            schedule=Timing(zone=locked.schedule.zone),
            actor=actor,
            copy_of=locked,
        )


def copy_name(name: str) -> str:
    """*NAME (copy)*, *NAME (copy 2)* …: the first that no export has, at most 100 characters long."""
    for number in range(1, _MOST_COPIES):
        end = _(" (copy)") if number == 1 else _(" (copy %(number)d)") % {"number": number}
        kept = name[: MAX_LENGTH - len(end)]
        # the key is cut at its column's length: what tells copies apart has to be within it
        while not name_key(kept + end).endswith(name_key(end)):
            kept = kept[:-1]
        candidate = kept.rstrip() + end
        if not Export.objects.filter(name_key=name_key(candidate)).exists():
            return candidate
    raise OperationError(_("There are too many copies of this export."))
