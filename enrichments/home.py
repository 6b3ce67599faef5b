"""Enrichments on Home: those that failed or wait for a connection, how many there are, and their last runs."""

from django.db.models import Count, OuterRef, Subquery, Window
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal.models import User
from connections_portal.notices import NAMED, Item, LastRun, Notice, Number
from enrichments import listing
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.permissions import may_edit, may_view
from enrichments.status import of_run
from enrichments.waiting import phrase


def failed(user: User) -> Notice | None:
    """The active enrichments whose last run failed; None for whoever only looks, and where there is none."""
    if not may_edit(user):
        return None
    # as the list has them, so that it shows what is counted here
    broken = listing.with_status(Enrichment.objects.filter(active=True), "failed")
    runs = EnrichmentRun.objects.filter(enrichment=OuterRef("pk")).order_by("-queued_at", "-pk")
    newest = broken.annotate(last_run=Subquery(runs.values("pk")[:1]), number=Window(Count("pk")))
    found = list(newest.order_by("-last_run").values_list("last_run", "number")[:NAMED])
    if not found:
        return None
    total = found[0][1]
    named = EnrichmentRun.objects.filter(pk__in=[run for run, _number in found]).select_related("enrichment")
    now = timezone.now()
    words = ngettext(
        "The last run of %(n)d enrichment failed", "The last runs of %(n)d enrichments failed", total
    )
    return Notice(
        kind="bad",
        title=words % {"n": total},
        url=f"{reverse('enrichments:mine')}?status=failed&state=active",
        action=_("Show"),
        items=[
            Item(text=run.enrichment.name, url=_page(run), sub=of_run(run, now).sub, at=run.finished_at)
            for run in named.order_by("-pk")
        ],
        total=total,
    )


def waiting(user: User) -> Notice | None:
    """The enrichments without a connection of a type that needs one; None for whoever only looks."""
    if not may_edit(user):
        return None
    first = list(listing.waiting().annotate(number=Window(Count("pk")))[:NAMED])
    if not first:
        return None
    total = first[0].number
    return Notice(
        kind="warn",
        title=phrase(total),
        url=reverse("enrichments:waiting"),
        action=_("Add connection"),
        items=[
            Item(text=enrichment.name, url=reverse("enrichments:detail", args=[enrichment.uuid]))
            for enrichment in first
        ],
        total=total,
    )


def counts(user: User) -> list[Number]:
    """How many enrichments there are, for everybody who may see them; nothing before the first."""
    number = Enrichment.objects.count() if may_view(user) else 0
    if not number:
        return []
    words = ngettext("Enrichment", "Enrichments", number)
    return [Number(value=number, text=words, url=reverse("enrichments:mine"))]


def last_runs(user: User, number: int) -> list[LastRun]:
    """The last runs of all enrichments, newest first, for everybody who may see them."""
    if not may_view(user):
        return []
    now = timezone.now()
    return [
        LastRun(
            name=run.enrichment.name,
            url=_page(run),
            what=_("Enrichment"),
            status=of_run(run, now),
            at=run.queued_at,
            rows=run.sent,
        )
        for run in EnrichmentRun.objects.select_related("enrichment").order_by("-pk")[:number]
    ]


def _page(run: EnrichmentRun) -> str:
    return reverse("enrichments:run", args=[run.enrichment.uuid, run.uuid])
