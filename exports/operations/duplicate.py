"""*Create duplicate*: a new export with the settings of another one."""

import datetime as dt
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User
from connections_portal.names import copy_name
from exports.models import Export
from exports.operations.edit import Timing, create_export, is_ready_for, items_of
from exports.operations.run import lock_export
from exports.permissions import require_edit

# A page with the button on it is not kept for longer.
REMEMBERED = dt.timedelta(days=1)


def duplicate_export(*, export: Export, actor: User, press: UUID | None = None) -> Export:
    """A copy with the same connection, options and items, under a new name, and with its schedule off.

    ``press`` stands for the button on the page, which makes one copy: pressed twice, it gives the first one again.
    Raises Stale when the export was removed meanwhile, NotAllowed, and OperationError when its connection is gone or
    is none that ``actor`` may choose for a new export.
    """
    with transaction.atomic():
        locked = lock_export(export.pk)
        require_edit(actor, locked)
        if press and (made := _made_by(press, actor)):
            return made
        connection = locked.connection
        if connection is None:
            raise OperationError(_("The export waits for a connection. Add one first."))
        if not is_ready_for(connection, actor):
            raise OperationError(
                _("The connection of this export is not ready, so nothing new can be built on it.")
            )
        return create_export(
            name=_free_name(locked.name),
            connection=connection,
            options=locked.options,
            items=items_of(locked),
            schedule=Timing(zone=locked.schedule.zone),
            actor=actor,
            copy_of=locked,
            press=str(press or ""),
        )


def _made_by(press: UUID, actor: User) -> Export | None:
    """The copy that this button made for ``actor``, if it is still there."""
    made = AuditEntry.objects.filter(
        action="export.created",
        actor_id=actor.pk,
        at__gt=timezone.now() - REMEMBERED,
        details__press=str(press),
    ).first()
    if made is None or made.object_uuid is None:
        return None
    return Export.objects.filter(uuid=made.object_uuid).first()


def _free_name(name: str) -> str:
    free = copy_name(name, lambda key: Export.objects.filter(name_key=key).exists())
    if not free:
        raise OperationError(_("There are too many copies of this export."))
    return free
