"""The export form: one page, one form, for a new export and for changes; read-only where the right is missing."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from connections import connectors
from connections.connectors import CONNECTORS
from connections.models import Connection
from connections.permissions import can_edit as can_edit_connections
from connections.types import type_name
from connections.views.flow import CHOSEN, RETURN_TO
from connections_portal import web
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import Trigger
from connections_portal.web import PortalRequest, role_required
from exports.forms import ExportForm, stored, typed
from exports.models import Export
from exports.operations.edit import Timing, create_export, edit_export
from exports.operations.run import enqueue_run
from exports.operations.saved import saved_already
from exports.permissions import EDITING_ROLES, VIEWING_ROLES
from exports.sources import load as load_sources
from exports.views.connection import connections_for
from exports.views.detail import summary
from exports.views.lists import administrators, nothing_shared
from exports.views.loading import last_run, load, why_not
from exports.views.runs import run_url

# What waits in the session while an administrator sets up a connection from inside the form. No secret is in it.
TYPED = "export_form"
ADD_CONNECTION = "add_connection:"


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def create(request: PortalRequest) -> HttpResponse:
    """*Add export*."""
    return _answer(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*VIEWING_ROLES)
def edit(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """*Edit*, or *View* for whoever may not change the export: the same form, and nothing in it can be changed."""
    export, allowed = load(request, uuid)
    if allowed.edit:
        return _answer(request, export)
    connections = [export.connection] if export.connection else []
    if request.method == "POST":
        # the right may have been withdrawn while the form was open: nothing is saved, what was typed stays readable
        web.record_refusal(request, export)
        form = _form(request, export, connections, initial=typed(request.POST))
        return _page(request, form, export, status=403, read_only=True, refused=why_not(export))
    form = _form(request, export, connections, initial=stored(export))
    return _page(request, form, export, read_only=True)


def _answer(request: PortalRequest, export: Export | None) -> HttpResponse:
    connections = _offered(request, export)
    if request.method != "POST":
        return _page(request, _form(request, export, connections, initial=_initial(request, export)), export)
    action = request.POST.get("action", "")
    if action.startswith(ADD_CONNECTION):
        return _leave_to_set_up(request, export, action.removeprefix(ADD_CONNECTION))
    match action:
        case "refresh" | "use_added" | "add_attribute":
            values = typed(request.POST) | {"add_attribute": action == "add_attribute"}
            if action == "use_added":
                values["connection"] = request.session.pop(CHOSEN, values.get("connection", ""))
            return _page(request, _form(request, export, connections, initial=values), export)
        case _save_or_save_run:
            return _save(request, export, connections, run=action == "save_run")


def _offered(request: PortalRequest, export: Export | None) -> list[Connection]:
    """Ready connections the person may use; for an export of its type, its own one in whatever state."""
    if export is None:
        return connections_for(request.user)
    offered = connections_for(request.user, export.type_key)
    if export.connection and export.connection not in offered:
        offered.append(export.connection)
    return offered


def _form(
    request: PortalRequest,
    export: Export | None,
    connections: list[Connection],
    *,
    initial: dict[str, Any] | None = None,
) -> ExportForm:
    """Filled with ``initial``, or bound to what was sent."""
    form = ExportForm(
        request.POST if initial is None else None,
        initial=initial or {},
        connections=connections,
        sources=load_sources(),
        reader_zone=request.user.time_zone,
        export=export,
    )
    form.fields["connection"].widget.attrs |= {
        "hx-post": _url(export),
        "hx-trigger": "change",
        "hx-vals": '{"action": "refresh"}',
        "hx-target": "#export-options",
        "hx-select": "#export-options",
        "hx-select-oob": "#export-what",
        "hx-swap": "outerHTML",
    }
    return form


def _url(export: Export | None) -> str:
    return reverse("exports:edit", args=[export.uuid]) if export else reverse("exports:create")


def _initial(request: PortalRequest, export: Export | None) -> dict[str, Any]:
    """What is stored, or what was typed before a connection was set up, with that connection chosen."""
    kept = request.session.get(TYPED, {})
    if "resume" in request.GET and kept.get("url") == _url(export):
        values: dict[str, Any] = kept["values"]
        chosen = request.session.get(CHOSEN)
        return values | {"connection": chosen} if chosen else values
    if export:
        return stored(export)
    chosen = request.GET.get("connection", "")  # from a connection's page
    return {"connection": chosen} if chosen in {str(c.uuid) for c in connections_for(request.user)} else {}


def _leave_to_set_up(request: PortalRequest, export: Export | None, type_key: str) -> HttpResponse:
    """Keep what was typed and go to *Set up*, which comes back here."""
    if not can_edit_connections(request.user):
        web.refuse(request)
    if type_key not in connectors.keys_for("export"):
        raise Http404
    request.session[TYPED] = {"url": _url(export), "values": typed(request.POST)}
    request.session[RETURN_TO] = f"{_url(export)}?resume=1"
    return web.go_to(request, set_up_url(type_key))


def set_up_url(type_key: str) -> str:
    """*Set up* that comes back with the new connection chosen."""
    return f"{reverse('connections:set_up', args=[type_key])}?then=choose"


def _save(
    request: PortalRequest, export: Export | None, connections: list[Connection], *, run: bool
) -> HttpResponse:
    form = _form(request, export, connections)
    if not form.is_valid():
        return _page(request, form, export, status=422)
    try:
        saved = _write(request, export, connections, form)
    except NotAllowed:
        web.refuse(request, export)
        raise
    except OperationError as refusal:
        if saved_before := _saved_already(request, export, connections, form, refusal):
            return _leave(request, saved_before, new=export is None, run=run, again=True)
        if isinstance(refusal, Stale):
            assert export is not None
            return _stale_page(request, form, export, refusal)
        for name, message in (refusal.fields or {"": refusal.message}).items():
            form.add_error(name if name in form.fields else None, message)
        return _page(request, form, export, status=refusal.status)
    messages.success(request, _("%(name)s is saved.") % {"name": saved.name})
    return _leave(request, saved, new=export is None, run=run)


def _saved_already(
    request: PortalRequest,
    export: Export | None,
    connections: list[Connection],
    form: ExportForm,
    refusal: OperationError,
) -> Export | None:
    """What *Save* stored a moment ago, when it was refused because it was pressed twice."""
    asked_again = isinstance(refusal, Stale) if export else "name" in refusal.fields
    return saved_already(export=export, **_values(request, connections, form)) if asked_again else None


def _leave(
    request: PortalRequest, saved: Export, *, new: bool, run: bool, again: bool = False
) -> HttpResponse:
    """To the page of what was saved, or to its run; saved ``again``, the run that was started then."""
    for key in (TYPED, RETURN_TO, CHOSEN):
        request.session.pop(key, None)
    if run:
        started = last_run(saved) if again else None
        if started and started.queued_at >= saved.updated_at:
            return web.go_to(request, run_url(started, saved))
        return _start(request, saved)
    url = reverse("exports:detail", args=[saved.uuid])
    return web.go_to(request, f"{url}?next=1" if new else url)


def _write(
    request: PortalRequest, export: Export | None, connections: list[Connection], form: ExportForm
) -> Export:
    values = _values(request, connections, form)
    if export is None:
        return create_export(**values)
    return edit_export(export=export, version=web.version_in(request.POST.get("version", "")), **values)


def _values(request: PortalRequest, connections: list[Connection], form: ExportForm) -> dict[str, Any]:
    """What the valid form says, as the operations take it."""
    chosen = next((c for c in connections if str(c.uuid) == form.cleaned_data["connection"]), None)
    return {
        "name": form.cleaned_data["name"],
        "connection": chosen,
        "options": {
            name.removeprefix("option_"): answer
            for name, answer in form.cleaned_data.items()
            if name.startswith("option_")
        },
        "items": form.chosen_items(),
        "schedule": Timing(**form.timing()),
        "actor": request.user,
    }


def _start(request: PortalRequest, export: Export) -> HttpResponse:
    """*Save and run*: it is saved in any case."""
    try:
        run = enqueue_run(export=export, actor=request.user, trigger=Trigger.PERSON)
    except OperationError as refusal:
        messages.error(request, refusal.message)
        return web.go_to(request, reverse("exports:detail", args=[export.uuid]))
    return web.go_to(request, run_url(run, export))


def _stale_page(request: PortalRequest, form: ExportForm, export: Export, refusal: Stale) -> HttpResponse:
    """What was typed beside what is stored now; saving again replaces it knowingly."""
    fresh = Export.objects.select_related("connection", "schedule", "updated_by").filter(pk=export.pk).first()
    form.add_error(None, refusal.message)
    return _page(request, form, fresh or export, status=refusal.status, stale=fresh)


def _page(
    request: PortalRequest,
    form: ExportForm,
    export: Export | None,
    *,
    status: int = 200,
    read_only: bool = False,
    stale: Export | None = None,
    refused: str = "",
) -> HttpResponse:
    administers = can_edit_connections(request.user)
    typed_version = request.POST.get("version") if request.method == "POST" and not stale else None
    types = [c for c in CONNECTORS if c.serves("export") and (export is None or c.key == export.type_key)]
    context = {
        "form": form,
        "export": export,
        "version": typed_version or (export.version if export else ""),
        "read_only": read_only,
        "refused": refused,
        "url": _url(export),
        "cancel_url": reverse("exports:detail", args=[export.uuid]) if export else reverse("exports:list"),
        "type_name": type_name(export.type_key) if export else "",
        "nothing_shared": nothing_shared(request.user) if not form.connections and not read_only else "",
        "administrators": administrators() if not administers and not read_only else [],
        # over the form, which stays as it is
        "ask_url": f"{reverse('requests:ask')}?stay=1&type={export.type_key if export else ''}"
        if not administers and not read_only
        else "",
        "add_types": [{"key": c.key, "name": type_name(c.key), "url": set_up_url(c.key)} for c in types]
        if administers and not read_only
        else [],
        "stale": {"export": stale, **summary(stale)} if stale else None,
    }
    return web.page_or_fragment(request, "exports/form.html", "exports/_form.html", context, status=status)
