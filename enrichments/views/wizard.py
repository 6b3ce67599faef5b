"""*Add enrichment* and *Edit*: the wizard. Its steps are plain GETs that write nothing; only *Save* is a POST."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from connections.connectors.base import Connector
from connections.models import Connection
from connections.permissions import can_edit as can_edit_connections
from connections.views.flow import CHOSEN, RETURN_TO
from connections_portal import roles, web
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import Trigger
from connections_portal.web import PortalRequest, role_required
from enrichments import data_sets, types
from enrichments.models import Enrichment
from enrichments.operations.edit import create_enrichment, edit_enrichment
from enrichments.operations.run import enqueue_run
from enrichments.operations.saved import saved_already
from enrichments.permissions import EDITING_ROLES
from enrichments.views.discover import tiles
from enrichments.views.loading import connections_for, last_run, load
from enrichments.wizard import CONNECT, REVIEW, Wizard

USE_ADDED = "use_added"


@require_safe
@role_required(*EDITING_ROLES)
def create(request: PortalRequest) -> HttpResponse:
    """*Add enrichment* without a type: the only one, that of the connection in the address, or a choice."""
    found = types.all_types()
    connection = _connection_in_address(request)
    if connection and (connector := types.get(connection.type_key)):
        query = urlencode({"connection": connection.uuid})
        return HttpResponseRedirect(f"{reverse('enrichments:set_up', args=[connector.key])}?{query}")
    if len(found) == 1:
        return HttpResponseRedirect(reverse("enrichments:set_up", args=[found[0].key]))
    return render(request, "enrichments/create.html", {"tiles": tiles(request.user)})


def _connection_in_address(request: PortalRequest) -> Connection | None:
    try:
        uuid = UUID(request.GET.get("connection", ""))
    except ValueError:
        return None
    return Connection.objects.usable_by(request.user, "enrichment").filter(uuid=uuid).first()


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def set_up(request: PortalRequest, type_key: str) -> HttpResponse:
    """The wizard for a new enrichment of one type."""
    connector = types.get(type_key)
    if connector is None:
        raise Http404
    return _answer(request, connector, None)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(*EDITING_ROLES)
def edit(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """The same wizard, filled with what is stored; it opens at the summary."""
    enrichment = load(uuid)
    connector = types.get(enrichment.type_key)
    if connector is None:
        messages.error(request, _("This type of enrichment is no longer available."))
        return web.go_to(request, reverse("enrichments:detail", args=[enrichment.uuid]))
    return _answer(request, connector, enrichment)


def _answer(
    request: PortalRequest, connector: type[Connector], enrichment: Enrichment | None
) -> HttpResponse:
    params = (request.POST if request.method == "POST" else request.GET).dict()
    if USE_ADDED in params and (added := request.session.get(CHOSEN)):
        params["connection"] = str(added)
    wizard = Wizard(
        connector, params, connections=_offered(request, connector, enrichment), enrichment=enrichment
    )
    if request.method != "POST":
        found = wizard.walk()
        return _page(request, wizard, status=200 if found or not wizard.was_checked else 422)
    if "add_connection" in request.GET:
        return _leave_to_set_up(request, wizard)
    return _save(request, wizard, run="run" in request.GET)


def _offered(
    request: PortalRequest, connector: type[Connector], enrichment: Enrichment | None
) -> list[Connection]:
    """Ready connections of the type; for an enrichment its own one, in whatever state, as well."""
    offered = connections_for(request.user, connector.key)
    own = enrichment.connection if enrichment else None
    return [own, *offered] if own and own not in offered else offered


def _url(wizard: Wizard) -> str:
    if wizard.enrichment:
        return reverse("enrichments:edit", args=[wizard.enrichment.uuid])
    return reverse("enrichments:set_up", args=[wizard.connector.key])


def _leave_to_set_up(request: PortalRequest, wizard: Wizard) -> HttpResponse:
    """To *Set up* without script; the address to come back to holds what was answered so far."""
    if not can_edit_connections(request.user):
        web.refuse(request)
    values = wizard.values | {"at": CONNECT, "go": CONNECT, "reached": wizard.reached, USE_ADDED: "1"}
    if "version" in request.POST:
        values["version"] = request.POST["version"][:9]
    request.session[RETURN_TO] = f"{_url(wizard)}?{urlencode(values)}"
    return web.go_to(request, _set_up_url(wizard.connector))


def _set_up_url(connector: type[Connector]) -> str:
    """*Set up* that comes back with the new connection chosen."""
    return f"{reverse('connections:set_up', args=[connector.key])}?then=choose"


# ---- saving


def _save(request: PortalRequest, wizard: Wizard, *, run: bool) -> HttpResponse:
    if not wizard.check():
        return _page(request, wizard, status=422)
    try:
        saved = _write(request, wizard)
    except NotAllowed:
        web.refuse(request, wizard.enrichment)
        raise
    except OperationError as refusal:
        if before := _saved_already(request, wizard, refusal):
            return _leave(request, before, run=run, again=True)
        stale = _stored_now(wizard) if isinstance(refusal, Stale) else None
        wizard.shown = REVIEW
        wizard.point_at(refusal.fields or {"": refusal.message})
        return _page(request, wizard, status=refusal.status, stale=stale)
    messages.success(request, _("%(name)s is saved.") % {"name": saved.name})
    return _leave(request, saved, run=run)


def _write(request: PortalRequest, wizard: Wizard) -> Enrichment:
    values = wizard.chosen() | {"actor": request.user}
    if wizard.enrichment:
        version = web.version_in(request.POST.get("version", ""))
        return edit_enrichment(enrichment=wizard.enrichment, version=version, **values)
    return create_enrichment(
        type_key=wizard.connector.key,
        table_name=wizard.forms[REVIEW].cleaned_data["table_name"],
        **values,
    )


def _saved_already(request: PortalRequest, wizard: Wizard, refusal: OperationError) -> Enrichment | None:
    """What *Save* stored a moment ago, when it was refused because it was pressed twice."""
    asked_again = isinstance(refusal, Stale) if wizard.enrichment else "name" in refusal.fields
    if not asked_again:
        return None
    values = wizard.chosen() | {"actor": request.user}
    return saved_already(enrichment=wizard.enrichment, type_key=wizard.connector.key, **values)


def _stored_now(wizard: Wizard) -> Enrichment | None:
    """What stands there now, with the version to save over; None when it was deleted."""
    assert wizard.enrichment
    rows = Enrichment.objects.select_related("connection", "updated_by")
    return rows.filter(pk=wizard.enrichment.pk).first()


def _leave(request: PortalRequest, saved: Enrichment, *, run: bool, again: bool = False) -> HttpResponse:
    """To the page of what was saved, or to its run; saved ``again``, the run that was started then."""
    for key in (RETURN_TO, CHOSEN):
        request.session.pop(key, None)
    url = reverse("enrichments:detail", args=[saved.uuid])
    if not run:
        return web.go_to(request, url)
    started = last_run(saved) if again else None
    if started is None or started.queued_at < saved.updated_at:
        try:
            started = enqueue_run(enrichment=saved, actor=request.user, trigger=Trigger.PERSON)
        except OperationError as refusal:
            messages.error(request, refusal.message)
            return web.go_to(request, url)
    return web.go_to(request, reverse("enrichments:run", args=[saved.uuid, started.uuid]))


# ---- the page


def _page(
    request: PortalRequest, wizard: Wizard, *, status: int, stale: Enrichment | None = None
) -> HttpResponse:
    enrichment = stale or wizard.enrichment
    administers = can_edit_connections(request.user)
    sent = (request.POST if request.method == "POST" else request.GET).get("version", "")[:9]
    ask_by_name = {
        "hx-get": _url(wizard), "hx-trigger": "change", "hx-include": "closest form", "hx-vals": '{"go": "review"}',
        "hx-target": "#wizard-table", "hx-select": "#wizard-table", "hx-swap": "outerHTML",
    }  # fmt: skip
    form = wizard.forms.get(wizard.shown)
    if form is not None and wizard.enrichment is None and wizard.shown == REVIEW:
        form.fields["name"].widget.attrs |= ask_by_name
    context: dict[str, Any] = {
        "wizard": wizard,
        "form": form,
        "type": types.facts(wizard.connector),
        "enrichment": enrichment,
        "version": "" if enrichment is None else enrichment.version if stale or not sent else sent,
        "summary": wizard.summary() if wizard.shown == REVIEW else [],
        "url": _url(wizard),
        "cancel_url": _cancel_url(wizard),
        "set_up_url": _set_up_url(wizard.connector) if administers else "",
        "administrators": [] if administers else [str(person) for person in roles.administrators()[:10]],
        "full": _full(wizard),
        "list_url": f"{reverse('enrichments:mine')}?{urlencode({'type': wizard.connector.key})}",
        "stale": stored_facts(stale) if stale else None,
    }
    return render(request, "enrichments/wizard.html", context, status=status)


def _cancel_url(wizard: Wizard) -> str:
    if wizard.enrichment:
        return reverse("enrichments:detail", args=[wizard.enrichment.uuid])
    return reverse("enrichments:discover")


def _full(wizard: Wizard) -> str:
    """Why no further enrichment of the type can be made, said before anything is typed."""
    most = wizard.connector.limits.max_enrichments
    if wizard.enrichment or most is None:
        return ""
    if Enrichment.objects.filter(type_key=wizard.connector.key).count() < most:
        return ""
    return types.limit_reached(most)


def stored_facts(enrichment: Enrichment) -> list[tuple[str, str]]:
    """What is stored of an enrichment, as label and answer."""
    connection = enrichment.connection
    return [
        (_("Enrichment name"), enrichment.name),
        (_("Connection"), connection.name if connection else _("No Connection")),
        (_("Customer data set"), data_sets.label_of(enrichment.segment)),
        *types.answers(enrichment.type_key, enrichment.options),
        (_("Output table name"), enrichment.table_name),
    ]
