"""*Remove* an export."""

from django.db import transaction

from connections_portal import audit
from connections_portal.models import User
from exports.models import Export
from exports.operations.edit import lock
from exports.operations.run import cancel_active_runs
from exports.permissions import require_edit


def remove_export(*, export: Export, actor: User) -> None:
    """Delete the export with its schedule and history; files at the destination and the audit stay.

    The run under way is canceled. Raises Stale when it is gone already, NotAllowed, and FinishingRun while a run is
    publishing.
    """
    with transaction.atomic():
        locked = lock(export)
        require_edit(actor, locked)
        cancel_active_runs(export=locked, actor=actor)
        audit.record(
            "export.removed",
            actor=actor,
            target=locked,
            type=locked.type_key,
            connection=str(locked.connection) if locked.connection else "",
            runs=locked.runs.count(),
        )
        locked.delete()
