"""*Stop everything* on a connection: for an emergency, whatever state it is in and whoever has it open."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Max
from django.utils.translation import gettext as _

from connections import dependents
from connections.models import Connection, State
from connections.operations.pause import halt
from connections_portal import audit
from connections_portal.errors import Stale
from connections_portal.models import AuditEntry, User

# So many canceled runs are named in the audit's row; their number is always there.
NAMED = 200
RECENT = timedelta(days=30)


def stop_everything(*, connection: Connection, actor: User) -> AuditEntry:
    """Cancel every run on the connection, let nothing start, and pause it; returns the audit's row, which tells of it.

    Nothing outside the database takes part, so it works while the service is down and workers hang: these find their
    runs gone when they wake up. No page can be too old for it, and pressed again it leads to what was done. A run that
    is publishing cannot be called back (rule S25): it is named as ``finishing`` and ends by itself, everything else is
    stopped. Raises Stale when the connection was removed.
    """
    with transaction.atomic():
        editable = Connection.objects.editable_by(actor)
        locked = editable.select_for_update(of=("self",)).filter(pk=connection.pk).first()
        if locked is None:
            raise Stale(_("The connection was removed meanwhile."))
        runs = dependents.under_way(locked)
        before = last_stop(locked)
        nothing_new = all(run.finishing for run in runs) and locked.state == State.PAUSED
        if before and nothing_new and before.details["epoch"] == locked.epoch:
            return before
        used_by = dependents.used_by([locked.pk]).get(locked.pk, [])
        canceled = halt(locked, actor, leave_finishing=True)
        finishing = dependents.under_way(locked)
        left = {run.url for run in finishing}
        locked.save()
        return audit.record(
            "connection.stopped",
            actor=actor,
            target=locked,
            canceled=canceled,
            runs=[run.name for run in runs if run.url not in left][:NAMED],
            finishing=[run.name for run in finishing],
            used_by=used_by,
            epoch=locked.epoch,
            version=locked.version,
        )


def last_stop(connection: Connection) -> AuditEntry | None:
    """The audit's row of the last time that everything on the connection was stopped."""
    stops = AuditEntry.objects.filter(action="connection.stopped", object_uuid=connection.uuid)
    return stops.order_by("-at", "-pk").first()


def who_used(connection: Connection, until: datetime) -> list[dict[str, Any]]:
    """Who used the connection's secrets in the 30 days before ``until``, most first.

    ``person`` (the one on whose behalf it was, or the portal), ``runs``, ``others`` (verifications, tidying up), and
    the ``last`` time. From the audit, which has a row for each use (rule S5).
    """
    uses = AuditEntry.objects.filter(
        action="secret.used",
        object_type=Connection._meta.model_name,
        object_uuid=connection.uuid,
        at__gt=until - RECENT,
        at__lte=until,
    )
    counted = uses.order_by().values("actor_label", "details__purpose")
    people: dict[str, dict[str, Any]] = {}
    for row in counted.annotate(number=Count("pk"), last=Max("at")):
        entry = people.setdefault(
            row["actor_label"], {"person": row["actor_label"], "runs": 0, "others": 0, "last": row["last"]}
        )
        entry["runs" if row["details__purpose"] == "run" else "others"] += row["number"]
        entry["last"] = max(entry["last"], row["last"])
    return sorted(people.values(), key=lambda e: (-e["runs"], -e["others"], e["person"]))
