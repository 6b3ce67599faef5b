"""*Number of enriched customers over time* as points of a drawing and as rows of a table."""

import datetime as dt
import math
from dataclasses import dataclass

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal.templatetags.portal import number
from enrichments.listing import PUBLISHED
from enrichments.models import Enrichment

PERIODS = (7, 30, 90)
# the drawing's own units; the page scales it
WIDTH, HEIGHT = 1080, 222
LEFT, RIGHT, TOP, BOTTOM = 72, 1060, 20, 190
LABELS = 7
STEPS = 4


@dataclass(frozen=True, kw_only=True)
class Point:
    """The last result of a day; ``x`` and ``y`` are places in the drawing."""

    day: str
    count: int
    label: str
    x: str
    y: str
    last: bool


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Points, lines of the grid as ``(y, text's y, number)``, days below as ``(x, text)``; empty without results."""

    days: int
    points: list[Point]
    grid: list[tuple[str, str, str]]
    ticks: list[tuple[str, str]]
    line: str
    area: str
    summary: str


def period(text: str) -> int:
    """The number of days asked for; seven for anything that is not offered."""
    return int(text) if text in {str(days) for days in PERIODS} else PERIODS[0]


def period_choices() -> list[tuple[int, str]]:
    """What the period selector offers."""
    return [(days, ngettext("Last %(n)d day", "Last %(n)d days", days) % {"n": days}) for days in PERIODS]


def draw(enrichment: Enrichment, days: int, now: dt.datetime) -> Chart:
    """The last result of each of the last ``days`` days, today included, in the reader's time zone."""
    today = timezone.localdate(now)
    first = today - dt.timedelta(days=days - 1)
    counts = _by_day(enrichment, first)
    if not counts:
        return Chart(days=days, points=[], grid=[], ticks=[], line="", area="", summary="")
    low, high, step = _scale(min(counts.values()), max(counts.values()))
    last = max(counts)
    points = [
        Point(
            day=formats.date_format(day, "j M"),
            count=count,
            label=number(count),
            x=_n(_x(day, first, days)),
            y=_n(_y(count, low, high)),
            last=day == last,
        )
        for day, count in sorted(counts.items())
    ]
    line = " ".join(f"{p.x},{p.y}" for p in points)
    return Chart(
        days=days,
        points=points,
        grid=[
            (_n(_y(value, low, high)), _n(_y(value, low, high) + 4), number(value))
            for value in range(low, high + 1, step)
        ],
        ticks=_ticks(first, days),
        line=line if len(points) > 1 else "",
        area=f"{points[0].x},{BOTTOM} {line} {points[-1].x},{BOTTOM}" if len(points) > 1 else "",
        summary=_summary(points),
    )


def _by_day(enrichment: Enrichment, first: dt.date) -> dict[dt.date, int]:
    since = timezone.make_aware(dt.datetime.combine(first, dt.time.min))
    results = enrichment.runs.filter(state__in=PUBLISHED, finished_at__gte=since).order_by(
        "finished_at", "pk"
    )
    return {
        timezone.localdate(finished): sent
        for finished, sent in results.values_list("finished_at", "sent")
        if finished
    }


def _scale(smallest: int, largest: int) -> tuple[int, int, int]:
    """Round numbers around the values, in ``STEPS`` steps or one more: bottom, top, step."""
    spread = max(1, largest - smallest)
    raw = spread / STEPS
    power = 10 ** max(0, math.floor(math.log10(raw))) if raw > 0 else 1
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    low = smallest // step * step
    high = max(math.ceil(largest / step) * step, low + step)
    return low, high, step


def _x(day: dt.date, first: dt.date, days: int) -> float:
    return LEFT + 24 + (day - first).days * (RIGHT - LEFT - 48) / (days - 1)


def _y(count: int, low: int, high: int) -> float:
    return BOTTOM - (count - low) * (BOTTOM - TOP) / (high - low)


def _ticks(first: dt.date, days: int) -> list[tuple[str, str]]:
    """Evenly spread days to be written below, the last one among them."""
    gap = math.ceil((days - 1) / (LABELS - 1))
    shown = [first + dt.timedelta(days=n) for n in range(days - 1, -1, -gap)]
    return [(_n(_x(day, first, days)), formats.date_format(day, "j M")) for day in reversed(shown)]


def _n(value: float) -> str:
    """A coordinate: never with the reader's decimal comma."""
    return f"{value:.1f}"


def _summary(points: list[Point]) -> str:
    words = {"first": points[0].label, "last": points[-1].label, "from": points[0].day, "to": points[-1].day}
    if len(points) == 1:
        return _("%(last)s enriched customers on %(to)s") % words
    return _("Enriched customers: %(first)s on %(from)s, %(last)s on %(to)s") % words
