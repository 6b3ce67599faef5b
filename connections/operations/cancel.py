"""Cancel many runs over a connection at once, whatever their kind: as many queries for one as for hundreds."""

from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from connections_portal import audit
from connections_portal.errors import FinishingRun
from connections_portal.models import ACTIVE_STATES, Attempt, RunState, User


def cancel_runs(runs: QuerySet[Any], *, actor: User, action: str, leave_finishing: bool = False) -> list[int]:
    """Cancel those of these runs that are under way, inside the caller's transaction; returns their ids.

    ``runs`` select what they are runs of (``subject``), which each audit row of ``action`` is about. What belongs to
    the runs besides their attempts is the caller's. Raises FinishingRun when one of them is publishing, or leaves
    those alone with ``leave_finishing``. What is under way stays locked, so that none begins to publish meanwhile.
    """
    active = list(runs.filter(state__in=ACTIVE_STATES).select_for_update(of=("self",)).order_by("pk"))
    finishing = [run for run in active if run.state == RunState.PUBLISHING]
    if finishing and not leave_finishing:
        raise FinishingRun(_("A run is just finishing. Try again in a moment."))
    active = [run for run in active if run not in finishing]
    if not active:
        return []
    model = runs.model
    canceled = model._default_manager.filter(pk__in=[run.pk for run in active])
    canceled.update(state=RunState.CANCELED, lease_token=None, lease_until=None, finished_at=Now())
    attempts = model._meta.get_field("attempts").related_model
    attempts._default_manager.filter(
        run__in=[run.pk for run in active], outcome=Attempt.Outcome.RUNNING
    ).update(outcome=Attempt.Outcome.CANCELED, ended_at=Now())
    audit.record_each(action, [(run.subject, {"run": str(run.uuid)}) for run in active], actor=actor)
    return [run.pk for run in active]
