"""*Deactivate*, *Activate* and *Remove*: one person in a dialog, or several that are ticked in the list."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from connections_portal import answering, bulk, people
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.people_listing import shown_name
from connections_portal.roles import Role
from connections_portal.views.permissions import NAMED, superuser_notice
from connections_portal.web import (
    PortalRequest,
    back_to_list,
    go_to,
    page_or_fragment,
    role_required,
)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def deactivate(request: PortalRequest, pk: int) -> HttpResponse:
    """Ask, then keep somebody out."""
    return _dialog(
        request,
        pk,
        name="permissions:deactivate",
        title=_("Deactivate person"),
        button=_("Deactivate"),
        sentences=[
            _("They are signed out at once and cannot sign in."),
            _(
                "Role, groups and what is shared with them stay as they are, and count again when they are activated."
            ),
        ],
        done=_("%(name)s is deactivated."),
        operation=people.deactivate_person,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def activate(request: PortalRequest, pk: int) -> HttpResponse:
    """Ask, then let somebody in again."""
    person = get_object_or_404(User, pk=pk)
    error = ""
    if request.method == "POST":
        try:
            people.activate_person(person=person, actor=request.user)
        except OperationError as refused:
            error = refused.message
        else:
            messages.success(request, _("%(name)s can sign in again.") % {"name": person})
            return back_to_list(request, reverse("permissions:people"))
    context = {
        "title": _("Activate person"),
        "subject": str(person),
        "sentences": [
            _("They can sign in again with the password they had."),
            _("Their role, their groups and what is shared with them count again."),
        ],
        "button": _("Activate"),
        "neutral": True,
        "action": reverse("permissions:activate", args=[pk]),
        "cancel_url": reverse("permissions:people"),
        "error": error,
    }
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=422 if error else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def remove(request: PortalRequest, pk: int) -> HttpResponse:
    """Ask, then delete the account; whoever was removed already is gone, as was asked for."""
    return _dialog(
        request,
        pk,
        name="permissions:remove",
        title=_("Remove person"),
        button=_("Remove"),
        sentences=_what_removing_does(1),
        done=_("%(name)s is removed."),
        operation=people.remove_person,
    )


def _what_removing_does(number: int) -> list[str]:
    return [
        ngettext(
            "The account is deleted, with its groups and what is shared with it; they are signed out at once.",
            "The accounts are deleted, with their groups and what is shared with them; they are signed out at once.",
            number,
        ),
        ngettext(
            "Audit, agreements and runs keep the name. To let them come back later with the same rights, "
            "deactivate them instead.",
            "Audit, agreements and runs keep the names. To let them come back later with the same rights, "
            "deactivate them instead.",
            number,
        ),
    ]


def _dialog(
    request: PortalRequest,
    pk: int,
    *,
    name: str,
    title: str,
    button: str,
    sentences: Sequence[str],
    done: str,
    operation: Callable[..., None],
) -> HttpResponse:
    """A question with what stops by it; the answer counts for what was shown (409 when it is something else now)."""
    list_url = reverse("permissions:people")
    if request.method == "POST" and not User.objects.filter(pk=pk).exists():
        messages.success(request, _("This person is removed already."))
        return back_to_list(request, list_url)
    person = get_object_or_404(User, pk=pk)
    if not people.may_change(person, request.user):
        return page_or_fragment(request, "confirm.html", "_confirm.html", superuser_notice(person))
    error, status = "", 200
    if request.method == "POST":
        try:
            operation(person=person, seen=request.POST.get("seen", "")[:64], actor=request.user)
        except OperationError as refused:
            error, status = refused.message, refused.status
        else:
            if person == request.user or pk == request.user.pk:
                logout(request)
                return go_to(request, reverse("sign_in"))
            messages.success(request, done % {"name": person})
            return back_to_list(request, list_url)
    stopping = answering.running([pk])
    context = {
        "title": title,
        "subject": f"{person} · {person.username}",
        "sentences": [
            *([_("This is you.")] if pk == request.user.pk else []),
            *sentences,
            *(kind.sentence for kind in stopping),
        ],
        "links": [{"label": item.name, "url": item.url} for kind in stopping for item in kind.items[:NAMED]],
        "hidden": [("seen", answering.token(stopping))],
        "button": button,
        "action": reverse(name, args=[pk]),
        "cancel_url": list_url,
        "error": error,
    }
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)


@require_POST
@role_required(Role.ADMINISTRATOR)
def bulk_remove(request: PortalRequest) -> HttpResponse:
    """Ask about the ticked people, then remove one after the other; the last administrator stays."""
    return _several(
        request,
        title=_("Remove people"),
        button=_("Remove"),
        sentences=_what_removing_does,
        done=lambda n: ngettext("%(n)d person is removed.", "%(n)d people are removed.", n) % {"n": n},
        operation=people.remove_person,
    )


@require_POST
@role_required(Role.ADMINISTRATOR)
def bulk_deactivate(request: PortalRequest) -> HttpResponse:
    """The same for keeping people out."""
    return _several(
        request,
        title=_("Deactivate people"),
        button=_("Deactivate"),
        sentences=lambda _n: [
            _("They are signed out at once and cannot sign in. Their rights stay, and lie idle.")
        ],
        done=lambda n: (
            ngettext("%(n)d person is deactivated.", "%(n)d people are deactivated.", n) % {"n": n}
        ),
        operation=people.deactivate_person,
    )


def _several(
    request: PortalRequest,
    *,
    title: str,
    button: str,
    sentences: Callable[[int], list[str]],
    done: Callable[[int], str],
    operation: Callable[..., None],
) -> HttpResponse:
    list_url = reverse("permissions:people")
    try:
        chosen = User.objects.filter(pk__in=bulk.selected(request, key=bulk.number))
    except OperationError as refused:
        return bulk.refuse(request, title=title, error=refused.message, list_url=list_url)
    rows, left_out = _who(list(chosen.order_by(shown_name(), "pk")), request.user)
    stopping = answering.running([person.pk for person in rows])
    if bulk.is_confirmed(request):
        if request.POST.get("seen", "")[:64] == answering.token(stopping):
            outcome = bulk.each(
                rows, lambda row: operation(person=row, actor=request.user), bulk.Outcome(left_out=left_out)
            )
            return bulk.finish(
                request, outcome, title=title, success=done(len(outcome.done)), list_url=list_url
            )
        changed = _("This has changed since you looked. Look at it again.")
    else:
        changed = ""
    context: dict[str, Any] = {"seen": answering.token(stopping)}
    return bulk.ask(
        request,
        title=title,
        sentences=[
            *([changed] if changed else []),
            *sentences(len(rows)),
            *(kind.sentence for kind in stopping),
        ],
        rows=rows,
        key=attrgetter("pk"),
        left_out=left_out,
        button=button,
        danger=True,
        list_url=list_url,
        fields="permissions/_seen.html",
        status=409 if changed else 200,
        **context,
    )


def _who(chosen: list[User], actor: User) -> tuple[list[User], list[bulk.LeftOut]]:
    """The people that the command is for; the actor leaves by a dialog of their own, superusers by the command line."""
    rows, left_out = [], []
    for person in chosen:
        if person == actor:
            left_out.append(bulk.LeftOut(name=str(person), reason=_("This is you.")))
        elif not people.may_change(person, actor):
            reason = _("A superuser is changed on the command line only.")
            left_out.append(bulk.LeftOut(name=str(person), reason=reason))
        else:
            rows.append(person)
    return rows, left_out
