"""Settings > Connections > Requests: what contributors ask for, and the two answers."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from connections import access_requests
from connections.access_requests import FILTERS, fitting, may_be_granted
from connections.models import AccessRequest, Connection
from connections.operations.requests import AlreadyAnswered, decline_request, grant_access
from connections.request_forms import DeclineForm, GrantForm
from connections.sharing import grantable_people
from connections.types import type_name
from connections.views.discover import tab_counts
from connections.views.lists import target_of
from connections.views.my_requests import row
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import (
    PortalRequest,
    back_to_list,
    is_fragment,
    page_or_fragment,
    paginate,
    role_required,
)


@require_safe
@role_required(Role.ADMINISTRATOR)
def requests(request: PortalRequest) -> HttpResponse:
    """Everybody's requests: the open ones at first, searched, filtered, ordered and paged by the address."""
    want = access_requests.wanted(request.GET)
    page = paginate(request, access_requests.found(want))
    contributors = set(
        grantable_people().filter(pk__in=[asked.person_id for asked in page]).values_list("pk", flat=True)
    )
    context: dict[str, Any] = {
        "tab": "requests",
        "want": want,
        "sort": want.sort,
        "page_obj": page,
        "rows": [row(asked) | {"former": asked.person_id not in contributors} for asked in page],
    }
    if not is_fragment(request):
        context |= {"counts": tab_counts(), "filters": FILTERS}
    return page_or_fragment(request, "connections/requests.html", "connections/_requests_table.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def grant(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Choose the connection to share; one more person can use it then."""
    asked = _asked(uuid)
    offered = list(fitting(asked))
    usable = set(Connection.objects.usable_by(asked.person).values_list("pk", flat=True))
    form = GrantForm(
        request.POST if request.method == "POST" else None,
        choices=[(str(connection.uuid), _label(connection, usable)) for connection in offered],
        chosen=request.GET.get("connection", ""),  # one that was set up for it
    )
    context = {"form": form, "offered": bool(offered), "able": may_be_granted(asked)}
    if request.method != "POST" or not form.is_valid():
        return _page(request, asked, "grant", context, status=422 if form.is_bound else 200)
    chosen = next(c for c in offered if str(c.uuid) == form.cleaned_data["connection"])
    try:
        grant_access(request=asked, connection=chosen, answer=form.cleaned_data["answer"], actor=request.user)
    except AlreadyAnswered as refused:
        if not _is_mine(request, refused.request, AccessRequest.State.GRANTED, chosen.uuid):
            return _stale(request, refused, "grant")
    except OperationError as refused:
        for name, message in (refused.fields or {"": refused.message}).items():
            form.add_error(name or None, message)
        return _page(request, asked, "grant", context, status=refused.status)
    messages.success(
        request,
        _("%(name)s is shared with %(person)s.") % {"name": chosen.name, "person": asked.person},
    )
    return back_to_list(request, reverse("connections:requests"))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def decline(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Say no, with a word."""
    asked = _asked(uuid)
    form = DeclineForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return _page(request, asked, "decline", {"form": form}, status=422 if form.is_bound else 200)
    try:
        decline_request(request=asked, answer=form.cleaned_data["answer"], actor=request.user)
    except AlreadyAnswered as refused:
        if not _is_mine(request, refused.request, AccessRequest.State.DECLINED, None):
            return _stale(request, refused, "decline")
    except OperationError as refused:
        form.add_error(None, refused.message)
        return _page(request, asked, "decline", {"form": form}, status=refused.status)
    messages.success(request, _("The request of %(person)s is declined.") % {"person": asked.person})
    return back_to_list(request, reverse("connections:requests"))


def _asked(uuid: UUID) -> AccessRequest:
    return get_object_or_404(AccessRequest.objects.select_related("person"), uuid=uuid)


def _label(connection: Connection, usable: set[int]) -> str:
    values = {"name": connection.name, "target": target_of(connection)}
    if connection.pk in usable:
        return _("%(name)s, %(target)s (they can use it already)") % values
    return _("%(name)s, %(target)s") % values


def _is_mine(
    request: PortalRequest, now: AccessRequest, state: AccessRequest.State, connection: UUID | None
) -> bool:
    """Whether the very answer stands there already, under the person's name: the button was pressed twice."""
    answered = (now.state, now.answered_by_label, now.connection_uuid)
    return answered == (state, str(request.user)[:150], connection)


def _stale(request: PortalRequest, refused: AlreadyAnswered, what: str) -> HttpResponse:
    return _page(
        request,
        refused.request,
        what,
        {"form": None, "refused": refused.message, "answer": request.POST.get("answer", "")[:500]},
        status=refused.status,
    )


def _page(
    request: PortalRequest, asked: AccessRequest, what: str, context: dict[str, Any], *, status: int
) -> HttpResponse:
    """The dialog *Share a connection* or *Decline*; about a request that is not open it only says so."""
    if asked.state != AccessRequest.State.OPEN and "refused" not in context:
        context = {"form": None, "refused": AlreadyAnswered(asked).message}
    context |= {
        "asked": asked,
        "type_name": type_name(asked.type_key),
        "title": _("Share a connection") if what == "grant" else _("Decline request"),
        "fields": f"connections/_request_{what}.html",
        "button": _("Share") if what == "grant" else _("Decline"),
        "can_answer": what == "decline" or bool(context.get("offered") and context.get("able")),
        "action": reverse(f"connections:{what}", args=[asked.uuid]),
        "set_up_url": f"{reverse('connections:set_up', args=[asked.type_key])}?answers={asked.uuid}",
        "cancel_url": reverse("connections:requests"),
    }
    return page_or_fragment(
        request, "connections/request.html", "connections/_request.html", context, status=status
    )
