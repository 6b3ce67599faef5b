"""*Set up* a connection: verify, trust the server, agree, save (design: Set up a connection)."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from connections import connectors, listing
from connections.connectors.base import Connector
from connections.forms import SetUpForm
from connections.models import Connection, State
from connections.operations.create import create_connection, still_missing
from connections.picker import keys_of
from connections.sharing import granted
from connections.views.flow import CHOSEN, RETURN_TO, answer, answers, keep, keep_what_is_right, page
from connections_portal.errors import OperationError
from connections_portal.names import copy_name
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, is_fragment, role_required, trigger


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@role_required(Role.ADMINISTRATOR)
def set_up(request: PortalRequest, type_key: str) -> HttpResponse:
    """The form for a new connection of this type; ``?like=<uuid>`` starts it as another one, without its secrets."""
    connector = connectors.get(type_key)
    if connector is None:
        raise Http404
    return answer(request, connector, _save, initial=_like(request, connector))


def _like(request: PortalRequest, connector: type[Connector]) -> dict[str, Any]:
    """What *Add another like this* starts with: all but secrets and agreement."""
    text = request.GET.get("like", "") if request.method != "POST" else ""
    if not text:
        return {}
    try:
        uuid = UUID(text)
    except ValueError:
        raise Http404 from None
    connections = Connection.objects.editable_by(request.user).filter(type_key=connector.key)
    other = connections.filter(uuid=uuid).first()
    if other is None:
        raise Http404
    same_type = Connection.objects.filter(type_key=connector.key)
    return {
        **other.settings,
        "name": copy_name(other.name, lambda key: same_type.filter(name_key=key).exists()),
        "access": other.access,
        "grantees": keys_of(granted(other)),
    }


def _save(request: PortalRequest, form: SetUpForm) -> HttpResponse:
    """Save; what is missing is said at its place, and everything typed stays."""
    draft = form.draft
    agreed = request.POST.get("agree") == "on"
    missing: dict[str, str] = {}
    status = 422
    if form.settings_are_valid:
        try:
            draft = keep(request, form)
        except OperationError as refused:
            status = refused.status
            missing |= refused.fields or {"verify": refused.message}
    else:
        keep_what_is_right(request, form)
        draft = form.draft
    if form.is_valid() and not missing:
        try:
            connection = create_connection(
                draft=draft,
                name=form.cleaned_data["name"],
                access=form.chosen_access(),
                people=form.people(),
                groups=form.groups(),
                agreed=agreed,
                wording_hash=form.cleaned_data["wording"],
                actor=request.user,
                unverified=request.POST.get("action") == "save_unverified",
            )
        except OperationError as refused:
            missing = refused.fields
        else:
            return _saved(request, form.connector, connection)
    else:
        missing = still_missing(draft if form.is_as_kept else None, agreed=agreed) | missing
    verify_error = missing.pop("verify", "")
    for key, message in missing.items():
        form.add_error(key, message)
    return page(request, form, status=status, verify_error=verify_error)


def _saved(request: PortalRequest, connector: type[Connector], connection: Connection) -> HttpResponse:
    messages.success(request, _("%(name)s is set up.") % {"name": connection.name})
    if connection.state == State.READY and (asked := answers(request, connector)):
        share = reverse("connections:grant", args=[asked.uuid])
        return go_to(request, f"{share}?connection={connection.uuid}")
    if request.GET.get("then") != "choose":
        return go_to(request, f"{reverse('connections:detail', args=[connection.uuid])}?next=1")
    request.session[CHOSEN] = str(connection.uuid)
    listed = reverse(f"connections:{listing.tab_of(connector)}")
    if is_fragment(request):
        return trigger(HttpResponse(status=204), closeDialogs=None, connectionsChanged=None)
    return go_to(request, request.session.pop(RETURN_TO, listed))
