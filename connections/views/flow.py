"""What setting up and editing a connection share: the form, its draft, verify, trust, and the page around them."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import consent
from connections.connectors.base import Connector
from connections.forms import SetUpForm
from connections.models import AccessRequest, Connection, ConnectionDraft, State, VaultSecret
from connections.operations.choose_secret import look_up
from connections.operations.drafts import (
    could_not_be_reached,
    forget_secrets,
    is_verified,
    keep_draft,
    require_secrets,
    saved_from,
    trust_server,
    verify_draft,
)
from connections.views import vault_secrets
from connections.views.form_state import agreement_in_force, is_new, needs_verify, pinned_key
from connections.views.steps import for_operator, shown_steps, type_facts
from connections_portal.errors import OperationError, Stale
from connections_portal.web import (
    PortalRequest,
    current_path,
    go_to,
    is_fragment,
    page_or_fragment,
    version_in,
)

# How a form that needs a connection gets it back (see exports.views.form).
RETURN_TO = "set_up_return"
CHOSEN = "set_up_connection"


def answer(
    request: PortalRequest,
    connector: type[Connector],
    save: Callable[[PortalRequest, SetUpForm], HttpResponse],
    *,
    connection: Connection | None = None,
    initial: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """The form (GET, which writes nothing) and what its buttons do; every action but verify, trust and terms saves.

    ``connection`` is the one that is edited, ``initial`` what a new one starts with.
    """
    form = _form(request, connector, connection, initial)
    if request.method != "POST":
        return page(request, form)
    if form.expired and (saved := saved_from(request.POST.get("draft", ""), actor=request.user)):
        # pressed twice, or left open in a second window
        return go_to(request, reverse("connections:detail", args=[saved]))
    action, _colon, key = request.POST.get("action", "").partition(":")
    match action:
        case "terms":
            return _terms(request, form)
        case "secrets" | "more" | "versions" | "refresh":
            return _choose(request, form, action, key)
        case "search":
            return _search(request, form)
        case "verify" | "trust" as action:
            return _verify(request, form, action)
        case _:
            return save(request, form)


def _form(
    request: PortalRequest,
    connector: type[Connector],
    connection: Connection | None,
    initial: Mapping[str, Any] | None,
) -> SetUpForm:
    """Filled from what is posted, or from the draft. An expired draft counts as none; a GET leaves it to ``tick``.

    So does one that is not there any more, or that is somebody else's, when it is posted; in an address it is 404.
    """
    data = request.POST if request.method == "POST" else None
    named = (request.GET if data is None else data).get("draft", "")
    draft = _draft(request, connector, connection, named)
    expired = draft is not None and draft.expires_at <= timezone.now()
    if named and draft is None:
        if data is None:
            raise Http404
        expired = True
    elif draft is not None and expired:
        if data is not None:
            draft.delete()
        draft = None
    return SetUpForm(
        connector,
        draft=draft,
        url=_url(request, connector, connection),
        data=data,
        expired=expired,
        connection=connection,
        initial=initial,
    )


def _draft(
    request: PortalRequest, connector: type[Connector], connection: Connection | None, text: str
) -> ConnectionDraft | None:
    """The person's own draft for this very form, None where there is no such one."""
    if not text:
        return None
    try:
        uuid = UUID(text)
    except ValueError:
        return None
    return ConnectionDraft.objects.filter(
        uuid=uuid, type_key=connector.key, created_by=request.user, connection=connection
    ).first()


def _url(
    request: PortalRequest,
    connector: type[Connector],
    connection: Connection | None,
    draft: ConnectionDraft | None = None,
) -> str:
    query = {"then": "choose"} if request.GET.get("then") == "choose" else {}
    if asked := answers(request, connector):
        query["answers"] = str(asked.uuid)
    if draft is not None:
        query["draft"] = str(draft.uuid)
    if connection is None:
        url = reverse("connections:set_up", args=[connector.key])
    else:
        url = reverse("connections:edit", args=[connection.uuid])
    return f"{url}?{urlencode(query)}" if query else url


def answers(request: PortalRequest, connector: type[Connector]) -> AccessRequest | None:
    """The open request for this type that the connection is set up for (``?answers=<uuid>``)."""
    try:
        uuid = UUID(request.GET.get("answers", ""))
    except ValueError:
        return None
    waiting = AccessRequest.objects.filter(state=AccessRequest.State.OPEN, type_key=connector.key)
    return waiting.filter(uuid=uuid).first()


