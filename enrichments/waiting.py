"""The enrichments that wait for a connection: how many, and of which types."""

from django.db.models import Count
from django.urls import reverse
from django.utils.translation import ngettext

from connections.waiting import Banner, banner
from connections_portal.models import User
from enrichments.listing import waiting
from enrichments.permissions import may_edit


def waiting_types() -> dict[str, int]:
    """How many enrichments of each type wait for a connection, by its key."""
    counted = waiting().order_by("type_key").values("type_key").annotate(number=Count("pk"))
    return {row["type_key"]: row["number"] for row in counted}


def banner_for(user: User, *, show_url: str = "") -> Banner | None:
    """What the list says of those that wait; its button leads to the dialog of their one type, or to all."""
    kinds = waiting_types()
    total = sum(kinds.values())
    url = reverse("enrichments:waiting")
    if len(kinds) == 1:
        url = reverse("enrichments:attach_waiting", args=[next(iter(kinds))])
    return banner(
        total=total,
        mine=total if may_edit(user) else 0,
        may_change=may_edit(user),
        phrase=phrase,
        url=url,
        show_url=show_url,
    )


def phrase(number: int) -> str:
    """*3 enrichments wait for a connection*."""
    return ngettext(
        "%(number)d enrichment waits for a connection",
        "%(number)d enrichments wait for a connection",
        number,
    ) % {"number": number}
