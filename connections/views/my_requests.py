"""*Request access* for contributors: asking, what became of it, taking it back. They learn of types, never of more."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from connections.access_requests import STATUS_KINDS, decision, of_person
from connections.models import AccessRequest
from connections.operations.requests import AlreadyAnswered, request_access, withdraw_request
from connections.request_forms import AskForm
from connections.types import type_name
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import (
    PortalRequest,
    back_to_list,
    go_to,
    is_fragment,
    page_or_fragment,
    paginate,
    role_required,
    trigger,
)


@require_safe
@role_required(Role.CONTRIBUTOR)
def my_requests(request: PortalRequest) -> HttpResponse:
    """What the person asked for, newest first, with the answers."""
    page = paginate(request, of_person(request.user))
    context = {"page_obj": page, "rows": [row(asked) for asked in page]}
    if is_fragment(request):
        return render(request, "requests/_table.html", context)
    return render(request, "requests/list.html", context)


def row(asked: AccessRequest) -> dict[str, Any]:
    """A request as lists show it."""
    return {
        "request": asked,
        "type": type_name(asked.type_key),
        "open": asked.state == AccessRequest.State.OPEN,
        "kind": STATUS_KINDS[AccessRequest.State(asked.state)],
        "decision": decision(asked),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.CONTRIBUTOR)
def ask(request: PortalRequest) -> HttpResponse:
    """The form; ``?type=`` chooses one. ``stay`` (from a form that must not be lost) leaves the page as it is."""
    if request.method != "POST":
        return _ask_page(request, AskForm(type_key=request.GET.get("type", "")))
    form = AskForm(request.POST)
    if not form.is_valid():
        return _ask_page(request, form, status=422)
    wanted = form.cleaned_data
    try:
        request_access(type_key=wanted["type"], reason=wanted["reason"], actor=request.user)
    except OperationError as refused:
        if not _is_asked_again(request, wanted):
            for name, message in (refused.fields or {"": refused.message}).items():
                form.add_error(name or None, message)
            return _ask_page(request, form, status=refused.status)
    messages.success(request, _("Your request is with the administrators."))
    if is_fragment(request) and request.POST.get("stay"):
        return trigger(HttpResponse(status=204), closeDialogs=True)
    return go_to(request, reverse("requests:list"))


def _is_asked_again(request: PortalRequest, wanted: dict[str, str]) -> bool:
    """Whether the very same was asked for already: the button was pressed twice."""
    waiting = of_person(request.user).filter(state=AccessRequest.State.OPEN)
    return waiting.filter(type_key=wanted["type"], reason=wanted["reason"]).exists()


def _ask_page(request: PortalRequest, form: AskForm, *, status: int = 200) -> HttpResponse:
    source = request.POST if request.method == "POST" else request.GET
    context = {
        "title": _("Request access"),
        "form": form,
        "stay": bool(source.get("stay")),
        "action": reverse("requests:ask"),
        "cancel_url": reverse("requests:list"),
    }
    return page_or_fragment(request, "requests/ask.html", "requests/_ask.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.CONTRIBUTOR)
def withdraw(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then take the request back. Somebody else's request is as unknown as one that does not exist."""
    asked = get_object_or_404(of_person(request.user), uuid=uuid)
    list_url = reverse("requests:list")
    try:
        if request.method == "POST":
            withdraw_request(request=asked, actor=request.user)
        elif asked.state != AccessRequest.State.OPEN:
            raise AlreadyAnswered(asked)
    except AlreadyAnswered as refused:
        if request.method == "POST" and refused.request.state == AccessRequest.State.WITHDRAWN:
            return back_to_list(request, list_url)  # pressed twice
        context = _question(asked, list_url) | {"refused": True, "sentences": [refused.message]}
        status = refused.status if request.method == "POST" else 200
        return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)
    if request.method == "POST":
        messages.success(request, _("Your request is withdrawn."))
        return back_to_list(request, list_url)
    return page_or_fragment(request, "confirm.html", "_confirm.html", _question(asked, list_url))


def _question(asked: AccessRequest, list_url: str) -> dict[str, Any]:
    return {
        "title": _("Withdraw request"),
        "subject": type_name(asked.type_key),
        "sentences": [_("Administrators no longer see it. You can ask again at any time.")],
        "action": reverse("requests:withdraw", args=[asked.uuid]),
        "button": _("Withdraw"),
        "cancel_url": list_url,
    }
