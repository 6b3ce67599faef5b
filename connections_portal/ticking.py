"""Everything that has to happen without anybody asking, of all apps: one round of the portal's clock."""

import datetime as dt
from collections import Counter

from django.utils import timezone

from connections.operations.drafts import purge_drafts
from connections.operations.read_names import close_dead as close_dead_readings
from connections.operations.read_names import queue_old
from connections.operations.restore import purge_removed
from connections.operations.vault_checks import close_dead, queue_due
from connections_portal import mail, messages, refresh
from enrichments.operations.tick import tick as tick_enrichments
from exports.operations.tick import tick as tick_exports


def tick(*, now: dt.datetime | None = None) -> dict[str, int]:
    """Do everything once; returns how much of each was done. ``now`` only moves schedules, never leases."""
    now = now or timezone.now()
    done = Counter(tick_exports(now=now))
    done.update(tick_enrichments(now=now))
    done.update(refresh.tick(now=now))
    done.update(drafts=purge_drafts(now=now), removed=purge_removed(now))
    done.update(vaults=queue_due(now=now), dead=close_dead() + close_dead_readings())
    done.update(vault_lists=queue_old(now=now))
    done.update(letters=mail.renew(), pruned=messages.prune())
    return dict(done)
