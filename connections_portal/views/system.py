"""Settings > System: when the system refresh runs, and what the last ones did."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connections_portal import refresh as system_refresh
from connections_portal import roles, web
from connections_portal.errors import OperationError, Stale
from connections_portal.local_times import WEEKDAYS, zones
from connections_portal.models import (
    ACTIVE_STATES,
    Refresh,
    RefreshKind,
    RefreshSchedule,
    RefreshStage,
    Run,
    RunState,
    Trigger,
)
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, role_required
from enrichments.models import EnrichmentRun
from exports.models import ExportRun

SEES_STATUS = (Role.ADMINISTRATOR, Role.CONTRIBUTOR, Role.VIEWER)
SIZE = 10

_KINDS = {
    RunState.SUCCESSFUL: "ok",
    RunState.WARNINGS: "warn",
    RunState.FAILED: "bad",
    RunState.CANCELED: "off",
}


class RefreshForm(forms.Form):
    """When the system refresh runs. The times are four inputs of which the first is needed unless it is off."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Recurrence"),
        choices=RefreshKind.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose how often it runs."),
            "invalid_choice": gettext_lazy("Choose how often it runs."),
        },
    )
    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Days of the week"),
        choices=WEEKDAYS,
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": gettext_lazy("Choose days from Monday to Sunday.")},
    )
    time_1 = forms.TimeField(label=gettext_lazy("Time"), required=False)
    time_2 = forms.TimeField(label=gettext_lazy("Second time"), required=False)
    time_3 = forms.TimeField(label=gettext_lazy("Third time"), required=False)
    time_4 = forms.TimeField(label=gettext_lazy("Fourth time"), required=False)
    zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        error_messages={
            "required": gettext_lazy("Choose a time zone."),
            "invalid_choice": gettext_lazy("Choose a time zone from the list."),
        },
    )
    version = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: QueryDict | None, *, stored: RefreshSchedule, reader_zone: str) -> None:
        times = dict(zip((f"time_{n}" for n in range(1, 5)), stored.times, strict=False))
        own = reader_zone if reader_zone in zones() else "UTC"
        on = stored.kind != RefreshKind.OFF
        initial = {
            "kind": stored.kind,
            "weekdays": [str(day) for day in stored.weekdays],
            "zone": stored.zone if on and stored.zone in zones() else own,
            "version": stored.version,
            "time_1": "06:00",
            **times,
        }
        super().__init__(data, initial=initial)
        field = self.fields["zone"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(zone, zone) for zone in dict.fromkeys([own, *zones()])]
        self.fields["weekdays"].inline = True  # type: ignore[attr-defined]
        self.fields["weekdays"].shown_when = f"kind={RefreshKind.WEEKLY}"  # type: ignore[attr-defined]
        self.fields["weekdays"].marked_required = True  # type: ignore[attr-defined]
        self.fields["time_1"].marked_required = True  # type: ignore[attr-defined]
        for name in ("time_1", "time_2", "time_3", "time_4", "zone"):
            shown_when = f"kind={RefreshKind.DAILY}|{RefreshKind.WEEKLY}"
            self.fields[name].shown_when = shown_when  # type: ignore[attr-defined]
        for field in self.fields.values():
            if isinstance(field, forms.TimeField):
                field.input_formats = ["%H:%M", "%H:%M:%S"]
                field.widget = forms.TimeInput(format="%H:%M", attrs={"type": "time"})
                field.error_messages["invalid"] = _("Type a time between 00:00 and 23:59, for example 06:00.")

    def clean(self) -> dict[str, Any]:
        """While it is off nothing else is looked at."""
        if self.cleaned_data.get("kind") == RefreshKind.OFF:
            for name in set(self.errors) - {"kind"}:
                del self.errors[name]
            self.cleaned_data.setdefault("zone", "UTC")
        return self.cleaned_data

    def shows(self, version: int) -> None:
        """Let the next save replace this version, which the page now shows."""
        assert isinstance(self.data, QueryDict)
        data = self.data.copy()
        data["version"] = str(version)
        self.data = data

    def times(self) -> list[str]:
        """The times that were typed, as ``HH:MM``."""
        typed = (self.cleaned_data.get(f"time_{n}") for n in range(1, 5))
        return [f"{time:%H:%M}" for time in typed if time]


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def schedule(request: PortalRequest) -> HttpResponse:
    """The schedule of the system refresh."""
    stored = system_refresh.stored()
    data = request.POST if request.method == "POST" else None
    form = RefreshForm(data, stored=stored, reader_zone=request.user.time_zone)
    status = 200
    stored_now: list[tuple[str, str]] = []
    if data is not None:
        status = 422
        if form.is_valid():
            try:
                _set(form, request)
            except Stale as refusal:
                stored = system_refresh.stored()
                if _is_stored(stored, form):
                    return _saved(request)  # pressed twice
                status = refusal.status
                form.add_error(None, refusal.message)
                form.shows(stored.version)
                stored_now = _facts(stored)
            except OperationError as refusal:
                status = refusal.status
                for name, message in refusal.fields.items():
                    form.add_error("time_1" if name == "times" else name, message)
                if not refusal.fields:
                    form.add_error(None, refusal.message)
            else:
                return _saved(request)
    context = {"form": form, "stored": stored, "stored_now": stored_now, "tab": "schedule"}
    return web.page_or_fragment(
        request, "system/schedule.html", "system/_schedule_form.html", context, status=status
    )


