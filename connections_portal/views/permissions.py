"""Settings > Permissions: who is here, with which role and groups; adding and editing somebody."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from connections_portal import first_password, people, people_listing, roles
from connections_portal.answering import Stopping, Stops
from connections_portal.errors import OperationError, Stale
from connections_portal.groups import groups
from connections_portal.models import User
from connections_portal.roles import Role
from connections_portal.views.people_forms import MAKE, AddPerson, EditPerson, Password
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

# So many things that would stop are named.
NAMED = 8


@require_safe
@role_required(Role.ADMINISTRATOR)
def list_people(request: PortalRequest) -> HttpResponse:
    """Everybody, searched, filtered, ordered and paged by the address."""
    want = people_listing.wanted(request.GET)
    page = paginate(request, people_listing.found(want).prefetch_related("groups"))
    context: dict[str, Any] = {
        "tab": "people",
        "want": want,
        "sort": want.sort,
        "page_obj": page,
        "rows": [_row(person, request.user) for person in page],
    }
    if not is_fragment(request):
        context |= {
            "counts": tab_counts(),
            "roles": people_listing.ROLES.items(),
            "statuses": people_listing.STATUSES.items(),
        }
    return page_or_fragment(request, "permissions/people.html", "permissions/_people.html", context)


def tab_counts() -> dict[str, int]:
    """How many people and groups there are."""
    return {"people": User.objects.count(), "groups": groups().count()}


def _row(person: Any, reader: User) -> dict[str, Any]:
    role_names = {role.value for role in Role}
    return {
        "person": person,
        "role": people_listing.ROLES[person.shown_role],
        "groups": sorted(group.name for group in person.groups.all() if group.name not in role_names),
        "may_change": people.may_change(person, reader),
        "is_reader": person.pk == reader.pk,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@sensitive_variables("password")
@role_required(Role.ADMINISTRATOR)
def add(request: PortalRequest) -> HttpResponse:
    """Add somebody. A password made here is in this one answer, and nowhere else."""
    form = AddPerson(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            password = _password_of(form)
            try:
                person = people.add_person(
                    username=form.cleaned_data["username"],
                    password=password,
                    actor=request.user,
                    **form.described(),
                )
            except OperationError as refused:
                put_errors(form, refused)
                status = refused.status
            else:
                return _after_password(request, form, person, password, _("%(name)s is added."))
    context = {"form": form, "title": _("Add person"), "url": reverse("permissions:add"), "button": _("Add")}
    return _pane(request, context, status)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@sensitive_variables("password")
@role_required(Role.ADMINISTRATOR)
def set_password(request: PortalRequest, pk: int) -> HttpResponse:
    """Give somebody another first password; one's own is changed on its own page."""
    person = get_object_or_404(User, pk=pk)
    if person == request.user:
        return go_to(request, reverse("password_change"))
    form = Password(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            password = _password_of(form)
            try:
                people.set_password(person=person, password=password, actor=request.user)
            except OperationError as refused:
                put_errors(form, refused)
                status = refused.status
            else:
                return _after_password(request, form, person, password, _("%(name)s has another password."))
    context = {
        "form": form,
        "title": _("Set another password"),
        "text": str(person),
        "hint": _("Wherever they are signed in, they are signed out."),
        "url": reverse("permissions:password", args=[pk]),
        "button": _("Set password"),
    }
    return _pane(request, context, status)


def _password_of(form: forms.Form) -> str:
    """The typed one, or one that is made now."""
    if form.cleaned_data["how"] == MAKE:
        return first_password.made_password()
    return str(form.cleaned_data["password"])


def _after_password(
    request: PortalRequest, form: forms.Form, person: User, password: str, done: str
) -> HttpResponse:
    """Show the password that was made, once; a typed one is known already and not shown."""
    list_url = reverse("permissions:people")
    if form.cleaned_data["how"] != MAKE:
        messages.success(request, done % {"name": person})
        return back_to_list(request, list_url)
    context = {"person": person, "password": password, "done": done % {"name": person}, "list_url": list_url}
    answer = page_or_fragment(request, "permissions/made.html", "permissions/_made.html", context)
    return trigger(answer, listChanged=True) if is_fragment(request) else answer


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def edit(request: PortalRequest, pk: int) -> HttpResponse:
    """Change name, address, role and groups. What would stop by it is told before it is saved."""
    person = get_object_or_404(User, pk=pk)
    if not people.may_change(person, request.user):
        return page_or_fragment(request, "confirm.html", "_confirm.html", superuser_notice(person))
    if request.method != "POST":
        return _edit_page(request, person, EditPerson(person=person))
    form = EditPerson(request.POST, person=person)
    if not form.is_valid():
        return _edit_page(request, person, form, status=422)
    try:
        people.change_person(
            person=person,
            mark=request.POST.get("mark", "")[:64],
            seen=request.POST.get("seen", "")[:64],
            actor=request.user,
            **form.described(),
        )
    except Stops as refused:
        return _edit_page(request, person, form, status=refused.status, stops=refused)
    except OperationError as refused:
        if isinstance(refused, Stale) and _is_stored(person, form):
            return _after_edit(request, person)  # pressed twice
        put_errors(form, refused)
        stored = User.objects.filter(pk=pk).first() if isinstance(refused, Stale) else None
        return _edit_page(request, stored or person, form, status=refused.status, stored=stored)
    return _after_edit(request, person)


def _after_edit(request: PortalRequest, person: User) -> HttpResponse:
    if request.user == person and not roles.is_administrator(User.objects.get(pk=person.pk)):
        return go_to(request, reverse("home"))
    messages.success(request, _("%(name)s is saved.") % {"name": User.objects.get(pk=person.pk)})
    return back_to_list(request, reverse("permissions:people"))


def _is_stored(person: User, form: EditPerson) -> bool:
    """Whether what the form says is what is stored by now."""
    fresh = User.objects.filter(pk=person.pk).first()
    if fresh is None:
        return False
    said = form.described()
    own: set[Group] = set(groups().filter(user=fresh))
    same_role = said["role"] in (None, people.stored_role(fresh))
    texts = ("first_name", "last_name", "email")
    return (
        same_role and own == set(said["groups"]) and all(said[t].strip() == getattr(fresh, t) for t in texts)
    )


def _edit_page(
    request: PortalRequest,
    person: User,
    form: EditPerson,
    *,
    status: int = 200,
    stops: Stops | None = None,
    stored: User | None = None,
) -> HttpResponse:
    mark = "" if stored else request.POST.get("mark", "")[:64]
    context: dict[str, Any] = {
        "form": form,
        "title": _("Edit %(name)s") % {"name": person},
        "text": person.username,
        "url": reverse("permissions:edit", args=[person.pk]),
        "mark": mark or people.mark_of(person),
        "button": _("Save anyway") if stops else _("Save"),
        "is_superuser": person.is_superuser,
        "stored": _stored_facts(stored) if stored else (),
    }
    if stops:
        context |= {"seen": stops.token, "stopping": shown(stops.stopping), "changed": stops.status == 409}
    return _pane(request, context, status)


def _stored_facts(person: User) -> list[tuple[str, str]]:
    role = people.stored_role(person)
    return [
        (_("Name"), str(person)),
        (_("E-mail"), person.email),
        (_("Role"), str(roles.LABELS[role]) if role else _("No role")),
        (_("Groups"), ", ".join(group.name for group in groups().filter(user=person))),
    ]


def _pane(request: PortalRequest, context: Mapping[str, Any], status: int) -> HttpResponse:
    context = {"cancel_url": reverse("permissions:people"), **context}
    return page_or_fragment(
        request, "permissions/person.html", "permissions/_person.html", context, status=status
    )


def put_errors(form: forms.Form, refused: OperationError) -> None:
    """Put the messages of a refusal at their fields, else above the form."""
    at_fields = {name: message for name, message in refused.fields.items() if name in form.fields}
    for name, message in at_fields.items():
        form.add_error(name, message)
    if not at_fields:
        form.add_error(None, refused.message)


def shown(stopping: Sequence[Stopping]) -> list[dict[str, Any]]:
    """What would stop, for ``_stopping.html``: in words, and the first of each kind with links."""
    return [
        {
            "sentence": kind.sentence,
            "named": kind.items[:NAMED],
            "more": max(0, len(kind.items) - NAMED),
        }
        for kind in stopping
    ]


def superuser_notice(person: User) -> dict[str, Any]:
    """The dialog in place of one that would change a superuser."""
    return {
        "title": _("Superuser"),
        "subject": str(person),
        "sentences": [
            _(
                "A superuser counts as administrator and is changed by superusers and on the command line only."
            )
        ],
        "cancel_url": reverse("permissions:people"),
        "action": reverse("permissions:people"),
        "refused": True,
    }
