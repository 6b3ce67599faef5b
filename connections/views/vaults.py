"""Settings > Key Vault: the list of linked vaults, *Link a vault*, *Edit*, *Check now*. Administrators only."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connections import consent
from connections.connectors import CONNECTORS
from connections.key_vault.base import STEPS
from connections.models import KeyVault, VaultNotice
from connections.operations.change_link import Narrowing, Narrows, change_link, missing_credential
from connections.operations.edit import Agreement
from connections.operations.link_vault import (
    NotVerified,
    Verification,
    link_vault,
    missing_agreement,
    verify_link,
)
from connections.operations.vault_check_now import check_now
from connections.vault_choice import supports
from connections.vault_forms import VaultForm
from connections.vault_listing import tiles
from connections.vault_lists import VaultLists, read_lists
from connections.vault_notices import text_of
from connections.views.steps import labelled_steps, type_facts
from connections.views.vault_gone import unless_unlinked
from connections_portal.errors import OperationError, Stale
from connections_portal.roles import Role
from connections_portal.web import (
    PortalRequest,
    current_path,
    go_to,
    is_fragment,
    page_or_fragment,
    paginate,
    role_required,
    version_in,
)

NOTICES = 10


@require_safe
@role_required(Role.ADMINISTRATOR)
def list_vaults(request: PortalRequest) -> HttpResponse:
    """A tile per linked vault, and what administrators were told of them."""
    vaults = KeyVault.sorted_by_name(KeyVault.objects.all())
    notices = paginate(request, VaultNotice.objects.all(), NOTICES)
    context = {
        "tiles": tiles(vaults, timezone.now()),
        "several": len(vaults) > 1,
        "types": [type_facts(connector) for connector in CONNECTORS if supports(connector)],
        "notices": [(notice, text_of(notice)) for notice in notices],
        "page_obj": notices,
    }
    return page_or_fragment(request, "key_vault/list.html", "key_vault/_notices.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("client_secret", "certificate")
@role_required(Role.ADMINISTRATOR)
def link(request: PortalRequest) -> HttpResponse:
    """Choose or type a vault, say who signs in and what may be used, verify, agree, link."""
    posted = request.POST if request.method == "POST" else None
    asked = (request.GET if posted is None else posted).get("lists", "") == "1"
    lists = read_lists((request.GET if posted is None else posted).dict()) if asked else None
    form = VaultForm(posted, vaults=lists.vaults if lists else ())
    if posted is None:
        if asked and is_fragment(request):
            return render(request, "key_vault/_lists.html", _context(request, form, lists=lists))
        return _page(request, form, lists=lists)
    match posted.get("action", ""):
        case "terms":
            return render(request, "connections/_consent.html", _context(request, form))
        case "narrow":
            return _narrow(request, form, lists or read_lists(posted.dict()))
        case "verify":
            return _verify(request, form, lists)
        case _:
            return _link(request, form, lists)


def _narrow(request: PortalRequest, form: VaultForm, lists: VaultLists) -> HttpResponse:
    """The lists for another subscription or group: nothing is complained about, and nothing is written."""
    if is_fragment(request):
        return render(request, "key_vault/_lists.html", _context(request, form, lists=lists))
    form.errors.clear()
    return _page(request, form, lists=lists)


def _verify(request: PortalRequest, form: VaultForm, lists: VaultLists | None) -> HttpResponse:
    """Run the steps; with script only their result is swapped in, so that what is typed stays."""
    if form.vault is not None and form.link is not None:
        for key, message in missing_credential(form.vault, form.link).items():
            form.add_error(key, message)
    if form.errors or form.link is None:
        return _page(request, form, lists=lists, status=422)
    error, status, verification = "", 200, None
    try:
        verification = verify_link(link=form.link, vault=form.vault, actor=request.user)
    except OperationError as refused:
        error, status = refused.message, refused.status
    if not is_fragment(request):
        return _page(request, form, lists=lists, verification=verification, verify_error=error, status=status)
    context = _context(request, form, verification=verification) | {"verify_error": error}
    return render(request, "key_vault/_verify.html", context, status=status)


def _link(request: PortalRequest, form: VaultForm, lists: VaultLists | None) -> HttpResponse:
    """Link; what is missing is said at its place, and what is typed stays, secrets without script excepted."""
    agreed, hash_shown = request.POST.get("agree") == "on", request.POST.get("wording", "")
    verification, status = None, 422
    if form.link is None:
        shown = consent.vault_wording(form.host)
        missing = missing_agreement(shown, agreed=agreed, wording_hash=hash_shown)
        return _refused(request, form, missing, lists=lists, status=status)
    try:
        vault = link_vault(link=form.link, agreed=agreed, wording_hash=hash_shown, actor=request.user)
    except OperationError as refused:
        if isinstance(refused, NotVerified):
            verification = refused.verification
        missing = refused.fields or {"verify": refused.message}
        return _refused(request, form, missing, lists=lists, verification=verification, status=refused.status)
    messages.success(request, _("%(name)s is linked.") % {"name": vault.name})
    return go_to(request, reverse("key_vault:list"))


def _refused(
    request: PortalRequest, form: VaultForm, missing: dict[str, str], *, status: int, **more: Any
) -> HttpResponse:
    verify_error = missing.pop("verify", "")
    for key, message in missing.items():
        form.add_error(key, message)
    return _page(request, form, status=status, verify_error=verify_error, **more)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("client_secret", "certificate")
@role_required(Role.ADMINISTRATOR)
@unless_unlinked
def edit(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Who signs in, what may be used, labels; the vault stays. A narrower scope says first what it takes away."""
    vault = _load(uuid)
    posted = request.POST if request.method == "POST" else None
    form = VaultForm(posted, vault=vault)
    if posted is None:
        return _page(request, form)
    if posted.get("action", "") == "verify":
        return _verify(request, form, None)
    if form.link is None:
        return _page(request, form, status=422)
    agreement = Agreement(ticked=posted.get("agree") == "on", wording_hash=posted.get("wording", ""))
    try:
        change_link(
            vault=vault,
            version=version_in(posted.get("version", "")),
            link=form.link,
            agreement=agreement,
            impact=posted.get("impact", "")[:64],
            actor=request.user,
        )
    except Narrows as narrows:
        return _page(
            request, form, status=narrows.status, narrowing=narrows.narrowing, narrows=narrows.message
        )
    except NotVerified as refused:
        return _refused(
            request, form, refused.fields, verification=refused.verification, status=refused.status
        )
    except Stale as stale:
        form.vault = _load(uuid)
        return _page(request, form, status=stale.status, stale=stale.message)
    except OperationError as refused:
        missing = refused.fields or {"verify": refused.message}
        return _refused(request, form, missing, status=refused.status)
    messages.success(request, _("The link of %(name)s is saved.") % {"name": vault.name})
    return go_to(request, reverse("key_vault:list"))


