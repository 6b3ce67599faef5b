"""What becomes of many enrichments at once when their connection is removed, or when they move to another one.

Everything here runs inside the caller's transaction, with the connections locked, and takes as many queries for
hundreds of enrichments as for one. One audit row is written for each.
"""

import functools
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors
from connections.connectors.errors import InvalidSettings
from connections.models import Connection
from connections.operations.cancel import cancel_runs
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from enrichments import tables
from enrichments.models import Enrichment, EnrichmentAttempt, EnrichmentRun

DELETE, DEACTIVATE, MOVE = "delete", "deactivate", "move"
# An active enrichment blocks the removal of its connection; an inactive one merely loses it.
BLOCKS = Q(active=True)


def settle(
    connection: Connection,
    chosen: Collection[UUID] | None,
    choice: str,
    target: Connection | None,
    actor: User,
) -> int:
    """Delete, deactivate or move the active enrichments on ``connection`` with these uuids (None: all); how many.

    Inactive ones with these uuids move too, and stay inactive. Runs under way are canceled. Raises FinishingRun while
    one of them is publishing, and OperationError for one that cannot move to ``target``.
    """
    enrichments = Enrichment.objects.filter(connection=connection)
    if chosen is not None:
        enrichments = enrichments.filter(uuid__in=chosen)
    if chosen is None or choice != MOVE:
        enrichments = enrichments.filter(BLOCKS)
    found = list(enrichments.order_by("name_key").only("uuid", "name", "type_key", "options", "table_name"))
    if not found:
        return 0
    if target is not None:
        _require_fitting(found, target)
    cancel_all(enrichments, actor=actor)
    # by key from here on: what is deactivated blocks no more
    ids = Enrichment.objects.filter(pk__in=[enrichment.pk for enrichment in found])
    if choice == DELETE:
        _delete(ids, found, connection, actor)
    elif choice == DEACTIVATE:
        ids.update(active=False, **_changed_by(actor))
        _record("enrichment.deactivated", found, actor, connection=connection.name)
    else:
        _move(ids, found, connection, target, actor)
    return len(found)


def let_go(connection: Connection, actor: User) -> int:
    """Take the connection from its inactive enrichments; returns how many there were."""
    loose = Enrichment.objects.filter(~BLOCKS, connection=connection)
    found = list(loose.order_by("name_key").only("uuid", "name", "type_key"))
    loose.update(connection=None, **_changed_by(actor))
    _record("enrichment.connection_gone", found, actor, connection=connection.name)
    return len(found)


def cancel_all(enrichments: QuerySet[Enrichment], *, actor: User, leave_finishing: bool = False) -> int:
    """Cancel what is under way of these enrichments; how many runs. Raises FinishingRun, unless told to leave those."""
    runs = EnrichmentRun.objects.filter(enrichment__in=enrichments.order_by().values("pk"))
    runs = runs.select_related("enrichment")
    action = "enrichment.run_canceled"
    return len(cancel_runs(runs, actor=actor, action=action, leave_finishing=leave_finishing))


def unfit(connection: Connection, targets: Sequence[Connection]) -> dict[int, dict[UUID, str]]:
    """By id of each target the enrichments on ``connection`` that cannot go on over it, and why not."""
    found = list(Enrichment.objects.filter(connection=connection).only("uuid", "type_key", "options"))
    return {target.pk: _unfit(found, target) for target in targets}


def _unfit(enrichments: Iterable[Enrichment], target: Connection) -> dict[UUID, str]:
    reasons = ((enrichment, _why_unfit(enrichment, target)) for enrichment in enrichments)
    return {enrichment.uuid: reason for enrichment, reason in reasons if reason}


def _why_unfit(enrichment: Enrichment, target: Connection) -> str:
    if enrichment.type_key != target.type_key:
        return _("It was built for another type of connection.")
    connector = connectors.get(target.type_key)
    if connector is None:
        return _("This type of enrichment is no longer available.")
    try:
        connector.clean_options(enrichment.options)
    except InvalidSettings:
        return _("Its settings do not fit any more. Edit it first.")
    return ""


def _require_fitting(enrichments: list[Enrichment], target: Connection) -> None:
    wrong = _unfit(enrichments, target)
    for enrichment in enrichments:
        if reason := wrong.get(enrichment.uuid):
            raise OperationError(
                _("%(enrichment)s cannot move to %(connection)s: %(reason)s")
                % {"enrichment": enrichment.name, "connection": target.name, "reason": reason}
            )


def _move(
    enrichments: QuerySet[Enrichment],
    found: list[Enrichment],
    connection: Connection,
    target: Connection | None,
    actor: User,
) -> None:
    if target is None:
        raise OperationError(_("Choose where to move them."))
    enrichments.update(connection=target, **_changed_by(actor))
    _record("enrichment.moved", found, actor, before=connection.name, connection=target.name)


def _delete(
    enrichments: QuerySet[Enrichment], found: list[Enrichment], connection: Connection, actor: User
) -> None:
    """From the leaves to the enrichments; their output tables go once that is certain."""
    _record("enrichment.deleted", found, actor, connection=connection.name)
    ids = enrichments.order_by().values("pk")
    gone: list[QuerySet[Any]] = [
        EnrichmentAttempt.objects.filter(run__enrichment__in=ids),
        EnrichmentRun.objects.filter(enrichment__in=ids),
        enrichments,
    ]
    for rows in gone:
        rows.order_by()._raw_delete(DEFAULT_DB_ALIAS)
    for enrichment in found:
        transaction.on_commit(functools.partial(tables.delete_table, enrichment.table_name))


def _changed_by(actor: User) -> dict[str, Any]:
    """One more version each, so that forms that are open on them are refused."""
    return {"updated_by": actor, "updated_at": timezone.now(), "version": F("version") + 1}


def _record(action: str, enrichments: list[Enrichment], actor: User, **details: str) -> None:
    entries = [(enrichment, {"type": enrichment.type_key, **details}) for enrichment in enrichments]
    audit.record_each(action, entries, actor=actor)