def _saved(request: PortalRequest) -> HttpResponse:
    messages.success(request, _("The schedule of the system refresh is saved."))
    return web.go_to(request, reverse("system:schedule"))


def _is_stored(stored: RefreshSchedule, form: RefreshForm) -> bool:
    """Whether what the form says is what is stored by now."""
    kind = form.cleaned_data["kind"]
    if kind != stored.kind or kind == RefreshKind.OFF:
        return bool(kind == stored.kind)
    days = sorted(form.cleaned_data["weekdays"]) if kind == RefreshKind.WEEKLY else []
    said = days, sorted(set(form.times())), form.cleaned_data["zone"]
    return said == (stored.weekdays, stored.times, stored.zone)


def _facts(stored: RefreshSchedule) -> list[tuple[str, str]]:
    """The stored schedule, for a page that was refused as stale."""
    facts = [(_("Recurrence"), str(stored.get_kind_display()))]
    if stored.kind == RefreshKind.WEEKLY:
        days = dict(WEEKDAYS)
        facts.append((_("Days of the week"), ", ".join(str(days[day]) for day in stored.weekdays)))
    if stored.kind != RefreshKind.OFF:
        facts += [(_("Times"), ", ".join(stored.times)), (_("Time zone"), stored.zone)]
    return facts


def _set(form: RefreshForm, request: PortalRequest) -> None:
    cleaned = form.cleaned_data
    system_refresh.set_schedule(
        kind=RefreshKind(cleaned["kind"]),
        weekdays=cleaned.get("weekdays") or [],
        times=form.times(),
        zone=cleaned["zone"],
        version=web.version_in(cleaned["version"]),
        actor=request.user,
    )


@require_safe
@role_required(*SEES_STATUS)
def status(request: PortalRequest) -> HttpResponse:
    """The last system refreshes and how their items ended."""
    page = web.paginate(request, Refresh.objects.all(), SIZE)
    listed = list(page.object_list)
    groups = {kind: _by_refresh(model, listed) for kind, model in _MODELS}
    lines = [
        {
            "refresh": refresh,
            "status": _status(refresh, [run for kind in groups for run in groups[kind].get(refresh.pk, [])]),
            "started_by": _started_by(refresh),
            **{kind: _summary(runs.get(refresh.pk, [])) for kind, runs in groups.items()},
        }
        for refresh in listed
    ]
    context = {
        "page_obj": page,
        "lines": lines,
        "under_way": any(refresh.finished_at is None for refresh in listed),
        "stored": system_refresh.stored(),
        "may_set": roles.is_administrator(request.user),
        "tab": "status",
    }
    return web.page_or_fragment(request, "system/status.html", "system/_refreshes.html", context)


_MODELS: tuple[tuple[str, type[ExportRun] | type[EnrichmentRun]], ...] = (
    ("enrichments", EnrichmentRun),
    ("exports", ExportRun),
)