def _load(uuid: UUID) -> KeyVault:
    return get_object_or_404(KeyVault.objects.select_related("consent", "updated_by"), uuid=uuid)


def _context(
    request: PortalRequest,
    form: VaultForm,
    *,
    lists: VaultLists | None = None,
    verification: Verification | None = None,
) -> dict[str, Any]:
    vault = form.vault
    wording = consent.vault_wording(form.host)
    ticked = form.is_bound and request.POST.get("agree") == "on"
    agreed = ticked and request.POST.get("wording", "") == wording.hash
    in_force = vault.consent if vault else None
    steps = (
        verification.steps if verification else (vault.verification if vault and not form.is_bound else [])
    )
    url = reverse("key_vault:edit", args=[vault.uuid]) if vault else reverse("key_vault:link")
    return {
        "form": form,
        "vault": vault,
        "version": _version(request, form),
        "lists": lists,
        "steps": labelled_steps(STEPS, steps),
        "tried": bool(steps),
        "passed": verification is not None and verification.passed,
        "was_tried": verification is not None,
        "wording": wording,
        "in_force": in_force,
        "newer": in_force is not None and in_force.wording_hash != wording.hash,
        "agreed": agreed,
        "unticked": ticked and not agreed,
        "need_agree": in_force is None,
        "url": url,
        "cancel_url": reverse("key_vault:list"),
    }


def _version(request: PortalRequest, form: VaultForm) -> int:
    if form.vault is None:
        return 0
    return version_in(request.POST.get("version", "")) if form.is_bound else form.vault.version


def _page(
    request: PortalRequest,
    form: VaultForm,
    *,
    lists: VaultLists | None = None,
    verification: Verification | None = None,
    verify_error: str = "",
    narrowing: Narrowing | None = None,
    narrows: str = "",
    stale: str = "",
    status: int = 200,
) -> HttpResponse:
    """The form as page or pane."""
    context = _context(request, form, lists=lists, verification=verification) | {
        "verify_error": verify_error,
        "narrowing": narrowing,
        "narrows": narrows,
        "stale": stale,
    }
    if stale and form.vault is not None:
        context["version"] = form.vault.version
    if not is_fragment(request):
        return render(request, "key_vault/link.html", context, status=status)
    context["whole_page"] = current_path(request) == request.path  # the pane stands in the form's own page
    response = render(request, "key_vault/_link.html", context, status=status)
    if request.method == "POST":
        response["HX-Retarget"] = "#vault-link"
        response["HX-Reswap"] = "outerHTML"
    return response


@require_POST
@role_required(Role.ADMINISTRATOR)
@unless_unlinked
def check(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Have a worker look at the vault and the secrets in use."""
    vault = _load(uuid)
    if check_now(vault=vault, actor=request.user):
        messages.success(request, _("%(name)s is being checked.") % {"name": vault.name})
    else:
        messages.info(request, _("%(name)s is being checked already.") % {"name": vault.name})
    return go_to(request, reverse("key_vault:list"))
