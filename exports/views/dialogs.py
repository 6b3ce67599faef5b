"""What one export is changed by without its form: *Rename*, *Schedule*, *Create duplicate*."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from connections_portal import web
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.names import clean_name
from connections_portal.web import PortalRequest, role_required
from exports.form_schedule import ScheduleForm, stored_schedule
from exports.models import Export
from exports.operations.duplicate import duplicate_export
from exports.operations.edit import Timing
from exports.operations.rename import rename_export
from exports.operations.saved import has_schedule
from exports.operations.schedule import set_schedule
from exports.permissions import EDITING_ROLES
from exports.views.loading import load, load_to_change


class RenameForm(forms.Form):
    """A new name for an export."""

    name = forms.CharField(
        label=gettext_lazy("Display name"),
        help_text=gettext_lazy("A folder that it has at the destination keeps its name."),
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, data: QueryDict | None = None, *, name: str) -> None:
        super().__init__(data, initial={"name": name}, auto_id="rename_%s")
        self.fields["name"].marked_required = True  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        """A name as rule S23 wants it."""
        return clean_name(self.cleaned_data["name"])


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a dialog changes an export by. ``is_stored`` tells whether an export holds already what the form says."""

    title: str
    button: str
    fields: str
    action: str
    operation: Callable[[], Export]
    is_stored: Callable[[Export], bool]
    success: Callable[[Export], str]


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def rename(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """A dialog with the name."""
    export, _rights = load_to_change(request, uuid)
    form = RenameForm(request.POST if request.method == "POST" else None, name=export.name)
    change = Change(
        title=_("Rename export"),
        button=_("Rename"),
        fields="exports/_rename_fields.html",
        action="exports:rename",
        operation=lambda: rename_export(
            export=export, version=_version(request), name=form.cleaned_data["name"], actor=request.user
        ),
        is_stored=lambda now: bool(now.name == form.cleaned_data["name"]),
        success=lambda renamed: _("%(name)s is the new name.") % {"name": renamed.name},
    )
    return _answer(request, export, form, change)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def schedule(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """A dialog with the schedule alone."""
    export, _rights = load_to_change(request, uuid)
    form = ScheduleForm(
        request.POST if request.method == "POST" else None,
        reader_zone=request.user.time_zone,
        initial=stored_schedule(export.schedule),
    )
    change = Change(
        title=_("Schedule export"),
        button=_("Save"),
        fields="exports/_schedule_fields.html",
        action="exports:schedule",
        operation=lambda: set_schedule(
            export=export, schedule=Timing(**form.timing()), actor=request.user, version=_version(request)
        ),
        is_stored=lambda now: has_schedule(now, Timing(**form.timing())),
        success=lambda saved: _("The schedule of %(name)s is saved.") % {"name": saved.name},
    )
    return _answer(request, export, form, change)


def _answer(request: PortalRequest, export: Export, form: forms.Form, change: Change) -> HttpResponse:
    """The dialog, or what came of it; a page that is stale gets the form again, with what was typed (409)."""
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                changed = change.operation()
            except NotAllowed:
                web.refuse(request, export)
            except OperationError as refusal:
                export, status = _tell(request, form, export, refusal)
                theirs = isinstance(refusal, Stale) and export.updated_by == request.user
                if theirs and change.is_stored(export):
                    return _back(request, export)  # pressed twice
            else:
                messages.success(request, change.success(changed))
                return _back(request, changed)
    return _dialog(request, export, form, change, status)


@require_POST
@role_required(*EDITING_ROLES)
def duplicate(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """*Create duplicate*, and open its form."""
    export, _rights = load_to_change(request, uuid)
    try:
        copy = duplicate_export(export=export, actor=request.user, press=_press(request))
    except NotAllowed:
        web.refuse(request, export)
        raise
    except OperationError as refusal:
        messages.error(request, " ".join([refusal.message, *refusal.fields.values()]))
        return web.go_to(request, reverse("exports:detail", args=[export.uuid]))
    messages.success(request, _("%(name)s is a duplicate with its schedule off.") % {"name": copy.name})
    return web.go_to(request, reverse("exports:edit", args=[copy.uuid]))


def _press(request: PortalRequest) -> UUID | None:
    """The button that was pressed, by what its form sent."""
    try:
        return UUID(request.POST.get("press", ""))
    except ValueError:
        return None


def _version(request: PortalRequest) -> int:
    return web.version_in(request.POST.get("version", ""))


def _tell(
    request: PortalRequest, form: forms.Form, export: Export, refusal: OperationError
) -> tuple[Export, int]:
    """Put the refusal at its field; after a stale page, the export as it is now."""
    for field, message in refusal.fields.items() or [(None, refusal.message)]:
        form.add_error(field if field in form.fields else None, message)
    if isinstance(refusal, Stale) and Export.objects.filter(pk=export.pk).exists():
        export = load(request, export.uuid)[0]
    return export, refusal.status


def _back(request: PortalRequest, export: Export) -> HttpResponse:
    url = reverse("exports:detail", args=[export.uuid])
    return web.back_to_list(request, reverse("exports:list"), elsewhere=url)


def _dialog(
    request: PortalRequest, export: Export, form: forms.Form, change: Change, status: int
) -> HttpResponse:
    stale = status == Stale.status
    posted = request.POST.get("version", "") if request.method == "POST" and not stale else ""
    context: dict[str, Any] = {
        "title": change.title,
        "button": change.button,
        "fields": change.fields,
        "action": reverse(change.action, args=[export.uuid]),
        "export": export,
        "form": form,
        "stale": stale,
        "version": posted[:9] or export.version,
        "cancel_url": reverse("exports:detail", args=[export.uuid]),
    }
    return web.page_or_fragment(
        request, "exports/dialog.html", "exports/_dialog.html", context, status=status
    )
