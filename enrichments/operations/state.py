"""*Activate* and *Deactivate*."""

from django.db import transaction
from django.utils.translation import gettext as _

from connections.models import Connection
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from enrichments.models import Enrichment
from enrichments.operations.edit import is_ready_for
from enrichments.operations.locks import lock, lock_connection, lock_with_connection
from enrichments.operations.run import cancel_active_runs
from enrichments.permissions import require_edit


class NeedsConnection(OperationError):
    """The enrichment has no connection; one has to be chosen first."""


def activate(*, enrichment: Enrichment, actor: User, connection: Connection | None = None) -> Enrichment:
    """Let the enrichment run again; nothing is caught up. ``actor`` becomes responsible.

    ``connection`` gives one to an enrichment that has none (or replaces it); it is of the enrichment's type, ready,
    and open to ``actor``. Raises NeedsConnection, Stale, NotAllowed, and OperationError (message at ``connection``).
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
            if locked.connection_id not in (None, chosen.pk):
                cancel_active_runs(enrichment=locked, actor=actor)
            locked.connection = chosen
        if locked.active and connection is None:
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
