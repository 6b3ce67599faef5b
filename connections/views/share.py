"""*Share*: who can use a connection (design: Sharing)."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from connections.models import Access, Connection
from connections.operations.remove import removed_type
from connections.operations.share import AccessWithdrawn, Impact, share_connection
from connections.operations.undo_share import undo_share
from connections.share_form import ShareForm
from connections.sharing import granted, is_open
from connections.views.lists import type_of, who_has_access
from connections_portal import undo
from connections_portal.errors import OperationError, Stale
from connections_portal.roles import Role
from connections_portal.web import PortalRequest, go_to, page_or_fragment, role_required, version_in

# So many exports are named before a link leads to all of them.
NAMED = 8
SHARE = "connections.share"


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def share(request: PortalRequest, uuid: UUID) -> HttpResponse:
    """The form; ``action=search`` looks for people and saves nothing; anything else that is posted saves."""
    if request.method == "POST" and removed_type(uuid):
        messages.error(request, _("The connection was removed meanwhile."))
        return go_to(request, reverse("connections:exports"))
    connection = _connection(request, uuid)
    if request.method != "POST":
        return _page(request, connection, ShareForm(connection))
    if request.POST.get("action") == "search":
        return _page(request, connection, ShareForm(connection, shown=request.POST))
    form = ShareForm(connection, request.POST)
    if not form.is_valid():
        return _page(request, connection, form, status=422)
    return _save(request, connection, form)


def _connection(request: PortalRequest, uuid: UUID) -> Connection:
    """The connection; enrichment connections have no such choice and hence no such page."""
    connections = Connection.objects.editable_by(request.user).select_related("updated_by")
    connection = get_object_or_404(connections, uuid=uuid)
    if is_open(connection.type_key):
        raise Http404
    return connection


def _save(request: PortalRequest, connection: Connection, form: ShareForm) -> HttpResponse:
    try:
        shared = share_connection(
            connection=connection,
            version=version_in(request.POST.get("version", "")),
            access=Access(form.cleaned_data["access"]),
            people=form.people(),
            groups=form.groups(),
            impact=request.POST.get("impact", "")[:64],
            keep=form.keeps,
            actor=request.user,
        )
    except AccessWithdrawn as withdrawn:
        if withdrawn.status == 409:
            form.add_error(None, withdrawn.message)
        return _page(request, connection, form, status=withdrawn.status, impact=withdrawn.impact)
    except Stale as refused:
        fresh = _connection(request, connection.uuid)
        if fresh.updated_by == request.user and granted(fresh) == form.chosen():
            return go_to(request, reverse("connections:detail", args=[fresh.uuid]))  # pressed twice
        form = ShareForm(fresh, request.POST)
        form.add_error(None, refused.message)
        return _page(request, fresh, form, status=refused.status, stale=True)
    done = _("Who can use %(name)s is saved.") % {"name": connection.name}
    undo.announce(request, done, _offer(request, shared.undo))
    return go_to(request, reverse("connections:detail", args=[connection.uuid]))


def _offer(request: PortalRequest, item: undo.Item | None) -> undo.Offer | None:
    """The button that gives the earlier access back; None where there is nothing to undo."""
    if item is None:
        return None
    return undo.offer(SHARE, actor=request.user, url=reverse("connections:undo_share"), items=[item])


@require_POST
@role_required(Role.ADMINISTRATOR)
def undo_sharing(request: PortalRequest) -> HttpResponse:
    """*Undo* after a change of who can use a connection; nothing when it is too late."""
    back = reverse("connections:exports")
    try:
        (item,) = undo.sent(request, SHARE)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name="", back=back)
    connection = Connection.objects.editable_by(request.user).filter(uuid=item.uuid).first()
    if connection is not None:
        back = reverse("connections:detail", args=[connection.uuid])
    try:
        undone = undo_share(item=item, actor=request.user)
    except OperationError as refusal:
        return undo.refuse(request, refusal, name=str(connection or ""), back=back)
    done = _("Who can use %(name)s is as it was.") % {"name": undone.connection.name}
    if undone.missed:
        done += " " + ngettext(
            "%(n)d item was changed since and stays as it is.",
            "%(n)d items were changed since and stay as they are.",
            undone.missed,
        ) % {"n": undone.missed}
    messages.success(request, done)
    return go_to(request, back)


def _page(
    request: PortalRequest,
    connection: Connection,
    form: ShareForm,
    *,
    status: int = 200,
    impact: Impact | None = None,
    stale: bool = False,
) -> HttpResponse:
    # a page that was refused as stale goes on from what it was shown; any other keeps what it was made from
    typed_version = "" if stale else request.POST.get("version", "")[:9]
    context: dict[str, Any] = {
        "connection": connection,
        "type": type_of(connection),
        "form": form,
        "version": typed_version or connection.version,
        "url": reverse("connections:share", args=[connection.uuid]),
        "cancel_url": reverse("connections:detail", args=[connection.uuid]),
        "stored": who_has_access([connection])[connection.pk] if stale else None,
        "impact": impact,
        "withdrawals": [
            {
                "sentence": " ".join(withdrawal.sentences),
                "named": withdrawal.concerned[:NAMED],
                "more": max(0, len(withdrawal.concerned) - NAMED),
                "left": [dependent.name for dependent in withdrawal.left[:NAMED]],
                "left_more": max(0, len(withdrawal.left) - NAMED),
                "all_left": len(withdrawal.left) == len(withdrawal.concerned),
                "list_url": withdrawal.list_url,
            }
            for withdrawal in (impact.withdrawals if impact else ())
        ],
    }
    return page_or_fragment(
        request, "connections/share.html", "connections/_share.html", context, status=status
    )
