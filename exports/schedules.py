"""When an export runs by itself: pure functions over a schedule.

A local time that a clock change skips runs right after the gap, a doubled one once, the first time (rule S27). A day
that the month lacks means its last day.
"""

import calendar
import datetime as dt
from typing import Protocol
from zoneinfo import ZoneInfo

from django.utils.dates import WEEKDAYS
from django.utils.formats import time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.models import State
from connections_portal import local_times, refresh
from exports.models import Export, ScheduleKind


class Schedule(Protocol):
    """What the functions read; ``ExportSchedule`` has it."""

    kind: str
    local_time: dt.time | None
    weekdays: list[int]
    days: list[int]
    zone: str


def next_run_at(schedule: Schedule, after: dt.datetime) -> dt.datetime | None:
    """The first moment later than ``after`` (aware) at which the schedule is due, in UTC; None when it never is."""
    if schedule.kind == ScheduleKind.MANUAL or schedule.local_time is None:
        return None
    zone = ZoneInfo(schedule.zone)
    # start a day early: a gap can move yesterday's local time into today
    day = after.astimezone(zone).date() - dt.timedelta(days=1)
    # the longest wait is from the end of one month to the end of the next
    for _step in range(70):
        if _is_due_on(schedule, day):
            moment = local_times.moment(day, schedule.local_time, zone)
            if moment > after:
                return moment
        day += dt.timedelta(days=1)
    return None


def next_run(export: Export, refresh_at: dt.datetime | None) -> dt.datetime | None:
    """When the export runs next by itself; ``refresh_at``: when the next system refresh begins, None while it is off.

    Reads schedule and connection of the export as they are loaded.
    """
    if export.schedule.kind != ScheduleKind.SYSTEM:
        return export.schedule.next_at
    follows = export.connection is not None and export.connection.state != State.PAUSED
    return refresh_at if follows else None


def _is_due_on(schedule: Schedule, day: dt.date) -> bool:
    if schedule.kind == ScheduleKind.DAY:
        return True
    if schedule.kind == ScheduleKind.WEEK:
        return day.weekday() in schedule.weekdays
    last = calendar.monthrange(day.year, day.month)[1]
    return day.day in schedule.days or (day.day == last and any(wanted > last for wanted in schedule.days))


def period(schedule: Schedule) -> dt.timedelta:
    """The usual time between two runs; later than this is a catch-up."""
    days = {ScheduleKind.DAY: 1, ScheduleKind.WEEK: 7, ScheduleKind.MONTH: 28}.get(
        ScheduleKind(schedule.kind), 0
    )
    chosen = {ScheduleKind.WEEK: schedule.weekdays, ScheduleKind.MONTH: schedule.days}.get(
        ScheduleKind(schedule.kind), []
    )
    return dt.timedelta(days=days) / max(1, len(chosen))


def describe(schedule: Schedule, *, refresh_on: bool) -> str:
    """The schedule in words: *Every day at 06:00 (Europe/Berlin)*; ``refresh_on``: whether the system refresh is on."""
    if schedule.kind == ScheduleKind.SYSTEM:
        return refresh.following(refresh_on=refresh_on)
    if schedule.kind == ScheduleKind.MANUAL or schedule.local_time is None:
        return _("Manual only")
    words = {"time": time_format(schedule.local_time, "H:i"), "zone": schedule.zone.replace("_", " ")}
    if schedule.kind == ScheduleKind.DAY:
        return _("Every day at %(time)s (%(zone)s)") % words
    if schedule.kind == ScheduleKind.WEEK:
        words["days"] = ", ".join(str(WEEKDAYS[day]) for day in sorted(schedule.weekdays))
        return _("Every week on %(days)s at %(time)s (%(zone)s)") % words
    words["days"] = ", ".join(str(day) for day in sorted(schedule.days))
    return (
        ngettext(
            "Every month on day %(days)s at %(time)s (%(zone)s)",
            "Every month on days %(days)s at %(time)s (%(zone)s)",
            len(schedule.days),
        )
        % words
    )
