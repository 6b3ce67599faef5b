"""Exports on Home: those that failed or wait for a connection, how many there are, and their last runs."""

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Window
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal import roles
from connections_portal.models import RunState, User
from connections_portal.notices import NAMED, Item, LastRun, Notice, Number
from exports.listing import with_status
from exports.models import Export, ExportRun
from exports.permissions import VIEWING_ROLES, may_create, with_edit_right
from exports.status import of_run
from exports.waiting import phrase, waiting_types


def failed(user: User) -> Notice | None:
    """The exports that the person may do something about and whose last run failed; None for whoever only looks."""
    if not may_create(user):
        return None
    own = with_edit_right(_failed(), user).filter(Q(can_edit=True))
    # one look at the last run of every export: how many have failed comes along with the newest of them
    newest = own.annotate(last_run=Subquery(_runs().values("pk")[:1]), number=Window(Count("pk")))
    found = list(newest.order_by("-last_run").values_list("last_run", "number")[:NAMED])
    if not found:
        return None
    total = found[0][1]
    runs = ExportRun.objects.filter(pk__in=[run for run, _number in found]).select_related("export")
    now = timezone.now()
    words = ngettext("The last run of %(n)d export failed", "The last runs of %(n)d exports failed", total)
    return Notice(
        kind="bad",
        title=words % {"n": total},
        url=f"{reverse('exports:list')}?status=failed{'&permissions=edit' if roles.is_contributor(user) else ''}",
        action=_("Show"),
        items=[
            Item(text=run.export.name, url=_page(run), sub=of_run(run, now).sub, at=run.finished_at)
            for run in runs.order_by("-pk")
        ],
        total=total,
    )


def waiting(user: User) -> Notice | None:
    """The exports without a connection that the person may give one."""
    if not may_create(user):
        return None
    types = waiting_types(user)
    if not (total := sum(types.values())):
        return None
    # by type alone: to ask of every export whether the person may change it takes several times as long
    found = Export.objects.filter(connection__isnull=True, type_key__in=types)
    first = found.order_by("name_key", "pk")[:NAMED]
    return Notice(
        kind="warn",
        title=phrase(total),
        url=reverse("exports:waiting"),
        action=_("Add connection"),
        items=[Item(text=export.name, url=reverse("exports:detail", args=[export.uuid])) for export in first],
        total=total,
    )


def counts(user: User) -> list[Number]:
    """How many exports there are and run now, for everybody who may see exports.

    How many failed last is told to whoever only looks: for everybody else ``failed`` says which.
    """
    if roles.role_of(user) not in VIEWING_ROLES:
        return []
    url = reverse("exports:list")
    exports = Export.objects.count()
    running = with_status(Export.objects.order_by(), "processing").count()
    found = [
        Number(value=exports, text=ngettext("Export", "Exports", exports), url=url),
        Number(value=running, text=_("Running now"), url=f"{url}?status=processing"),
    ]
    if not may_create(user):
        broken = _failed().count()
        found.append(Number(value=broken, text=_("Last run failed"), url=f"{url}?status=failed"))
    return found


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
        for run in ExportRun.objects.select_related("export").order_by("-pk")[:number]
    ]


def has_any() -> bool:
    """Whether there is an export."""
    return Export.objects.exists()


def has_delivered() -> bool:
    """Whether any run of an export has come to a good end."""
    return ExportRun.objects.filter(state__in=[RunState.SUCCESSFUL, RunState.WARNINGS]).exists()


def _failed() -> QuerySet[Export]:
    """What the list calls *Failed*, so that it shows what is counted here."""
    return with_status(Export.objects.order_by(), "failed")


def _runs() -> QuerySet[ExportRun]:
    return ExportRun.objects.filter(export=OuterRef("pk")).order_by("-queued_at", "-pk")


def _page(run: ExportRun) -> str:
    return reverse("exports:run", args=[run.export.uuid, run.uuid])
