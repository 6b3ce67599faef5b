"""*3 exports wait for a connection*: what the banner of a list says of whatever has lost its connection."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


@dataclass(frozen=True, kw_only=True)
class Banner:
    """What ``_waiting.html`` shows; without ``url`` there is no button."""

    sentence: str
    text: str
    url: str = ""
    button: str = ""
    show_url: str = ""


def banner(
    *, total: int, mine: int, may_change: bool, phrase: Callable[[int], str], url: str, show_url: str = ""
) -> Banner | None:
    """The banner over a list in which ``total`` things wait, None where nothing does.

    ``mine`` of them the person may give a connection at ``url`` (the dialog *Add connection*); these are what the
    sentence counts, the others come second. ``may_change`` is false for those who only look. ``phrase`` gives *3
    exports wait for a connection*, ``show_url`` lists what waits.
    """
    if not total:
        return None
    counted = mine or total
    keeps = ngettext(
        "It keeps its settings and does not run.", "They keep their settings and do not run.", counted
    )
    if not may_change:
        more = _("A contributor or an administrator can add one.")
    elif not mine:
        more = _("No connection of their type is shared with you.")
    elif mine < total:
        more = ngettext(
            "%(n)d more waits for a connection of a type that is not shared with you.",
            "%(n)d more wait for a connection of a type that is not shared with you.",
            total - mine,
        ) % {"n": total - mine}
    else:
        more = ""
    return Banner(
        sentence=phrase(counted),
        text=" ".join(filter(None, [keeps, more])),
        url=url if mine else "",
        button=_("Add connection") if mine else "",
        show_url=show_url,
    )
