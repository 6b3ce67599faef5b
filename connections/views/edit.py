"""*Edit* a connection, *Pause* it and *Withdraw agreement* (design: Edit a connection)."""

from typing import Any, Protocol
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from connections import connectors, dependents
from connections.forms import SetUpForm
from connections.models import Connection, State
from connections.operations.edit import Agreement, edit_connection
from connections.operations.pause import pause_connection, withdraw_consent
from connections.operations.remove import removed_type
from connections.views.flow import answer, keep, keep_what_is_right, page, version_of
from connections.views.lists import target_of
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, role_required, version_in


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@role_required(Role.ADMINISTRATOR)
def edit(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """The form with what is stored, secrets excepted. The connection stays as it is until *Save*."""
    if request.method == "POST" and (removed := removed_type(uuid)):
        return _removed(request, removed)
    connection = _load(request, uuid)
    connector = connectors.get(connection.type_key)
    if connector is None:
        raise Http404
    return answer(request, connector, _save, connection=connection)


def _removed(request: PortalRequest, type_key: str) -> HttpResponse:
    """What was typed, as the beginning of a new connection: the one that was edited is gone."""
    connector = connectors.get(type_key)
    if connector is None:
        raise Http404
    typed = {
        name: request.POST.get(name, "")
        for name in ("name", *(f.key for f in connector.fields if not f.secret))
    }
    form = SetUpForm(connector, draft=None, url=reverse("connections:set_up", args=[type_key]), initial=typed)
    gone = _("The connection was removed meanwhile. Save what you typed as a new one, or cancel.")
    return page(request, form, status=409, verify_error=gone)


def _save(request: PortalRequest, form: SetUpForm) -> HttpResponse:
    """Save; what is missing is said at its place, and everything typed stays."""
    connection, action = form.connection, request.POST.get("action")
    assert connection is not None
    missing: dict[str, str] = {}
    status, stale = 422, ""
    try:
        if form.settings_are_valid and (form.draft is not None or form.changes_settings):
            keep(request, form)
        elif not form.settings_are_valid:
            keep_what_is_right(request, form)
        if form.is_valid():
            edit_connection(
                connection=connection,
                version=version_of(request, form),
                draft=form.draft,
                name=form.cleaned_data["name"],
                settings=form.cleaned_settings,
                agreement=Agreement(
                    ticked=request.POST.get("agree") == "on", wording_hash=form.cleaned_data["wording"]
                ),
                actor=request.user,
                unverified=action == "save_unverified",
                resume=action == "resume",
            )
            messages.success(request, _("%(name)s is saved.") % {"name": form.cleaned_data["name"]})
            return go_to(request, reverse("connections:detail", args=[connection.uuid]))
    except OperationError as refused:
        status, missing = refused.status, dict(refused.fields)
        if isinstance(refused, Stale):
            form.connection = fresh = _load(request, connection.uuid)
            if _is_done(form, fresh, request.user):
                return go_to(request, reverse("connections:detail", args=[fresh.uuid]))
            stale = refused.message
        elif not missing:
            missing["verify"] = refused.message
    verify_error = missing.pop("verify", "")
    for key, message in missing.items():
        form.add_error(key, message)
    return page(request, form, status=status, verify_error=verify_error, stale=stale)


def _is_done(form: SetUpForm, fresh: Connection, person: User) -> bool:
    """Whether the person stored exactly this a moment ago: *Save* was pressed twice."""
    return (
        fresh.updated_by == person
        and form.draft is None
        and form.cleaned_data.get("name") == fresh.name
        and not form.changes_settings
    )


class _Operation(Protocol):
    def __call__(self, *, connection: Connection, version: int, actor: User) -> Connection: ...


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def pause(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then pause; runs under way are canceled."""
    connection = _load(request, uuid)
    question: dict[str, Any] = {
        "title": _("Pause connection"),
        "sentences": [
            _("Nothing goes over it until it is resumed. Runs under way are canceled, schedules wait."),
            _("Settings, secrets, agreement and whatever is built on it stay as they are."),
        ],
        "button": _("Pause"),
        "neutral": True,
        "refused": lambda now: _("It is paused already.") if now.state == State.PAUSED else "",
    }
    return _ask(
        request, connection, "connections:pause", pause_connection, question, _("%(name)s is paused.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def withdraw(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Ask, then withdraw the agreement to the privacy terms, which pauses the connection."""
    connection = _load(request, uuid)
    question: dict[str, Any] = {
        "title": _("Withdraw agreement"),
        "sentences": [
            _("The connection is paused: nothing goes over it, and runs under way are canceled."),
            _("Resuming it asks for a new agreement. The record of who agreed and who withdrew stays."),
        ],
        "button": _("Withdraw agreement"),
        "refused": lambda now: "" if now.consent else _("Nobody has agreed to its privacy terms."),
    }
    return _ask(
        request,
        connection,
        "connections:withdraw",
        withdraw_consent,
        question,
        _("The agreement for %(name)s is withdrawn."),
    )


def _ask(
    request: PortalRequest,
    connection: Connection,
    page_name: str,
    operation: _Operation,
    question: dict[str, Any],
    done: str,
) -> HttpResponse:
    """A confirmation that names what depends on the connection; asked afresh (409) when it changed meanwhile."""
    error, status = "", 200
    if request.method == "POST":
        try:
            operation(
                connection=connection,
                version=version_in(request.POST.get("version", "")),
                actor=request.user,
            )
        except OperationError as refused:
            error, status = refused.message, refused.status
            connection = _load(request, connection.uuid)
        else:
            messages.success(request, done % {"name": connection.name})
            return go_to(request, reverse("connections:detail", args=[connection.uuid]))
    used = dependents.used_by([connection.pk]).get(connection.pk, [])
    refused_because = question["refused"](connection)
    sentences = [refused_because] if refused_because else [*question["sentences"]]
    if used and not refused_because:
        sentences.insert(0, _("It is used by %(what)s.") % {"what": ", ".join(used)})
    context = question | {
        "subject": f"{connection.name} · {target_of(connection)}",
        "sentences": sentences,
        "refused": bool(refused_because),
        "action": reverse(page_name, args=[connection.uuid]),
        "cancel_url": reverse("connections:detail", args=[connection.uuid]),
        "hidden": [("version", connection.version)],
        "error": error,
    }
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)


def _load(request: PortalRequest, uuid: UUID) -> Connection:
    connections = Connection.objects.editable_by(request.user).select_related("consent", "updated_by")
    return get_object_or_404(connections, uuid=uuid)
