"""*Activate*, *Deactivate* and its *Undo*."""

from django.db import transaction
from django.utils.translation import gettext as _

from connections.models import Connection
from connections.permissions import can_use
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from connections_portal.undo import CannotUndo, Item
from enrichments.models import Enrichment
from enrichments.operations.edit import is_ready_for
from enrichments.operations.locks import lock, lock_connection, lock_with_connection
from enrichments.operations.run import cancel_active_runs
from enrichments.permissions import require_edit


class NeedsConnection(OperationError):
    """The enrichment has no connection; one has to be chosen first."""


def activate(*, enrichment: Enrichment, actor: User, connection: Connection | None = None) -> Enrichment:
    """Let the enrichment run again; nothing is caught up. ``actor`` becomes responsible.

    ``connection`` gives one to an enrichment that has none; it is of the enrichment's type, ready, and open to
    ``actor``. Raises NeedsConnection, Stale, NotAllowed, and OperationError (message at ``connection``), also for
    one that somebody gave another connection meanwhile.
    """
    require_edit(actor)
    with transaction.atomic():
        chosen = lock_connection(connection) if connection else None
        locked = lock(enrichment)
        if connection is not None:
            if chosen is None or not is_ready_for(locked.type_key, chosen, actor):
                raise OperationError(
                    _("No connection was added."),
                    fields={"connection": _("Choose a connection from the list.")},
                )
            if locked.connection_id is not None:
                raise OperationError(_("This enrichment has a connection already."))
            locked.connection = chosen
        if locked.active:
            raise OperationError(_("This enrichment is active already."))
        if locked.needs_connection and locked.connection_id is None:
            raise NeedsConnection(_("The enrichment waits for a connection. Choose one to activate it."))
        locked.active = True
        locked.responsible = locked.updated_by = actor
        locked.version += 1
        locked.save()
        audit.record(
            "enrichment.activated",
            actor=actor,
            target=locked,
            type=locked.type_key,
            connection=str(locked.connection) if locked.connection else "",
        )
        return locked


def deactivate(*, enrichment: Enrichment, actor: User) -> Enrichment:
    """Let the enrichment keep everything, its connection and results included, and not run any more.

    The run under way is canceled. Raises Stale, NotAllowed, FinishingRun while a run is publishing, and
    OperationError when it is inactive already.
    """
    require_edit(actor)
    with transaction.atomic():
        locked = lock_with_connection(enrichment.pk)
        if not locked.active:
            raise OperationError(_("This enrichment is inactive already."))
        cancel_active_runs(enrichment=locked, actor=actor)
        locked.active = False
        locked.updated_by = actor
        locked.version += 1
        locked.save()
        audit.record("enrichment.deactivated", actor=actor, target=locked, type=locked.type_key)
        return locked


def to_undo(enrichment: Enrichment) -> Item:
    """What undoes the deactivation of the enrichment, as ``deactivate`` returned it."""
    return Item(uuid=enrichment.uuid, version=enrichment.version, before={})


def undo_deactivate(*, item: Item, actor: User) -> Enrichment:
    """Let the enrichment run again, as it was; a run that was canceled stays so, and nothing is caught up.

    Raises Stale when it was changed since or deleted, CannotUndo when its connection is gone or ``actor`` may not use
    it any more, and NotAllowed.
    """
    require_edit(actor)
    with transaction.atomic():
        found = Enrichment.objects.filter(uuid=item.uuid).first()
        if found is None:
            raise Stale(_("The enrichment was deleted meanwhile."))
        locked = lock_with_connection(found.pk)
        if locked.version != item.version or locked.active:
            raise Stale(_("The enrichment was changed since. Nothing was undone."))
        if locked.needs_connection and locked.connection is None:
            raise CannotUndo(_("The connection was removed meanwhile. Nothing was undone."))
        if locked.connection is not None and not can_use(actor, locked.connection, "enrichment"):
            raise CannotUndo(_("You may not use the connection any more. Nothing was undone."))
        locked.active = True
        locked.updated_by = actor
        locked.version += 1
        locked.save()
        audit.record("enrichment.deactivation_undone", actor=actor, target=locked, type=locked.type_key)
        return locked
