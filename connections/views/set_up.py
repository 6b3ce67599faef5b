"""*Set up* a connection: verify, trust the server, agree, save (design: Set up a connection)."""

from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from connections import connectors, consent
from connections.connectors.base import Connector
from connections.forms import SetUpForm
from connections.models import Access, Connection, ConnectionDraft
from connections.operations.create import create_connection, still_missing
from connections.operations.drafts import is_verified, keep_draft, trust_server, verify_draft
from connections.views.steps import shown_steps, type_facts
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, is_fragment, role_required, trigger

# How a form that needs a connection gets it back (see exports.views.form).
RETURN_TO = "set_up_return"
CHOSEN = "set_up_connection"


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@role_required(Role.ADMINISTRATOR)
def set_up(request: PortalRequest, type_key: str) -> HttpResponse:
    """The form (GET, which writes nothing) and what its buttons do: verify, trust, save; terms for the privacy text."""
    connector = connectors.get(type_key)
    if connector is None:
        raise Http404
    form = _form(request, connector)
    if request.method != "POST":
        return _page(request, form)
    match request.POST.get("action", ""):
        case "terms":
            return _terms(request, form)
        case "verify" | "trust" as action:
            return _verify(request, form, action)
        case _:
            return _save(request, form)


def _form(request: PortalRequest, connector: type[Connector]) -> SetUpForm:
    """Filled from what is posted, or from the draft. An expired draft counts as none; a GET leaves it to ``tick``."""
    data = request.POST if request.method == "POST" else None
    draft = _draft(request, connector, (request.GET if data is None else data).get("draft", ""))
    expired = draft is not None and draft.expires_at <= timezone.now()
    if draft is not None and expired:
        if data is not None:
            draft.delete()
        draft = None
    return SetUpForm(connector, draft=draft, url=_url(request, connector), data=data, expired=expired)


def _draft(request: PortalRequest, connector: type[Connector], text: str) -> ConnectionDraft | None:
    """The person's own draft of this type, None where none is named; another's or an unknown one is 404."""
    if not text:
        return None
    try:
        uuid = UUID(text)
    except ValueError:
        raise Http404 from None
    draft = ConnectionDraft.objects.filter(uuid=uuid, type_key=connector.key, created_by=request.user).first()
    if draft is None:
        raise Http404
    return draft


def _url(request: PortalRequest, connector: type[Connector], draft: ConnectionDraft | None = None) -> str:
    query = {"then": "choose"} if request.GET.get("then") == "choose" else {}
    if draft is not None:
        query["draft"] = str(draft.uuid)
    url = reverse("connections:set_up", args=[connector.key])
    return f"{url}?{urlencode(query)}" if query else url


def _terms(request: PortalRequest, form: SetUpForm) -> HttpResponse:
    """The privacy text for what is typed now, unticked if it is another, and what stands beside the target's fields."""
    connector = form.connector
    context = _context(request, form) | {
        "form": SetUpForm(connector, draft=None, url=_url(request, connector)),
        "beside": [
            (f"id_{field.key}_beside", connector.beside(field.key, request.POST.dict()))
            for field in connector.fields
            if field.target
        ],
    }
    return render(request, "connections/_terms.html", context)


def _verify(request: PortalRequest, form: SetUpForm, action: str) -> HttpResponse:
    """Keep what was typed, then verify it, or trust the server and verify to the end."""
    draft = form.draft
    if not form.settings_are_valid:
        _forget_errors_of_save(form)
        return _page(request, form, status=422)
    error = ""
    try:
        draft = _keep(request, form)
        if action == "trust" and draft.host_key_seen:
            draft = trust_server(
                draft=draft, fingerprint=request.POST.get("fingerprint", ""), actor=request.user
            )
        else:
            draft = verify_draft(draft=draft, actor=request.user)
    except OperationError as refused:
        error = refused.message
        for key, message in refused.fields.items():
            form.add_error(key, message)
        if refused.fields or draft is None:
            _forget_errors_of_save(form)
            return _page(request, form, status=422, verify_error=error)
        draft = ConnectionDraft.objects.filter(pk=draft.pk).first()
    if is_fragment(request):
        form.draft = draft
        context = _context(request, form) | {"verify_error": error}
        return render(request, "connections/_verify_answer.html", context, status=422 if error else 200)
    if error:
        messages.error(request, error)
    return go_to(request, _url(request, form.connector, draft))


