"""*Unlink* a Key Vault: what reads its secrets is settled in the dialog, as for removing a connection."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from connections.models import KeyVault
from connections.operations.unlink_vault import unlink_vault
from connections.vault_unlink_form import UnlinkForm
from connections.views.vault_gone import unless_unlinked
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, is_fragment, page_or_fragment, role_required


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
@unless_unlinked
def unlink(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """The dialog; ``action=preview`` says what will happen, ``apply`` chooses for all, else the vault is unlinked.

    When something changed since, it is asked about afresh (409) with the choices kept.
    """
    vault = get_object_or_404(KeyVault, uuid=uuid)
    if request.method != "POST":
        return _dialog(request, UnlinkForm(vault), seen="see" in request.GET)
    form = UnlinkForm(vault, request.POST)
    match request.POST.get("action", ""):
        case "preview" if is_fragment(request):
            return render(request, "key_vault/_unlink_outcome.html", _outcome(request, form))
        case "preview":
            return _dialog(request, form)
        case "apply":
            form.apply()
            return _dialog(request, form, applied=True)
        case _:
            return _unlink(request, form)


def _unlink(request: PortalRequest, form: UnlinkForm) -> HttpResponse:
    vault = form.vault
    as_shown = request.POST.get("impact") == form.impact
    if form.wrong and as_shown:
        return _dialog(request, form, error=_("What you chose is not offered any more."), status=422)
    try:
        done = unlink_vault(
            vault=vault,
            # the choices are about what is there now: they count only where this is what was shown
            impact=form.impact if as_shown else "",
            choices=form.choices() if as_shown else {},
            actor=request.user,
        )
    except OperationError as refused:
        vault = get_object_or_404(KeyVault, uuid=vault.uuid)
        fresh = UnlinkForm(vault, request.POST, refused.fields)
        return _dialog(request, fresh, error=refused.message, status=refused.status)
    text = _("%(name)s is unlinked.") % {"name": vault.name}
    if done.paused:
        text += " " + _("Paused connections wait for their secrets.")
    messages.success(request, text)
    return go_to(request, reverse("key_vault:list"))


def _dialog(
    request: PortalRequest,
    form: UnlinkForm,
    *,
    seen: bool = True,
    applied: bool = False,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """First what reads from the vault in one sentence; then, ``seen``, each with its choice."""
    context = _outcome(request, form) | {
        "vault": form.vault,
        "seen": seen or not form.total,
        "applied": applied,
        "error": error,
    }
    return page_or_fragment(
        request, "key_vault/unlink.html", "key_vault/_unlink.html", context, status=status
    )


def _outcome(request: PortalRequest, form: UnlinkForm) -> dict[str, Any]:
    return {
        "form": form,
        "action": reverse("key_vault:unlink", args=[form.vault.uuid]),
        "cancel_url": reverse("key_vault:list"),
        # the page without a dialog has a part of its own that is swapped
        "in_dialog": is_fragment(request) and request.htmx.target != "unlink-page",
    }
