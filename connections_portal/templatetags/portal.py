"""What templates need beyond Django: icons, people, times, sizes and form controls. Built in, no ``{% load %}``.

Nothing here asks the database. Times are shown in the current time zone (the reader's, set by the middleware).
"""

import functools
import math
import zlib
from datetime import datetime, timedelta
from typing import Any

from django import forms, template
from django.core.paginator import Paginator
from django.forms.boundfield import BoundField, BoundWidget
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy

from connections_portal import icons, undo

register = template.Library()

ICON_SIZES = {20: "icon", 16: "icon small"}
TYPE_ICON_CLASSES = {"tile": "type-icon tile-size", "row": "type-icon", "small": "type-icon small-size"}
MINUTE, HOUR, DAY = 60, 3600, 86400
# (used below so many seconds, seconds in the unit, wording of the past, wording of the future)
_UNITS = (
    (
        HOUR,
        MINUTE,
        ngettext_lazy("%d minute ago", "%d minutes ago"),
        ngettext_lazy("In %d minute", "In %d minutes"),
    ),
    (DAY, HOUR, ngettext_lazy("%d hour ago", "%d hours ago"), ngettext_lazy("In %d hour", "In %d hours")),
    (14 * DAY, DAY, ngettext_lazy("%d day ago", "%d days ago"), ngettext_lazy("In %d day", "In %d days")),
    (
        60 * DAY,
        7 * DAY,
        ngettext_lazy("%d week ago", "%d weeks ago"),
        ngettext_lazy("In %d week", "In %d weeks"),
    ),
    (
        365 * DAY,
        30 * DAY,
        ngettext_lazy("%d month ago", "%d months ago"),
        ngettext_lazy("In %d month", "In %d months"),
    ),
    (
        math.inf,
        365 * DAY,
        ngettext_lazy("%d year ago", "%d years ago"),
        ngettext_lazy("In %d year", "In %d years"),
    ),
)


@register.filter
def undo_of(message: Any) -> undo.Offer | None:
    """The button *Undo* that belongs to a message, if it has one."""
    return undo.offered_by(message)


@register.simple_tag
@functools.cache
def icon(name: str, size: int = 20) -> SafeString:
    """The icon inline, in the colour of its text, hidden from assistive technology; ``size`` is 20 or 16 pixels.

    Made once for each name and size: a list has hundreds of them. Raises LookupError for an unknown name and KeyError
    for another size, so that a misspelling shows at once.
    """
    return format_html(
        '<svg class="{}" viewBox="0 0 20 20" aria-hidden="true" focusable="false">{}</svg>',
        ICON_SIZES[size],
        mark_safe(icons.drawing(name)),  # noqa: S308 - our own vendored files
    )


@register.simple_tag
def type_icon(name: str, category: str, size: str = "row") -> SafeString:
    """The icon of a connection type on its category's square; ``size`` is ``tile``, ``row`` or ``small``."""
    return format_html(
        '<span class="{} tint-{}">{}</span>', TYPE_ICON_CLASSES[size], icons.tint_of(category), icon(name)
    )


@register.simple_tag
def avatar(name: str, small: bool = False, group: bool = False) -> SafeString:
    """Initials of a person (round) or group (square). The name stands beside it, so it is hidden from readers."""
    tint = icons.AVATAR_TINTS[zlib.crc32(str(name).encode()) % len(icons.AVATAR_TINTS)]
    css = f"avatar tint-{tint}{' small' if small else ''}{' square' if group else ''}"
    return format_html('<span class="{}" aria-hidden="true">{}</span>', css, initials(str(name)))


def initials(name: str) -> str:
    """Two capitals at most: of the first and last word, or the first two letters of a single word."""
    words = [word for word in name.replace(".", " ").replace("_", " ").split() if word[0].isalnum()]
    if not words:
        return "?"
    return (words[0][:2] if len(words) == 1 else words[0][0] + words[-1][0]).upper()


@register.filter
def ago(moment: datetime | None, otherwise: str = "") -> SafeString:
    """A ``<time>`` that says how far away the moment is, with the exact time as title.

    Without a moment: ``otherwise`` in grey (*Never*, *None*).
    """
    if moment is None or moment == "":
        return (
            format_html('<span class="muted no-time">{}</span>', otherwise) if otherwise else SafeString("")
        )
    return _time_element(moment, relative(moment, timezone.now()))