def _keep(request: PortalRequest, form: SetUpForm) -> ConnectionDraft:
    return keep_draft(
        draft=form.draft,
        type_key=form.connector.key,
        cleaned=form.cleaned_settings,
        secrets=form.typed_secrets,
        form=form.kept_form(),
        actor=request.user,
    )


def _forget_errors_of_save(form: SetUpForm) -> None:
    """*Verify* does not complain about what only *Save* needs."""
    for name in ("name", "grantees", "access", "agree"):
        form.errors.pop(name, None)


def _save(request: PortalRequest, form: SetUpForm) -> HttpResponse:
    """Save; what is missing is said at its place, and everything typed stays."""
    draft = form.draft
    agreed = request.POST.get("agree") == "on"
    missing: dict[str, str] = {}
    if form.settings_are_valid:
        try:
            form.draft = draft = _keep(request, form)
        except OperationError as refused:
            missing |= refused.fields or {"verify": refused.message}
    if form.is_valid() and not missing:
        try:
            connection = create_connection(
                draft=draft,
                name=form.cleaned_data["name"],
                access=Access(form.cleaned_data["access"]),
                people=form.people(),
                groups=form.groups(),
                agreed=agreed,
                wording_hash=form.cleaned_data["wording"],
                actor=request.user,
            )
        except OperationError as refused:
            missing = refused.fields
        else:
            return _saved(request, connection)
    else:
        missing = still_missing(draft if form.is_as_kept else None, agreed=agreed) | missing
    verify_error = missing.pop("verify", "")
    for key, message in missing.items():
        form.add_error(key, message)
    return _page(request, form, status=422, verify_error=verify_error)


def _saved(request: PortalRequest, connection: Connection) -> HttpResponse:
    messages.success(request, _("%(name)s is set up.") % {"name": connection.name})
    if request.GET.get("then") != "choose":
        return go_to(request, reverse("connections:detail", args=[connection.uuid]))
    request.session[CHOSEN] = str(connection.uuid)
    if is_fragment(request):
        return trigger(HttpResponse(status=204), closeDialogs=None, connectionsChanged=None)
    return go_to(request, request.session.pop(RETURN_TO, reverse("connections:exports")))


def _context(request: PortalRequest, form: SetUpForm) -> dict[str, Any]:
    connector, draft = form.connector, form.draft
    form.note_kept_secrets()
    tried = draft.verification if draft is not None and form.is_as_kept else []
    verified = draft is not None and form.is_as_kept and is_verified(draft)
    values = request.POST.dict() if form.is_bound else dict(form.initial)
    wording = consent.wording(connector, connector.consent_target(values))
    agreed = form.agreed_to == wording.hash
    steps = shown_steps(connector, tried)
    return {
        "form": form,
        "type": type_facts(connector),
        "draft": draft,
        "steps": steps,
        "tried": bool(tried),
        "waits": any(step["kind"] == "ask" for step in steps),
        "verified": verified,
        "wording": wording,
        "agreed": agreed,
        "unticked": bool(form.agreed_to) and not agreed,
        "url": _url(request, connector),
        "cancel_url": _back(request),
    }


def _back(request: PortalRequest) -> str:
    """Where *Cancel* leads: to the form that a connection was to be added to, if there is one."""
    discover = reverse("connections:discover")
    choosing = request.GET.get("then") == "choose"
    return str(request.session.get(RETURN_TO, discover)) if choosing else discover


def _is_open_as_page(request: PortalRequest) -> bool:
    """Whether the pane stands in the page of the set-up itself, by the address that the browser shows."""
    try:
        return urlsplit(request.headers.get("HX-Current-URL", "")).path == request.path
    except ValueError:
        return False


def _page(
    request: PortalRequest, form: SetUpForm, *, status: int = 200, verify_error: str = ""
) -> HttpResponse:
    if form.expired and form.draft is None:
        verify_error = _(
            "What was kept for this set-up has expired. Fill in what is missing and verify again."
        )
    context = _context(request, form) | {"verify_error": verify_error}
    if not is_fragment(request):
        return render(request, "connections/set_up.html", context, status=status)
    context["whole_page"] = _is_open_as_page(request)
    response = render(request, "connections/_set_up.html", context, status=status)
    if request.method == "POST":
        response["HX-Retarget"] = "#set-up"
        response["HX-Reswap"] = "outerHTML"
    return response