def _terms(request: PortalRequest, form: SetUpForm) -> HttpResponse:
    """The privacy text for what is typed now, unticked if it is another, and what stands beside the target's fields."""
    connector = form.connector
    context = _context(request, form) | {
        "form": SetUpForm(connector, draft=None, url=form.url),
        "beside": [
            (f"id_{field.key}_beside", connector.beside(field.key, request.POST.dict()))
            for field in connector.fields
            if field.target
        ],
    }
    return render(request, "connections/_terms.html", context)


def _search(request: PortalRequest, form: SetUpForm) -> HttpResponse:
    """Look for people and groups: nothing is complained about, and without script typed secrets are kept."""
    form.full_clean()
    if not is_fragment(request):
        keep_what_is_right(request, form)
    form.errors.clear()
    context = _context(request, form) | {"whole_page": True}
    return page_or_fragment(request, "connections/set_up.html", "connections/_set_up.html", context)


def _choose(request: PortalRequest, form: SetUpForm, action: str, key: str) -> HttpResponse:
    """Names or versions of a vault's secrets for the field ``key``, or their list anew (``views.vault_secrets``)."""
    choice = form.secrets.choices.get(key)
    if choice is None:
        raise Http404
    form.full_clean()
    chooser = vault_secrets.chooser(request, choice, action, host=form.host)
    if is_fragment(request):
        context = {"chooser": chooser, "choice": choice, "params": form.choosing_params, "url": form.url}
        return render(request, chooser.template, context)
    keep_what_is_right(request, form)
    form.errors.clear()
    return page(request, form, chooser=chooser)


def _verify(request: PortalRequest, form: SetUpForm, action: str) -> HttpResponse:
    """Keep what was typed, then verify it, or trust the server and verify to the end."""
    draft, started = form.draft, time.monotonic()
    if not form.settings_are_valid:
        keep_what_is_right(request, form)
        _forget_errors_of_save(form)
        return page(request, form, status=422)
    error, status = "", 200
    try:
        draft = keep(request, form)
        spent = time.monotonic() - started
        if action == "trust" and draft.host_key_seen:
            draft = trust_server(
                draft=draft,
                fingerprint=request.POST.get("fingerprint", ""),
                actor=request.user,
                spent=spent,
            )
        else:
            draft = verify_draft(draft=draft, actor=request.user, spent=spent)
    except OperationError as refused:
        error, status = refused.message, refused.status
        for key, message in refused.fields.items():
            form.add_error(key, message)
        if refused.fields or draft is None:
            _forget_errors_of_save(form)
            return page(request, form, status=status, verify_error=error)
        draft = ConnectionDraft.objects.filter(pk=draft.pk).first()
    form.draft = draft
    if error and not is_fragment(request):
        _forget_errors_of_save(form)
        return page(request, form, status=status, verify_error=error)
    if is_fragment(request):
        context = _context(request, form) | {"verify_error": error}
        return render(request, "connections/_verify_answer.html", context, status=status)
    return go_to(request, _url(request, form.connector, form.connection, draft))


def keep(request: PortalRequest, form: SetUpForm) -> ConnectionDraft:
    """Write what is typed and chosen to the draft.

    Raises Stale, and OperationError at a secret that is missing or that a Key Vault does not let be used.
    """
    references = look_up(form.secrets.chosen, host=form.host)
    form.draft = _keep(request, form, form.cleaned_settings, references)
    require_secrets(form.draft)
    return form.draft


def _keep(
    request: PortalRequest,
    form: SetUpForm,
    cleaned: Mapping[str, str],
    references: Mapping[str, VaultSecret] | None = None,
) -> ConnectionDraft:
    return keep_draft(
        draft=form.draft,
        type_key=form.connector.key,
        connection=form.connection,
        cleaned=cleaned,
        secrets=form.secrets.typed,
        references=references,
        dropped=form.secrets.switched,
        form=form.kept_form(),
        actor=request.user,
    )


