"""Settings > Permissions > Groups: which there are, who is in them, what is shared with them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.db.models import Count, F, OuterRef, QuerySet, Subquery, Window
from django.db.models.functions import Coalesce, Lower, RowNumber
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from connections.models import ConnectionGroupObjectPermission
from connections_portal import answering, groups, people_listing
from connections_portal.answering import Stops
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from connections_portal.names import search_words
from connections_portal.roles import Role
from connections_portal.views.members import Members
from connections_portal.views.people_forms import GroupForm
from connections_portal.views.permissions import NAMED, put_errors, shown, tab_counts
from connections_portal.web import (
    PortalRequest,
    back_to_list,
    is_fragment,
    page_or_fragment,
    paginate,
    role_required,
)

NAMED_IN_ROW = 3


@require_safe
@role_required(Role.ADMINISTRATOR)
def list_groups(request: PortalRequest) -> HttpResponse:
    """Every group that is not a role, searched, ordered and paged by the address."""
    words = search_words(request.GET.get("q", ""))
    sort = people_listing.sort_in(request.GET, people_listing.GROUP_SORTS)
    page = paginate(request, _ordered(people_listing.found_groups(words), sort))
    context: dict[str, Any] = {
        "tab": "groups",
        "words": words,
        "sort": sort,
        "page_obj": page,
        "rows": _rows(list(page)),
    }
    if not is_fragment(request):
        context["counts"] = tab_counts()
    return page_or_fragment(request, "permissions/groups.html", "permissions/_groups.html", context)


def _ordered(listed: QuerySet[Any], sort: str) -> QuerySet[Any]:
    grants = ConnectionGroupObjectPermission.objects.filter(group=OuterRef("pk")).order_by().values("group")
    shared = Coalesce(Subquery(grants.annotate(number=Count("pk")).values("number")), 0)
    columns: dict[str, Any] = {"name": Lower("name"), "members": F("members"), "shared": F("shared")}
    column = columns[sort.removeprefix("-")]
    ordered = column.desc() if sort.startswith("-") else column.asc()
    found: QuerySet[Any] = listed.annotate(shared=shared).order_by(ordered, "name")
    return found


def _rows(listed: list[Any]) -> list[dict[str, Any]]:
    """Two queries, whatever the number of groups, members and connections: the first of each."""
    ids = [group.pk for group in listed]
    members = User.groups.through.objects.filter(group_id__in=ids).select_related("user")
    names: dict[int, list[str]] = {}
    for membership in _first(members, "user__first_name", "user__last_name", "user__username"):
        names.setdefault(membership.group_id, []).append(str(membership.user))
    connections = _shared_with(ids, most=NAMED_IN_ROW)
    return [
        {
            "group": group,
            "named": names.get(group.pk, []),
            "more": max(0, group.members - NAMED_IN_ROW),
            "connections": connections.get(group.pk, []),
        }
        for group in listed
    ]


def _first(rows: QuerySet[Any], *order: str, most: int = NAMED_IN_ROW) -> QuerySet[Any]:
    """The first rows of each group in this order."""
    number = Window(RowNumber(), partition_by="group_id", order_by=order)
    first: QuerySet[Any] = rows.annotate(number=number).filter(number__lte=most).order_by(*order)
    return first


def _shared_with(ids: Iterable[int], *, most: int = 0) -> dict[int, list[Any]]:
    """By group the connections that are shared with it, by name; ``most`` of each, or all."""
    grants = ConnectionGroupObjectPermission.objects.filter(group_id__in=list(ids))
    named = grants.select_related("content_object")
    by_name = ("content_object__name_key", "pk")
    found: dict[int, list[Any]] = {}
    for grant in _first(named, *by_name, most=most) if most else named.order_by(*by_name):
        found.setdefault(grant.group_id, []).append(grant.content_object)
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def add(request: PortalRequest) -> HttpResponse:
    """Add a group; ``action=search`` looks for people and saves nothing."""
    members = Members(request.POST.getlist("members"), words=request.POST.get("q", ""))
    if request.method != "POST":
        return _page(request, None, GroupForm(), members)
    if request.POST.get("action") == "search":
        return _page(request, None, GroupForm(initial=request.POST.dict()), members)
    form = GroupForm(request.POST)
    status = 422
    if form.is_valid() and _known(form, members):
        try:
            group = groups.add_group(
                name=form.cleaned_data["name"], members=members.people, actor=request.user
            )
        except OperationError as refused:
            put_errors(form, refused)
            status = refused.status
        else:
            messages.success(request, _("The group %(name)s is added.") % {"name": group.name})
            return back_to_list(request, reverse("permissions:groups"))
    return _page(request, None, form, members, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def edit(request: PortalRequest, pk: int) -> HttpResponse:
    """Change name and members. What would stop by it is told before it is saved."""
    group = get_object_or_404(groups.groups(), pk=pk)
    if request.method != "POST":
        stored = [f"person:{pk}" for pk in group.user_set.values_list("pk", flat=True)]
        return _page(request, group, GroupForm(initial={"name": group.name}), Members(stored))
    members = Members(request.POST.getlist("members"), words=request.POST.get("q", ""))
    if request.POST.get("action") == "search":
        return _page(request, group, GroupForm(initial=request.POST.dict()), members)
    form = GroupForm(request.POST)
    if not form.is_valid() or not _known(form, members):
        return _page(request, group, form, members, status=422)
    name = form.cleaned_data["name"]
    try:
        groups.change_group(
            group=group,
            name=name,
            members=members.people,
            mark=request.POST.get("mark", "")[:64],
            seen=request.POST.get("seen", "")[:64],
            actor=request.user,
        )
    except Stops as refused:
        return _page(request, group, form, members, status=refused.status, stops=refused)
    except OperationError as refused:
        fresh = groups.groups().filter(pk=pk).first() if isinstance(refused, Stale) else None
        if not (fresh and fresh.name == name.strip() and set(fresh.user_set.all()) == set(members.people)):
            put_errors(form, refused)
            return _page(request, fresh or group, form, members, status=refused.status, stored=fresh)
        # pressed twice
    messages.success(request, _("The group %(name)s is saved.") % {"name": name.strip()})
    return back_to_list(request, reverse("permissions:groups"))


def _known(form: GroupForm, members: Members) -> bool:
    if members.unknown:
        form.add_error(None, _("Somebody you ticked was removed meanwhile. Choose the members again."))
    return not members.unknown


def _page(
    request: PortalRequest,
    group: Group | None,
    form: GroupForm,
    members: Members,
    *,
    status: int = 200,
    stops: Stops | None = None,
    stored: Group | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "members": members,
        "title": _("Edit group") if group else _("Add group"),
        "text": group.name if group else "",
        "url": reverse("permissions:group_edit", args=[group.pk])
        if group
        else reverse("permissions:group_add"),
        "cancel_url": reverse("permissions:groups"),
        "button": _("Save anyway") if stops else _("Save"),
    }
    if group:
        # a page that was refused as stale goes on from what it was shown; any other keeps what it was made from
        typed = "" if stored else request.POST.get("mark", "")[:64]
        context |= {"mark": typed or groups.mark_of(group)}
        context["connections"] = _shared_with([group.pk]).get(group.pk, [])
    if stored:
        people = ", ".join(str(person) for person in stored.user_set.order_by("first_name", "last_name"))
        context["stored"] = [(_("Name"), stored.name), (_("Members"), people)]
    if stops:
        context |= {"seen": stops.token, "stopping": shown(stops.stopping), "changed": stops.status == 409}
    return page_or_fragment(
        request, "permissions/group.html", "permissions/_group.html", context, status=status
    )


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.ADMINISTRATOR)
def remove(request: PortalRequest, pk: int) -> HttpResponse:
    """Ask, then delete the group; one that was removed already is gone, as was asked for."""
    list_url = reverse("permissions:groups")
    if request.method == "POST" and not groups.groups().filter(pk=pk).exists():
        messages.success(request, _("This group is removed already."))
        return back_to_list(request, list_url)
    group = get_object_or_404(groups.groups(), pk=pk)
    error, status = "", 200
    if request.method == "POST":
        try:
            groups.remove_group(group=group, seen=request.POST.get("seen", "")[:64], actor=request.user)
        except Stops as refused:
            error = refused.message if refused.status == 409 else ""
            return _remove_dialog(request, group, refused, error, refused.status)
        except OperationError as refused:
            error, status = refused.message, refused.status
        else:
            messages.success(request, _("The group %(name)s is removed.") % {"name": group.name})
            return back_to_list(request, list_url)
    return _remove_dialog(request, group, None, error, status)


def _remove_dialog(
    request: PortalRequest, group: Group, stops: Stops | None, error: str, status: int
) -> HttpResponse:
    """What is shared with the group and, once *Remove* was pressed, what would stop; then it is pressed again."""
    connections = _shared_with([group.pk]).get(group.pk, [])
    members = group.user_set.count()
    sentences = [
        ngettext(
            "Its %(n)d member stays and loses what is shared with the group.",
            "Its %(n)d members stay and lose what is shared with the group.",
            members,
        )
        % {"n": members}
        if members
        else _("Nobody is in it."),
    ]
    if connections:
        number = len(connections)
        text = ngettext(
            "%(n)d connection is shared with it.", "%(n)d connections are shared with it.", number
        )
        sentences.append(text % {"n": number})
    links = [
        {"label": str(connection), "url": reverse("connections:detail", args=[connection.uuid])}
        for connection in connections[:NAMED]
    ]
    if stops:
        sentences += [kind.sentence for kind in stops.stopping]
        links = [{"label": i.name, "url": i.url} for kind in stops.stopping for i in kind.items[:NAMED]]
    context = {
        "title": _("Remove group"),
        "subject": group.name,
        "sentences": sentences,
        "links": links,
        "hidden": [("seen", answering.token(stops.stopping) if stops else "")],
        "button": _("Remove anyway") if stops else _("Remove"),
        "action": reverse("permissions:group_remove", args=[group.pk]),
        "cancel_url": reverse("permissions:groups"),
        "error": error,
    }
    return page_or_fragment(request, "confirm.html", "_confirm.html", context, status=status)
