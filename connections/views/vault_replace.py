"""*Replace by another vault*: what would change is shown first, secret by secret."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from connections.models import KeyVault
from connections.operations.replace_vault import (
    Changed,
    Replacement,
    plan_replacement,
    replace_vault,
)
from connections.operations.vault_references import connections_of
from connections.views.vault_gone import unless_unlinked
from connections_portal.errors import OperationError
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, role_required


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
@unless_unlinked
def replace(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """Choose another vault (``to``), look at what that means, replace. Nothing changes before that was shown (422)."""
    vault = get_object_or_404(KeyVault, uuid=uuid)
    posted = request.method == "POST"
    sent = (request.POST if posted else request.GET).get("to", "")
    other = next((one for one in _others(vault) if str(one.uuid) == sent), None)
    if other is None:
        wrong = _("Choose a vault from the list.") if posted or sent else ""
        return _dialog(request, vault, None, wrong=wrong, status=422 if posted else 200)
    if not posted:
        return _dialog(request, vault, other)
    if request.POST.get("shown") != sent:
        # who asked to see it, without script, has done nothing wrong
        error = _("Look at what will change, then replace.") if "shown" in request.POST else ""
        return _dialog(request, vault, other, error=error, status=422)
    try:
        number = replace_vault(
            vault=vault, other=other, impact=request.POST.get("impact", "")[:64], actor=request.user
        )
    except OperationError as refused:
        vault = get_object_or_404(KeyVault, uuid=uuid)
        planned = refused.planned if isinstance(refused, Changed) else None
        return _dialog(request, vault, other, planned=planned, error=refused.message, status=refused.status)
    words = ngettext(
        "%(n)d connection reads its secrets from %(name)s now.",
        "%(n)d connections read their secrets from %(name)s now.",
        number,
    )
    messages.success(request, words % {"n": number, "name": other.name})
    return go_to(request, reverse("key_vault:list"))


def _others(vault: KeyVault) -> list[KeyVault]:
    return KeyVault.sorted_by_name(KeyVault.objects.exclude(pk=vault.pk))


def _dialog(
    request: PortalRequest,
    vault: KeyVault,
    other: KeyVault | None,
    *,
    planned: Replacement | None = None,
    wrong: str = "",
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    if other is not None and planned is None:
        try:
            planned = plan_replacement(vault, other)
        except OperationError as refused:
            error, status = error or refused.message, max(status, refused.status)
    context = {
        "vault": vault,
        "other": other,
        "others": _others(vault),
        "planned": planned,
        "rows": _rows(planned) if planned else [],
        "sentences": _sentences(planned, other) if planned and other else [],
        "wrong": wrong,
        "error": error,
        "action": reverse("key_vault:replace", args=[vault.uuid]),
        "cancel_url": reverse("key_vault:list"),
    }
    return page_or_fragment(
        request, "key_vault/replace.html", "key_vault/_replace.html", context, status=status
    )


def _rows(planned: Replacement) -> list[dict[str, Any]]:
    return [
        {
            "connection": one.connection,
            "field": one.label,
            "secret": one.secret.name,
            "pinned": one.secret.pinned,
            "moves": not fit.code,
            "text": fit.text,
        }
        for one, fit in planned.rows
    ]


def _sentences(planned: Replacement, other: KeyVault) -> list[str]:
    if not planned.movable:
        return [_("Nothing can be read from %(name)s instead.") % {"name": other.name}]
    number = len(connections_of(one for one, _fit in planned.movable))
    words = ngettext(
        "%(n)d connection reads its secrets from %(name)s, from the next run on.",
        "%(n)d connections read their secrets from %(name)s, from the next run on.",
        number,
    )
    said = [words % {"n": number, "name": other.name}]
    if any(one.secret.pinned for one, _fit in planned.movable):
        said.append(_("Fixed versions are of this vault only: there the latest version is read."))
    if stays := len(planned.rows) - len(planned.movable):
        words = ngettext("%(n)d secret stays where it is.", "%(n)d secrets stay where they are.", stays)
        said.append(words % {"n": stays})
    said.append(_("This vault stays linked."))
    return said