def keep_what_is_right(request: PortalRequest, form: SetUpForm) -> None:
    """Keep typed secrets although another field is wrong, as long as the target is right (rule S1)."""
    if form.draft is not None and form.refused_secrets:
        forget_secrets(draft=form.draft, fields=form.refused_secrets)
    if not form.target or not form.secrets.typed:
        return
    same = form.draft is not None and form.draft.target_digest == form.target
    before = form.draft.settings if form.draft is not None and same else {}
    try:
        form.draft = _keep(request, form, {**before, **form.right_settings})
    except Stale as gone:
        form.draft = None
        form.add_error(None, gone.message)


def _forget_errors_of_save(form: SetUpForm) -> None:
    """*Verify* does not complain about what only *Save* needs."""
    for name in ("name", "grantees", "access", "agree"):
        form.errors.pop(name, None)


def version_of(request: PortalRequest, form: SetUpForm) -> int:
    """The version of the connection that the page was made from; 0 for nonsense, which no connection has."""
    if form.connection is None:
        return 0
    if form.is_bound:
        return version_in(request.POST.get("version", ""))
    if form.draft is not None:
        return version_in(str(form.draft.form.get("version", "")))
    return form.connection.version


def _context(request: PortalRequest, form: SetUpForm) -> dict[str, Any]:
    connector, draft, connection = form.connector, form.draft, form.connection
    form.note_kept_secrets()
    kept = draft if draft is not None and form.is_as_kept else None
    tried = kept.verification if kept else []
    verified = kept is not None and is_verified(kept)
    values = request.POST.dict() if form.is_bound else dict(form.initial)
    wording = consent.wording(connector, connector.consent_target(values))
    agreed = form.agreed_to == wording.hash
    in_force = agreement_in_force(form, values)
    steps = shown_steps(connector, tried)
    return {
        "form": form,
        "type": type_facts(connector),
        "connection": connection,
        "version": version_of(request, form),
        "paused": connection is not None and connection.state == State.PAUSED,
        "draft": draft,
        "steps": steps,
        "tried": bool(tried),
        "waits": any(step["kind"] == "ask" for step in steps),
        "pinned": pinned_key(form),
        "verified": verified,
        "unreached": kept is not None and could_not_be_reached(kept) and is_new(kept),
        "operator_text": for_operator(connector, values, tried),
        "wording": wording,
        "in_force": in_force,
        "newer": in_force is not None and in_force.wording_hash != wording.hash,
        "agreed": agreed,
        "unticked": bool(form.agreed_to) and not agreed,
        "need_verify": not verified and needs_verify(form),
        "need_agree": in_force is None,
        "url": form.url,
        "params": form.choosing_params,
        "cancel_url": _back(request, form),
    }


def _back(request: PortalRequest, form: SetUpForm) -> str:
    """Where *Cancel* leads: the connection's page, the request that one is set up for, or the form that needs one."""
    if form.connection is not None:
        return reverse("connections:detail", args=[form.connection.uuid])
    discover = reverse("connections:discover")
    if asked := answers(request, form.connector):
        return reverse("connections:grant", args=[asked.uuid])
    choosing = request.GET.get("then") == "choose"
    return str(request.session.get(RETURN_TO, discover)) if choosing else discover


def page(
    request: PortalRequest,
    form: SetUpForm,
    *,
    status: int = 200,
    verify_error: str = "",
    stale: str = "",
    chooser: vault_secrets.Chooser | None = None,
) -> HttpResponse:
    """The form as page or pane, with the list of a vault's secrets where somebody asked for it.

    ``stale`` says who changed the connection meanwhile; what they stored is noted.
    """
    if form.expired and form.draft is None:
        verify_error = _("What was kept for this form has expired. Fill in what is missing and verify again.")
    context = _context(request, form) | {"verify_error": verify_error, "stale": stale, "chooser": chooser}
    if stale and form.connection is not None:
        form.note_stored_values()
        context["version"] = form.connection.version
        context["stale_state"] = form.connection.get_state_display()
    if not is_fragment(request):
        return render(request, "connections/set_up.html", context, status=status)
    context["whole_page"] = current_path(request) == request.path  # the pane stands in the form's own page
    response = render(request, "connections/_set_up.html", context, status=status)
    if request.method == "POST":
        response["HX-Retarget"] = "#set-up"
        response["HX-Reswap"] = "outerHTML"
    return response
