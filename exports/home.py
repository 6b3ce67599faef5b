"""Exports on Home: those that failed or wait for a connection, how many there are, and their last runs."""

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal import roles
from connections_portal.models import ACTIVE_STATES, RunState, User
from connections_portal.notices import NAMED, Count, Item, LastRun, Notice
from exports.models import Export, ExportRun
from exports.permissions import VIEWING_ROLES, may_create, with_edit_right
from exports.status import of_run
from exports.waiting import phrase, waiting_for


def failed(user: User) -> Notice | None:
    """The exports that the person may do something about and whose last run failed; None for whoever only looks."""
    if not may_create(user):
        return None
    own = with_edit_right(Export.objects.filter(connection__isnull=False), user).filter(Q(can_edit=True))
    broken = _last_failed(own)
    if not (total := broken.count()):
        return None
    newest = broken.annotate(last_run=Subquery(_runs().values("pk")[:1])).order_by("-last_run")
    ids = list(newest.values_list("last_run", flat=True)[:NAMED])
    runs = ExportRun.objects.filter(pk__in=ids).select_related("export").order_by("-pk")
    now = timezone.now()
    words = ngettext("The last run of %(n)d export failed", "The last runs of %(n)d exports failed", total)
    return Notice(
        kind="bad",
        title=words % {"n": total},
        url=f"{reverse('exports:list')}?status=failed",
        action=_("Show"),
        items=[
            Item(text=run.export.name, url=_page(run), sub=of_run(run, now).sub, at=run.finished_at)
            for run in runs
        ],
        total=total,
    )


def waiting(user: User) -> Notice | None:
    """The exports without a connection that the person may give one."""
    if not may_create(user) or not (total := waiting_for(user).count()):
        return None
    return Notice(
        kind="warn",
        title=phrase(total),
        url=reverse("exports:waiting"),
        action=_("Add connection"),
        items=[
            Item(text=export.name, url=reverse("exports:detail", args=[export.uuid]))
            for export in waiting_for(user)[:NAMED]
        ],
        total=total,
    )


def counts(user: User) -> list[Count]:
    """How many exports there are, run now, and failed last: for everybody who may see exports."""
    if roles.role_of(user) not in VIEWING_ROLES:
        return []
    url = reverse("exports:list")
    exports = Export.objects.count()
    running = ExportRun.objects.filter(state__in=ACTIVE_STATES).count()
    broken = _last_failed(Export.objects.filter(connection__isnull=False)).count()
    return [
        Count(value=exports, text=ngettext("Export", "Exports", exports), url=url),
        Count(value=running, text=_("Running now"), url=f"{url}?status=processing"),
        Count(value=broken, text=_("Last run failed"), url=f"{url}?status=failed"),
    ]


def last_runs(user: User, number: int) -> list[LastRun]:
    """The last runs of all exports, newest first, for everybody who may see exports."""
    if roles.role_of(user) not in VIEWING_ROLES:
        return []
    now = timezone.now()
    return [
        LastRun(
            name=run.export.name,
            url=_page(run),
            what=_("Export"),
            status=of_run(run, now),
            at=run.queued_at,
            rows=run.sent,
        )
        for run in ExportRun.objects.select_related("export")[:number]
    ]


def has_any() -> bool:
    """Whether there is an export."""
    return Export.objects.exists()


def has_delivered() -> bool:
    """Whether any run of an export has come to a good end."""
    return ExportRun.objects.filter(state__in=[RunState.SUCCESSFUL, RunState.WARNINGS]).exists()


def _last_failed(exports: QuerySet[Export]) -> QuerySet[Export]:
    return exports.alias(last_state=Subquery(_runs().values("state")[:1])).filter(last_state=RunState.FAILED)


def _runs() -> QuerySet[ExportRun]:
    return ExportRun.objects.filter(export=OuterRef("pk")).order_by("-queued_at", "-pk")


def _page(run: ExportRun) -> str:
    return reverse("exports:run", args=[run.export.uuid, run.uuid])
