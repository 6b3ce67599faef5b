"""Choosing a secret of a linked vault: the lists that open in a connection's form, and how reading one goes."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from connections.models import KeyVault
from connections.operations.read_names import (
    ask_for_names,
    has_failed,
    is_reading,
    names_so_far,
    refresh_if_old,
)
from connections.vault_choice import VaultChoice
from connections.vault_names import Offer, offer_names, offer_versions
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, is_fragment, role_required

TEMPLATES = {
    "secrets": "connections/_secret_names.html",
    "more": "connections/_secret_options.html",
    "versions": "connections/_secret_versions.html",
    "refresh": "connections/_secret_list.html",
}


@dataclass(frozen=True, kw_only=True)
class ListState:
    """How the list of a vault's names stands: ``so_far`` names were read while it ``is_reading``.

    ``has_failed`` is whether the last reading ended before the list was whole.
    """

    vault: KeyVault
    is_reading: bool
    so_far: int
    has_failed: bool


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """What was asked for at the field ``key``: names or versions (``offer``), or the state of the list alone."""

    key: str
    action: str
    template: str
    offer: Offer
    state: ListState | None = None


def state_of(vault: KeyVault) -> ListState:
    """How the list of the vault's names stands now."""
    reading = is_reading(vault, timezone.now())
    return ListState(
        vault=vault,
        is_reading=reading,
        so_far=names_so_far(vault) if reading else 0,
        has_failed=not reading and has_failed(vault),
    )


def chooser(request: PortalRequest, choice: VaultChoice, action: str, *, host: str) -> Chooser:
    """Answer *Search*, *More*, *Choose a version* or *Refresh now* of one secret's field.

    Asks the vault at most once. Opening a list that is older than ten minutes has a worker read it anew.
    """
    vault, offer, state = choice.vault, Offer(), None
    if vault is not None and action == "versions":
        name = choice.posted("name").strip() or (choice.kept.name if choice.kept else "")
        offer = offer_versions(vault, name, host=host)
    elif vault is not None:
        if action == "refresh":
            ask_for_names(vault=vault, actor=request.user)
        else:
            after = choice.posted("after") if action == "more" else ""
            offer = offer_names(vault, words=choice.posted("name"), after=after, host=host)
            refresh_if_old(vault=vault)
        state = state_of(vault)
    return Chooser(key=choice.key, action=action, template=TEMPLATES[action], offer=offer, state=state)


@require_safe
@role_required(Role.ADMINISTRATOR)
def list_state(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """How old the list of names is, or how far its reading is; asked again while that goes on."""
    vault = get_object_or_404(KeyVault, uuid=uuid)
    state = state_of(vault)
    response = render(request, "connections/_secret_list.html", {"state": state})
    if not state.is_reading and not state.has_failed:
        response["HX-Trigger"] = "combobox:read"  # the field then shows the new list
    return response


@require_POST
@role_required(Role.ADMINISTRATOR)
def refresh_list(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Have a worker read the list of names anew; one that is being read is meant."""
    vault = get_object_or_404(KeyVault, uuid=uuid)
    ask_for_names(vault=vault, actor=request.user)
    if is_fragment(request):
        vault.refresh_from_db()
        return render(request, "connections/_secret_list.html", {"state": state_of(vault)})
    messages.success(request, _("The list of secrets of %(name)s is being read.") % {"name": vault.name})
    return go_to(request, reverse("key_vault:list"))
