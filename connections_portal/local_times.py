"""Wall-clock times in a time zone, and what clock changes do to them (rule S27)."""

import datetime as dt
import functools
import re
import zoneinfo
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy

WEEKDAYS = (
    (0, gettext_lazy("Monday")),
    (1, gettext_lazy("Tuesday")),
    (2, gettext_lazy("Wednesday")),
    (3, gettext_lazy("Thursday")),
    (4, gettext_lazy("Friday")),
    (5, gettext_lazy("Saturday")),
    (6, gettext_lazy("Sunday")),
)


@functools.cache
def zones() -> tuple[str, ...]:
    """IANA names of the zones that places have, by name; UTC first."""
    names = {name for name in zoneinfo.available_timezones() if re.match(r"[A-Z][a-z]+/", name)}
    return ("UTC", *sorted(name for name in names if not name.startswith(("Etc/", "SystemV/"))))


def zone_of(name: str) -> ZoneInfo:
    """The zone that somebody chose; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def moment(day: dt.date, local_time: dt.time, zone: ZoneInfo) -> dt.datetime:
    """The wall-clock time in UTC; in a gap the first minute after it, when doubled the first of the two."""
    local = dt.datetime.combine(day, local_time, tzinfo=zone)
    found = local.astimezone(dt.UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return found
    # the clock jumps over it: with fold 1 the offset after the change is used, which lands before the jump
    before = local.replace(fold=1).astimezone(dt.UTC).replace(second=0, microsecond=0)
    offset = before.astimezone(zone).utcoffset()
    while before.astimezone(zone).utcoffset() == offset:
        before += dt.timedelta(minutes=1)
    return before