@register.filter
def day_time(moment: datetime | None, otherwise: str = "") -> SafeString:
    """A ``<time>`` with day and time of day ("Today, 06:00"); without a moment as ``ago``."""
    if moment is None or moment == "":
        return ago(None, otherwise)
    return _time_element(moment, day_and_time(moment, timezone.now()))


def relative(moment: datetime, now: datetime) -> str:
    """How long before or after ``now`` the moment is, in one unit, rounded down."""
    seconds = int((now - moment).total_seconds())
    amount = abs(seconds)
    if amount < MINUTE:
        return _("Just now") if seconds >= 0 else _("In less than a minute")
    _below, unit, past, future = next(entry for entry in _UNITS if amount < entry[0])
    return str((past if seconds >= 0 else future) % (amount // unit))


def day_and_time(moment: datetime, now: datetime) -> str:
    """Day and time of day in the current time zone; the days around ``now`` by their words."""
    local, today = timezone.localtime(moment), timezone.localdate(now)
    words = {0: _("Today"), -1: _("Yesterday"), 1: _("Tomorrow")}
    day = words.get((local.date() - today).days) or formats.date_format(local, "j F Y")
    return _("%(day)s, %(time)s") % {"day": day, "time": formats.date_format(local, "H:i")}


def _time_element(moment: datetime, text: str) -> SafeString:
    local = timezone.localtime(moment)
    exact = formats.date_format(local, "j F Y, H:i T")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(timespec="seconds"), exact, text
    )


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Seconds, or a timedelta, in the two units that matter: "8 s", "13 min 02 s", "1 h 05 min"; empty for None."""
    if value is None or value == "":
        return ""
    total = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if total < 1:
        return _("under 1 s")
    seconds = math.floor(total)
    if seconds < MINUTE:
        return _("%d s") % seconds
    if seconds < HOUR:
        return _("%(minutes)d min %(seconds)02d s") % {
            "minutes": seconds // MINUTE,
            "seconds": seconds % MINUTE,
        }
    return _("%(hours)d h %(minutes)02d min") % {
        "hours": seconds // HOUR,
        "minutes": seconds % HOUR // MINUTE,
    }


@register.filter("bytes")
def byte_size(value: int | str | None) -> str:
    """A number of bytes in kB, MB, GB or TB (powers of 1000), localised; empty for None."""
    if value is None or value == "":
        return ""
    amount = float(value)
    if amount < 1000:
        return ngettext("%d byte", "%d bytes", int(amount)) % int(amount)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if round(amount, 1) < 1000 or unit == "TB":
            break
    return f"{formats.number_format(round(amount, 1), 1)} {unit}"


@register.filter
def number(value: int | float | str | None) -> str:
    """A number with the language's thousand separators; empty for None."""
    return "" if value is None or value == "" else formats.number_format(value, force_grouping=True)


@register.simple_tag
def control(field: BoundField) -> SafeString:
    """The field's widget with the class of its kind. Radio buttons and groups of boxes come with their labels."""
    widget = field.field.widget
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        css = "tick" if isinstance(widget, forms.CheckboxSelectMultiple) else "radio"
        return mark_safe("".join(_option(option, css) for option in field.subwidgets))  # noqa: S308 - format_html
    css = "input"
    if isinstance(widget, forms.CheckboxInput):
        css = "switch" if widget.attrs.get("role") == "switch" else "tick"
    own = widget.attrs.get("class", "")
    return field.as_widget(attrs={"class": f"{css} {own}".strip()})


def _option(option: BoundWidget, css: str) -> SafeString:
    option.data["attrs"]["class"] = css
    return format_html('<label class="check">{}<span>{}</span></label>', option.tag(), option.choice_label)


@register.filter
def control_kind(field: BoundField) -> str:
    """Which shape ``_field.html`` gives the field: ``hidden``, ``options``, ``box``, ``select`` or ``input``."""
    widget = field.field.widget
    if widget.is_hidden:
        return "hidden"
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "options"
    if isinstance(widget, forms.CheckboxInput):
        return "box"
    if isinstance(widget, forms.Select) and not isinstance(widget, forms.SelectMultiple):
        return "select"
    return "input"


@register.filter
def page_numbers(pages: Paginator[Any], current: int) -> list[int]:
    """Page numbers to offer around ``current``; 0 stands for a gap."""
    return [
        entry if isinstance(entry, int) else 0
        for entry in pages.get_elided_page_range(current, on_each_side=2, on_ends=1)
    ]