def _by_refresh(model: type[Any], refreshes: Sequence[Refresh]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for run in model.objects.filter(refresh__in=refreshes).only("pk", "state", "refresh_id", "attempt"):
        found.setdefault(run.refresh_id, []).append(run)
    return found


def _summary(runs: Iterable[Run]) -> str:
    """*3 successful, 1 failed*."""
    counted = Counter("active" if run.is_active else run.state for run in runs)
    words = (
        ("active", _("%(n)d under way")),
        (RunState.SUCCESSFUL, _("%(n)d successful")),
        (RunState.WARNINGS, _("%(n)d with warnings")),
        (RunState.FAILED, _("%(n)d failed")),
        (RunState.CANCELED, _("%(n)d canceled")),
    )
    return ", ".join(text % {"n": counted[state]} for state, text in words if counted[state])


def _status(refresh: Refresh, runs: Sequence[Run]) -> dict[str, str]:
    if refresh.stage == RefreshStage.ENRICHMENTS:
        return {"kind": "run", "text": _("Refreshing"), "sub": _("Enrichments first")}
    if refresh.stage == RefreshStage.EXPORTS:
        return {"kind": "run", "text": _("Refreshing"), "sub": _("Exports")}
    failed = sum(run.state == RunState.FAILED for run in runs)
    if failed:
        sub = ngettext("%(n)d item failed", "%(n)d items failed", failed) % {"n": failed}
        return {"kind": "bad", "text": _("Completed with failures"), "sub": sub}
    if active := sum(run.is_active for run in runs):
        words = ngettext("%(n)d item is still under way", "%(n)d items are still under way", active)
        return {"kind": "warn", "text": _("Completed with warnings"), "sub": words % {"n": active}}
    if any(run.state in (RunState.WARNINGS, RunState.CANCELED) for run in runs):
        return {"kind": "warn", "text": _("Completed with warnings"), "sub": ""}
    return {"kind": "ok", "text": _("Successful"), "sub": "" if runs else _("There was nothing to run")}


def _started_by(refresh: Refresh) -> str:
    if refresh.trigger == Trigger.PERSON:
        return refresh.started_by_label
    return str(refresh.get_trigger_display())


@require_safe
@role_required(*SEES_STATUS)
def one_refresh(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """One system refresh with every item that it ran."""
    refresh = get_object_or_404(Refresh, uuid=uuid)
    exports = list(refresh.exportruns.select_related("export").order_by("queued_at", "pk"))
    enrichments = list(refresh.enrichmentruns.select_related("enrichment").order_by("queued_at", "pk"))
    groups = [
        {
            "title": _("Enrichments"),
            "empty": _("No active enrichment was there to run."),
            "items": [_item(run, run.enrichment, "enrichments:run") for run in enrichments],
        },
        {
            "title": _("Exports"),
            "empty": _not_yet(refresh),
            "items": [_item(run, run.export, "exports:run") for run in exports],
        },
    ]
    context = {
        "refresh": refresh,
        "groups": groups,
        "status": _status(refresh, [*exports, *enrichments]),
        "started_by": _started_by(refresh),
        "under_way": refresh.finished_at is None,
        "now": timezone.now(),
    }
    return web.page_or_fragment(request, "system/refresh.html", "system/_refresh.html", context)


def _not_yet(refresh: Refresh) -> str:
    if refresh.stage == RefreshStage.ENRICHMENTS:
        return _("They begin when the enrichments have ended.")
    return _("No export that follows the system refresh was there to run.")


def _item(run: ExportRun | EnrichmentRun, owner: Any, address: str) -> dict[str, Any]:
    active = run.state in ACTIVE_STATES
    return {
        "name": owner.name,
        "url": reverse(address, args=[owner.uuid, run.uuid]),
        "kind": _KINDS.get(RunState(run.state), "run"),
        "text": _("Failed (retrying)") if run.is_retrying else run.get_state_display(),
        "run": run,
        "duration": (run.finished_at or timezone.now()) - run.started_at if run.started_at else None,
        "active": active,
    }


@require_POST
@role_required(Role.ADMINISTRATOR)
def refresh_now(request: PortalRequest) -> HttpResponse:
    """Begin a system refresh by hand."""
    try:
        started = system_refresh.start(actor=request.user, trigger=Trigger.PERSON)
    except OperationError as refusal:
        messages.error(request, refusal.message)
        return web.go_to(request, reverse("system:status"))
    return web.go_to(request, reverse("system:refresh", args=[started.uuid]))
