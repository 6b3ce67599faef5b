"""Schedules in words and as moments; clock changes have a page of their own (tests/safety/test_s27_clock.py)."""

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pytest

from exports.models import ScheduleKind
from exports.schedules import describe, next_run_at, period


@dataclass(kw_only=True)
class Plan:
    """A schedule without a database."""

    kind: str = ScheduleKind.DAY
    local_time: dt.time | None = dt.time(6)
    weekdays: list[int] = field(default_factory=list)
    days: list[int] = field(default_factory=list)
    zone: str = "UTC"


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


def following(plan: Plan, after: dt.datetime, times: int) -> list[dt.datetime]:
    """So many moments one after the other."""
    moments = []
    for _time in range(times):
        moment = next_run_at(plan, after)
        assert moment is not None
        moments.append(moment)
        after = moment
    return moments


def test_every_day_is_the_next_one_later_than_now() -> None:
    plan = Plan(local_time=dt.time(6))
    assert next_run_at(plan, utc(2026, 3, 3, 5, 59)) == utc(2026, 3, 3, 6)
    assert next_run_at(plan, utc(2026, 3, 3, 6)) == utc(2026, 3, 4, 6)
    assert next_run_at(plan, utc(2026, 12, 31, 6, 0, 1)) == utc(2027, 1, 1, 6)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Berlin", utc(2026, 1, 10, 5)),
        ("America/New_York", utc(2026, 1, 10, 11)),
        ("Asia/Kolkata", utc(2026, 1, 10, 0, 30)),
        ("Pacific/Kiritimati", utc(2026, 1, 10, 16)),
        ("Pacific/Pago_Pago", utc(2026, 1, 10, 17)),
    ],
)
def test_local_time_is_that_of_the_zone(zone: str, expected: dt.datetime) -> None:
    before = utc(2026, 1, 9, 18) if zone != "Asia/Kolkata" else utc(2026, 1, 9, 12)
    assert next_run_at(Plan(zone=zone), before) == expected


def test_in_utc_whatever_the_zone() -> None:
    moment = next_run_at(Plan(zone="Asia/Tokyo"), dt.datetime(2026, 5, 1, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert moment is not None
    assert moment.utcoffset() == dt.timedelta(0)


def test_every_week_on_the_chosen_days_of_the_zone() -> None:
    # Monday and Friday, at a time that is still Sunday and Thursday in UTC
    plan = Plan(kind=ScheduleKind.WEEK, weekdays=[0, 4], local_time=dt.time(1), zone="Asia/Tokyo")
    assert following(plan, utc(2026, 11, 18), 3) == [
        utc(2026, 11, 19, 16),
        utc(2026, 11, 22, 16),
        utc(2026, 11, 26, 16),
    ]


def test_every_month_and_a_day_it_lacks_is_its_last() -> None:
    plan = Plan(kind=ScheduleKind.MONTH, days=[31])
    assert following(plan, utc(2026, 1, 15), 5) == [
        utc(2026, 1, 31, 6),
        utc(2026, 2, 28, 6),
        utc(2026, 3, 31, 6),
        utc(2026, 4, 30, 6),
        utc(2026, 5, 31, 6),
    ]


def test_several_days_a_month_lacks_are_one_run() -> None:
    plan = Plan(kind=ScheduleKind.MONTH, days=[1, 29, 30, 31])
    assert following(plan, utc(2026, 2, 2), 3) == [
        utc(2026, 2, 28, 6),
        utc(2026, 3, 1, 6),
        utc(2026, 3, 29, 6),
    ]


def test_the_29th_of_february() -> None:
    plan = Plan(kind=ScheduleKind.MONTH, days=[29])
    assert next_run_at(plan, utc(2028, 2, 1)) == utc(2028, 2, 29, 6)
    assert next_run_at(plan, utc(2027, 2, 1)) == utc(2027, 2, 28, 6)
    assert next_run_at(plan, utc(2028, 2, 29, 6)) == utc(2028, 3, 29, 6)


def test_manual_and_incomplete_ones_are_never_due() -> None:
    assert next_run_at(Plan(kind=ScheduleKind.MANUAL), utc(2026, 1, 1)) is None
    assert next_run_at(Plan(local_time=None), utc(2026, 1, 1)) is None
    assert next_run_at(Plan(kind=ScheduleKind.WEEK), utc(2026, 1, 1)) is None
    assert next_run_at(Plan(kind=ScheduleKind.MONTH), utc(2026, 1, 1)) is None


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan(), dt.timedelta(days=1)),
        (Plan(kind=ScheduleKind.WEEK, weekdays=[3]), dt.timedelta(days=7)),
        (Plan(kind=ScheduleKind.MONTH, days=[1, 15]), dt.timedelta(days=14)),
    ],
)
def test_the_usual_time_between_two_runs(plan: Plan, expected: dt.timedelta) -> None:
    assert period(plan) == expected


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Plan(kind=ScheduleKind.MANUAL), "Manual only"),
        (Plan(kind=ScheduleKind.SYSTEM, local_time=None), "With system refresh"),
        (Plan(zone="Europe/Berlin"), "Every day at 06:00 (Europe/Berlin)"),
        (
            Plan(kind=ScheduleKind.WEEK, weekdays=[4, 0], local_time=dt.time(18, 5), zone="America/New_York"),
            "Every week on Monday, Friday at 18:05 (America/New York)",
        ),
        (Plan(kind=ScheduleKind.MONTH, days=[15]), "Every month on day 15 at 06:00 (UTC)"),
        (Plan(kind=ScheduleKind.MONTH, days=[31, 1]), "Every month on days 1, 31 at 06:00 (UTC)"),
    ],
)
def test_in_words(plan: Plan, words: str) -> None:
    assert describe(plan, refresh_on=True) == words


def test_one_that_follows_the_system_refresh_says_when_that_is_off() -> None:
    follows = Plan(kind=ScheduleKind.SYSTEM, local_time=None)
    assert describe(follows, refresh_on=False) == "Follows the system refresh (off)"
    assert next_run_at(follows, utc(2026, 1, 1)) is None
