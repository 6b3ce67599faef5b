"""The exports that wait for a connection: how many, of which types, and whom one person can help."""

from django.db.models import Count, Q, QuerySet
from django.urls import reverse
from django.utils.translation import ngettext

from connections.waiting import Banner, banner
from connections_portal.models import User
from exports.models import Export
from exports.permissions import may_create, types_open_to, with_edit_right


def waiting_for(user: User) -> QuerySet[Export]:
    """The exports without a connection that the person may give one, by name."""
    waiting = with_edit_right(Export.objects.filter(connection__isnull=True), user)
    return waiting.filter(Q(can_edit=True)).order_by("name_key", "pk")


def waiting_types(user: User) -> dict[str, int]:
    """How many of ``waiting_for`` there are of each type, by its key."""
    waiting = _waiting()
    open_to = types_open_to(user, waiting)
    return {key: number for key, number in waiting.items() if key in open_to}


def _waiting() -> dict[str, int]:
    """How many exports without a connection there are of each type, by its key."""
    waiting = Export.objects.filter(connection__isnull=True).order_by("type_key").values("type_key")
    return {row["type_key"]: row["number"] for row in waiting.annotate(number=Count("pk"))}


def banner_for(user: User, *, show_url: str = "") -> Banner | None:
    """What the list of exports says of those that wait; its button leads to the dialog of their one type, or to all."""
    waiting = _waiting()
    if not waiting:
        return None
    open_to = types_open_to(user, waiting)
    types = {key: number for key, number in waiting.items() if key in open_to}
    url = reverse("exports:waiting")
    if len(types) == 1:
        url = reverse("exports:attach_waiting", args=[next(iter(types))])
    return banner(
        total=sum(waiting.values()),
        mine=sum(types.values()),
        may_change=may_create(user),
        phrase=phrase,
        url=url,
        show_url=show_url,
    )


def phrase(number: int) -> str:
    """*3 exports wait for a connection*."""
    return ngettext(
        "%(number)d export waits for a connection", "%(number)d exports wait for a connection", number
    ) % {"number": number}
