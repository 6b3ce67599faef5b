"""Enrichments as dependents of a connection: what *Used by* counts and what *Remove* stops at."""

from collections.abc import Iterable

from django.db.models import Count, Expression, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.dependents import Dependent, Kind
from connections.models import Connection
from connections_portal.models import LEASED_STATES, User
from enrichments import settle, use
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.settle import BLOCKS, cancel_all, let_go
from enrichments.operations.settle import settle as settle_removal
from enrichments.operations.settle import unfit as unfit_for


def _phrase(number: int) -> str:
    return ngettext("%(number)d enrichment", "%(number)d enrichments", number) % {"number": number}


def _count(connection_ids: Iterable[int], which: Q | None = None) -> dict[int, int]:
    rows = (
        Enrichment.objects.filter(which or Q(), connection__in=list(connection_ids))
        .order_by()
        .values("connection_id")
        .annotate(number=Count("pk"))
    )
    return {row["connection_id"]: row["number"] for row in rows}


def _total() -> Expression:
    enrichments = Enrichment.objects.filter(connection=OuterRef("pk")).order_by().values("connection")
    return Coalesce(Subquery(enrichments.annotate(number=Count("pk")).values("number")), 0)


def _find(connection: Connection, user: User) -> list[Dependent]:
    """Every enrichment on the connection; whoever may remove a connection may see them all."""
    return [settle.dependent(enrichment) for enrichment in Enrichment.objects.filter(connection=connection)]


def _interrupt(connection: Connection, actor: User, leave_finishing: bool) -> int:
    enrichments = Enrichment.objects.filter(connection=connection)
    return cancel_all(enrichments, actor=actor, leave_finishing=leave_finishing)


def _running(connection: Connection) -> int:
    leased = EnrichmentRun.objects.filter(
        enrichment__connection=connection, state__in=LEASED_STATES, lease_until__gte=Now()
    )
    return leased.count()


# They have no schedule of their own: while a connection is paused the system refresh passes them over. And nobody loses
# the right to them with a grant: connections for enrichments are open to administrators and contributors.
KIND = Kind(
    key="enrichments",
    direction="enrichment",
    phrase=_phrase,
    count=_count,
    total=_total,
    find=_find,
    list_url=lambda connection: f"{reverse('enrichments:mine')}?connection={connection.uuid}",
    add_label=lambda: _("Add enrichment"),
    add_url=lambda connection: f"{reverse('enrichments:create')}?connection={connection.uuid}",
    interrupt=_interrupt,
    hold=lambda connection: 0,
    go_on=lambda connection, now: 0,
    running=_running,
    withdrawn=lambda connection, losing: None,
    settle_withdrawal=lambda connection, losing, keep, actor: [],
    icon="sparkle",
    blocks=lambda connection_ids: _count(connection_ids, BLOCKS),
    blocking=settle.blocking,
    loose=settle.loose,
    lock=settle.lock,
    marks=settle.marks,
    choices=settle.choices,
    unfit=unfit_for,
    settle=settle_removal,
    let_go=let_go,
    use=use.use,
    under_way=use.under_way,
)
