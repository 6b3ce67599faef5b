"""*Run all*: every export that the person may run and whose schedule is on."""

from typing import Any

from django.contrib import messages
from django.db.models import Case, CharField, Count, Q, QuerySet, Value, When
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from connections.models import State
from connections_portal import bulk, web
from connections_portal.models import Trigger
from connections_portal.web import PortalRequest, role_required
from exports.models import Export, ScheduleKind
from exports.operations.run import enqueue_run
from exports.permissions import EDITING_ROLES, with_edit_right
from exports.views.bulk import is_running, queued_phrase

MOST = 300


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def run_all(request: PortalRequest) -> HttpResponse:
    """Ask, then queue the runs; both answers say how many are left out, and why."""
    exports = _judged(request)
    numbers = {row["why"]: row["number"] for row in exports.values("why").annotate(number=Count("pk"))}
    ready = exports.filter(why="").select_related("connection").order_by("name_key")
    left_out = left_out_sentence(numbers)
    if request.method == "POST":
        outcome = bulk.each(
            ready[:MOST],
            lambda export: enqueue_run(export=export, actor=request.user, trigger=Trigger.PERSON),
            bulk.Outcome(),
        )
        if not outcome.done and not outcome.left_out:
            nothing = filter(None, [_("No export can be run now."), left_out])
            messages.info(request, " ".join(nothing))
            return web.back_to_list(request, reverse("exports:list"))
        success = " ".join(filter(None, [queued_phrase(len(outcome.done)), left_out, _rest(numbers)]))
        return bulk.finish(
            request, outcome, title=_("Run all"), success=success, list_url=reverse("exports:list")
        )
    context = {
        "title": _("Run all"),
        "sentences": [*_what_runs(ready, numbers), *filter(None, [_rest(numbers), left_out])],
        "action": reverse("exports:run_all"),
        "button": _("Run all"),
        "neutral": True,
        "refused": not numbers.get(""),
        "cancel_url": reverse("exports:list"),
    }
    return web.page_or_fragment(request, "confirm.html", "_confirm.html", context)


def _judged(request: PortalRequest) -> QuerySet[Any]:
    """All exports with ``why``: the first reason that leaves one out, empty for those that run."""
    return with_edit_right(Export.objects.order_by(), request.user).annotate(
        why=Case(
            When(can_edit=False, then=Value("not yours")),
            When(connection__isnull=True, then=Value("no connection")),
            When(schedule__kind=ScheduleKind.MANUAL, then=Value("no schedule")),
            When(connection__state__in=[State.NOT_VERIFIED, State.PAUSED], then=Value("not ready")),
            When(Q(is_running()), then=Value("running")),
            default=Value(""),
            output_field=CharField(),
        )
    )


def _what_runs(ready: QuerySet[Any], numbers: dict[str, int]) -> list[str]:
    total = numbers.get("", 0)
    if not total:
        return [_("No export can be run now.")]
    names = [export.name for export in ready[: bulk.NAMED]]
    queued = ngettext(
        "A run of %(n)d export is queued: %(names)s.", "Runs of %(n)d exports are queued: %(names)s.", total
    )
    if total > bulk.NAMED:
        queued = _("Runs of %(n)d exports are queued: %(names)s and %(more)d more.")
    return [
        queued % {"n": min(total, MOST), "names": ", ".join(names), "more": min(total, MOST) - bulk.NAMED}
    ]


def _rest(numbers: dict[str, int]) -> str:
    if numbers.get("", 0) <= MOST:
        return ""
    rest = numbers[""] - MOST
    return _("At most %(most)d are queued at once: press Run all again for the other %(rest)d.") % {
        "most": MOST,
        "rest": rest,
    }


def left_out_sentence(numbers: dict[str, int]) -> str:
    """*6 are left out: 3 without a schedule, 2 without a connection, 1 that you may not run.* Empty for none."""
    phrases = {
        "no schedule": ngettext(
            "%(n)d without a schedule", "%(n)d without a schedule", numbers.get("no schedule", 0)
        ),
        "no connection": ngettext(
            "%(n)d without a connection", "%(n)d without a connection", numbers.get("no connection", 0)
        ),
        "not ready": ngettext(
            "%(n)d whose connection is paused or not verified",
            "%(n)d whose connections are paused or not verified",
            numbers.get("not ready", 0),
        ),
        "running": ngettext(
            "%(n)d that is running already", "%(n)d that are running already", numbers.get("running", 0)
        ),
        "not yours": ngettext(
            "%(n)d that you may not run", "%(n)d that you may not run", numbers.get("not yours", 0)
        ),
    }
    parts = [phrase % {"n": numbers[why]} for why, phrase in phrases.items() if numbers.get(why)]
    if not parts:
        return ""
    total = sum(numbers.get(why, 0) for why in phrases)
    return f"{bulk.left_out_phrase(total)}: {', '.join(parts)}."
