"""S27: a local time that is skipped runs right after the gap, a doubled one once; at most one catch-up."""

import datetime as dt
from collections.abc import Callable

import pytest

from connections_portal.models import RunState, Trigger
from connections_portal.ticking import tick
from exports import schedules
from exports.models import Export, ExportRun, ExportSchedule, ScheduleKind
from exports.operations import tick as ticking
from exports.operations.edit import Timing
from exports.operations.tick import enqueue_due
from exports.schedules import next_run_at
from tests.exports.test_schedules import Plan, following, utc
from tests.runs.helpers import Delivery


@pytest.mark.parametrize(
    ("zone", "local_time", "after", "expected"),
    [
        # the clock goes from 2:00 to 3:00
        ("Europe/Berlin", dt.time(2, 30), utc(2026, 3, 28, 2), utc(2026, 3, 29, 1)),
        ("Europe/Berlin", dt.time(2), utc(2026, 3, 28, 2), utc(2026, 3, 29, 1)),
        ("Europe/Berlin", dt.time(1, 59), utc(2026, 3, 28, 2), utc(2026, 3, 29, 0, 59)),
        ("Europe/Berlin", dt.time(3), utc(2026, 3, 28, 3), utc(2026, 3, 29, 1)),
        ("America/New_York", dt.time(2, 15), utc(2026, 3, 7, 8), utc(2026, 3, 8, 7)),
        # half an hour only, from 2:00 to 2:30
        ("Australia/Lord_Howe", dt.time(2, 10), utc(2026, 10, 3, 0), utc(2026, 10, 3, 15, 30)),
        # at midnight, to 1:00
        ("Africa/Cairo", dt.time(0, 30), utc(2026, 4, 23, 0), utc(2026, 4, 23, 22)),
        # a whole day that was never there
        ("Pacific/Apia", dt.time(10), utc(2011, 12, 29, 21), utc(2011, 12, 30, 10)),
    ],
)
def test_a_skipped_time_runs_right_after_the_gap(
    zone: str, local_time: dt.time, after: dt.datetime, expected: dt.datetime
) -> None:
    assert next_run_at(Plan(zone=zone, local_time=local_time), after) == expected


def test_around_a_gap_every_day_has_one_run() -> None:
    plan = Plan(zone="Europe/Berlin", local_time=dt.time(2, 30))
    assert following(plan, utc(2026, 3, 27, 12), 4) == [
        utc(2026, 3, 28, 1, 30),
        utc(2026, 3, 29, 1),
        utc(2026, 3, 30, 0, 30),
        utc(2026, 3, 31, 0, 30),
    ]


@pytest.mark.parametrize(
    ("zone", "local_time", "after", "expected"),
    [
        (
            "Europe/Berlin",
            dt.time(2, 30),
            utc(2026, 10, 24, 12),
            [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)],
        ),
        (
            "America/New_York",
            dt.time(1, 30),
            utc(2026, 10, 31, 12),
            [utc(2026, 11, 1, 5, 30), utc(2026, 11, 2, 6, 30)],
        ),
        (
            "Australia/Lord_Howe",
            dt.time(1, 45),
            utc(2026, 4, 4, 0),
            [utc(2026, 4, 4, 14, 45), utc(2026, 4, 5, 15, 15)],
        ),
    ],
)
def test_a_doubled_time_runs_once_the_first_time(
    zone: str, local_time: dt.time, after: dt.datetime, expected: list[dt.datetime]
) -> None:
    assert following(Plan(zone=zone, local_time=local_time), after, 2) == expected


def test_between_the_two_the_run_is_not_repeated() -> None:
    plan = Plan(zone="Europe/Berlin", local_time=dt.time(2, 30))
    assert next_run_at(plan, utc(2026, 10, 25, 0, 31)) == utc(2026, 10, 26, 1, 30)


def test_after_a_long_stop_there_is_one_catch_up(delivery: Delivery) -> None:
    timing = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6))
    export = delivery.export(schedule=timing, now=utc(2026, 1, 1))
    back = utc(2026, 1, 20, 12)
    assert tick(now=back)["schedules"] == 1
    assert tick(now=back)["schedules"] == 0
    run = ExportRun.objects.get()
    assert run.trigger == Trigger.CATCH_UP
    assert ExportSchedule.objects.get(export=export).next_at == utc(2026, 1, 21, 6)


BACK = utc(2026, 1, 20, 12)


def another_machine(export: Export) -> None:
    """The run that it queued has ended already, so that the time alone decides."""
    assert enqueue_due(now=BACK) == 1
    ExportRun.objects.update(state=RunState.SUCCESSFUL)


def somebody_chose_another_time(export: Export) -> None:
    ExportSchedule.objects.filter(export=export).update(next_at=utc(2026, 2, 1, 9))


def somebody_paused_it(export: Export) -> None:
    ExportSchedule.objects.filter(export=export).update(next_at=None)


def somebody_removed_it(export: Export) -> None:
    Export.objects.get(pk=export.pk).delete()


@pytest.mark.parametrize(
    "meanwhile",
    [another_machine, somebody_chose_another_time, somebody_paused_it, somebody_removed_it],
)
def test_a_due_time_is_moved_only_by_whoever_finds_it_as_it_was_read(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Export], None]
) -> None:
    """Something happens between reading what is due and moving it on: no second run, and that time stays."""
    export = delivery.export(
        schedule=Timing(kind=ScheduleKind.DAY, local_time=dt.time(6)), now=utc(2026, 1, 1)
    )

    def between(schedule: ExportSchedule, after: dt.datetime) -> dt.datetime | None:
        monkeypatch.setattr(ticking, "next_run_at", schedules.next_run_at)
        meanwhile(export)
        found.extend([*ExportSchedule.objects.values(), ExportRun.objects.count()])
        return utc(2026, 3, 1, 6)  # none that anybody else would choose

    found: list[object] = []
    monkeypatch.setattr(ticking, "next_run_at", between)
    assert enqueue_due(now=BACK) == 0
    assert found
    assert [*ExportSchedule.objects.values(), ExportRun.objects.count()] == found
