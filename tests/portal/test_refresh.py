"""The system refresh: when it is due, its stages, and the pages that set and show it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections_portal import refresh
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import (
    AuditEntry,
    Refresh,
    RefreshKind,
    RefreshSchedule,
    RefreshStage,
    RunState,
    Trigger,
    User,
)
from connections_portal.ticking import tick
from exports.models import ExportRun, ScheduleKind
from exports.operations.edit import Timing
from exports.operations.remove import remove_export
from tests.exports.test_schedules import utc
from tests.runs.helpers import Delivery, carry

SYSTEM = Timing(kind=ScheduleKind.SYSTEM)


@dataclass
class Plan:
    kind: str = RefreshKind.DAILY
    weekdays: list[int] = field(default_factory=list)
    times: list[str] = field(default_factory=lambda: ["06:00"])
    zone: str = "UTC"


def set_daily(admin: User, *times: str, now: dt.datetime, version: int = 0) -> RefreshSchedule:
    return refresh.set_schedule(
        kind=RefreshKind.DAILY, weekdays=[], times=times, zone="UTC", version=version, actor=admin, now=now
    )


# ---- when


def test_the_next_of_several_times() -> None:
    plan = Plan(times=["06:00", "18:30"])
    assert refresh.next_refresh_at(plan, utc(2026, 1, 1, 5)) == utc(2026, 1, 1, 6)
    assert refresh.next_refresh_at(plan, utc(2026, 1, 1, 6)) == utc(2026, 1, 1, 18, 30)
    assert refresh.next_refresh_at(plan, utc(2026, 1, 1, 19)) == utc(2026, 1, 2, 6)


def test_on_days_of_the_week_in_a_zone() -> None:
    plan = Plan(kind=RefreshKind.WEEKLY, weekdays=[0, 4], times=["06:00"], zone="Europe/Berlin")
    # 1 January 2026 is a Thursday
    assert refresh.next_refresh_at(plan, utc(2026, 1, 1)) == utc(2026, 1, 2, 5)
    assert refresh.next_refresh_at(plan, utc(2026, 1, 2, 5)) == utc(2026, 1, 5, 5)


def test_clock_changes() -> None:
    plan = Plan(times=["02:30"], zone="Europe/Berlin")
    # 29 March 2026: 02:30 does not exist, it runs right after the gap, which ends at 03:00 local time
    assert refresh.next_refresh_at(plan, utc(2026, 3, 28, 12)) == utc(2026, 3, 29, 1)
    # 25 October 2026: 02:30 comes twice, it runs the first time only
    assert refresh.next_refresh_at(plan, utc(2026, 10, 24, 12)) == utc(2026, 10, 25, 0, 30)
    assert refresh.next_refresh_at(plan, utc(2026, 10, 25, 0, 30)) == utc(2026, 10, 26, 1, 30)


def test_never_while_off() -> None:
    assert refresh.next_refresh_at(Plan(kind=RefreshKind.OFF), utc(2026, 1, 1)) is None


# ---- setting it


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"times": []}, "times"),
        ({"times": ["25:00"]}, "times"),
        ({"times": ["6"]}, "times"),
        ({"times": ["06:00", "06:10"]}, "times"),
        ({"times": ["23:55", "00:05"]}, "times"),
        ({"times": ["01:00", "02:00", "03:00", "04:00", "05:00"]}, "times"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"kind": RefreshKind.WEEKLY}, "weekdays"),
        ({"kind": RefreshKind.WEEKLY, "weekdays": [9]}, "weekdays"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(admin: User, changes: dict[str, Any], wrong: str) -> None:
    values = {"kind": RefreshKind.DAILY, "weekdays": [], "times": ["06:00"], "zone": "UTC"} | changes
    with pytest.raises(OperationError) as refused:
        refresh.set_schedule(**values, version=0, actor=admin)
    assert list(refused.value.fields) == [wrong]
    assert not RefreshSchedule.objects.exists()


@pytest.mark.django_db
def test_the_second_administrator_is_told(admin: User) -> None:
    set_daily(admin, "06:00", now=utc(2026, 1, 1))
    with pytest.raises(Stale, match="changed the schedule"):
        set_daily(admin, "07:00", now=utc(2026, 1, 1), version=0)
    assert refresh.stored().times == ["06:00"]
    assert AuditEntry.objects.filter(action="refresh.scheduled").count() == 1


@pytest.mark.django_db
def test_turned_off_nothing_is_due(admin: User) -> None:
    schedule = set_daily(admin, "06:00", now=utc(2026, 1, 1))
    assert refresh.is_on()
    off = refresh.set_schedule(
        kind=RefreshKind.OFF, weekdays=[], times=[], zone="UTC", version=schedule.version, actor=admin
    )
    assert off.next_at is None
    assert not refresh.is_on()
    assert tick(now=utc(2027, 1, 1))["refreshes"] == 0


@pytest.mark.django_db
def test_only_administrators(contributor: User) -> None:
    with pytest.raises(NotAllowed):
        set_daily(contributor, "06:00", now=utc(2026, 1, 1))
    with pytest.raises(NotAllowed):
        refresh.start(actor=contributor, trigger=Trigger.PERSON)


# ---- carrying it out


@pytest.mark.both_databases
def test_exports_that_follow_run_in_the_second_stage(delivery: Delivery, admin: User) -> None:
    follows = delivery.export(name="Follows", schedule=SYSTEM)
    delivery.export(name="By hand")
    set_daily(admin, "06:00", now=utc(2026, 1, 1))
    now = utc(2026, 1, 1, 6)
    assert tick(now=now)["refreshes"] == 1
    begun = Refresh.objects.get()
    assert begun.trigger == Trigger.SCHEDULE
    # nothing to enrich: the same or the next round goes on to the exports
    tick(now=now)
    run = ExportRun.objects.get()
    assert (run.export, run.trigger, run.refresh) == (follows, Trigger.REFRESH, begun)
    tick(now=now)
    begun.refresh_from_db()
    assert begun.stage == RefreshStage.EXPORTS, "it waits for what it started"
    carry(run)
    run.refresh_from_db()
    assert run.state == RunState.SUCCESSFUL
    tick(now=now)
    begun.refresh_from_db()
    assert (begun.stage, begun.finished_at) == (RefreshStage.DONE, now)
    assert refresh.stored().next_at == utc(2026, 1, 2, 6)


def test_a_stage_is_waited_for_six_hours(delivery: Delivery, admin: User) -> None:
    delivery.export(schedule=SYSTEM)
    refresh.start(actor=admin, trigger=Trigger.PERSON, now=utc(2026, 1, 1, 6))
    tick(now=utc(2026, 1, 1, 6))
    tick(now=utc(2026, 1, 1, 11, 59))
    assert Refresh.objects.get().stage == RefreshStage.EXPORTS
    tick(now=utc(2026, 1, 1, 12, 1))
    assert Refresh.objects.get().stage == RefreshStage.DONE


def test_one_at_a_time(delivery: Delivery, admin: User) -> None:
    delivery.export(schedule=SYSTEM)
    set_daily(admin, "06:00", "07:00", now=utc(2026, 1, 1))
    tick(now=utc(2026, 1, 1, 6))
    tick(now=utc(2026, 1, 1, 6))
    with pytest.raises(refresh.UnderWay):
        refresh.start(actor=admin, trigger=Trigger.PERSON)
    # the next due time is only moved on
    assert tick(now=utc(2026, 1, 1, 7))["refreshes"] == 0
    assert Refresh.objects.count() == 1
    assert refresh.stored().next_at == utc(2026, 1, 2, 6)


def test_after_a_stop_there_is_one_catch_up(db: None, admin: User) -> None:
    set_daily(admin, "06:00", now=utc(2026, 1, 1))
    assert tick(now=utc(2026, 1, 9, 7))["refreshes"] == 1
    assert Refresh.objects.get().trigger == Trigger.CATCH_UP
    assert refresh.stored().next_at == utc(2026, 1, 10, 6)


def test_an_export_that_cannot_run_does_not_stop_the_others(delivery: Delivery, admin: User) -> None:
    from exports.operations.connection import detach_connection
    from exports.operations.run import enqueue_run

    busy = delivery.export(name="Busy", schedule=SYSTEM)
    waits = delivery.export(name="Waits", schedule=SYSTEM)
    other = delivery.export(name="Other", schedule=SYSTEM)
    enqueue_run(export=busy, actor=admin, trigger=Trigger.PERSON)
    detach_connection(export=waits, actor=admin)
    refresh.start(actor=admin, trigger=Trigger.PERSON)
    tick()
    assert [run.export for run in ExportRun.objects.filter(refresh__isnull=False)] == [other]


@pytest.mark.both_databases
def test_what_was_removed_or_waits_for_another_attempt_meanwhile(delivery: Delivery, admin: User) -> None:
    removed = delivery.export(name="Removed", schedule=SYSTEM)
    fails = delivery.export(name="Fails for a while", schedule=SYSTEM)
    begun = refresh.start(actor=admin, trigger=Trigger.PERSON, now=utc(2026, 1, 1, 6))
    tick(now=utc(2026, 1, 1, 6))
    run = ExportRun.objects.get(export=fails)
    ExportRun.objects.filter(pk=run.pk).update(attempt=1)  # queued again after a failure
    remove_export(export=removed, actor=admin)
    tick(now=utc(2026, 1, 1, 7))
    begun.refresh_from_db()
    assert begun.stage == RefreshStage.EXPORTS, "an item that is tried again has not ended"
    carry(run)
    tick(now=utc(2026, 1, 1, 7))
    begun.refresh_from_db()
    assert begun.stage == RefreshStage.DONE
    assert [run.export for run in begun.exportruns.all()] == [fails]


# ---- the pages


@pytest.fixture
def client(admin: User, client_of: Callable[[User | None], Client]) -> Client:
    return client_of(admin)


DAILY = {"kind": "daily", "time_1": "06:00", "time_2": "18:00", "zone": "Europe/Berlin", "version": "0"}


def test_the_page_stores_it(client: Client) -> None:
    assert client.post(reverse("system:schedule"), DAILY).status_code == 303
    stored = refresh.stored()
    assert (stored.kind, stored.times, stored.zone) == ("daily", ["06:00", "18:00"], "Europe/Berlin")
    page = client.get(reverse("system:schedule")).content.decode()
    assert 'value="18:00"' in page


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"kind": ""}, "Choose how often it runs."),
        ({"time_1": "", "time_2": "", "time_4": ""}, "Type at least one time"),
        ({"time_2": "99:99"}, "Type a time between 00:00 and 23:59"),
        ({"time_2": "06:05"}, "at least 15 minutes"),
        ({"zone": "Nowhere"}, "Choose a time zone from the list."),
        ({"kind": "weekly"}, "Choose at least one day of the week."),
    ],
)
def test_a_wrong_answer_is_told_and_what_was_typed_stays(
    client: Client, typed: dict[str, str], says: str
) -> None:
    answer = client.post(reverse("system:schedule"), DAILY | {"time_4": "23:00"} | typed)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert says in page
    assert '<option value="Europe/Berlin" selected>' in page or typed.get("zone")
    assert 'value="23:00"' in page or "time_4" in typed
    assert not RefreshSchedule.objects.exists()


def test_an_older_page_is_refused_and_shows_what_is_stored(client: Client) -> None:
    weekly = DAILY | {"kind": "weekly", "weekdays": ["0", "4"]}
    client.post(reverse("system:schedule"), weekly)
    answer = client.post(reverse("system:schedule"), DAILY | {"time_1": "09:00"})
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "after you opened this page" in page
    for stored in ("Weekly", "Monday, Friday", "06:00, 18:00", "Europe/Berlin"):
        assert f"<dd>{stored}</dd>" in page
    assert 'value="09:00"' in page
    # whoever has seen that may save all the same
    version = answer.context["form"]["version"].value()
    again = client.post(reverse("system:schedule"), DAILY | {"time_1": "09:00", "version": version})
    assert again.status_code == 303
    assert refresh.stored().times == ["09:00", "18:00"]


def test_saved_by_pressing_twice(client: Client) -> None:
    for _press in range(2):
        assert client.post(reverse("system:schedule"), DAILY).status_code == 303
    assert AuditEntry.objects.filter(action="refresh.scheduled").count() == 1


def test_an_item_that_was_not_waited_for_is_told(
    delivery: Delivery, admin: User, client_of: Callable[[User | None], Client]
) -> None:
    delivery.export(schedule=SYSTEM)
    begun = refresh.start(actor=admin, trigger=Trigger.PERSON, now=utc(2026, 1, 1, 6))
    for hour in (6, 13, 20):
        tick(now=utc(2026, 1, 1, hour))
    begun.refresh_from_db()
    assert begun.stage == RefreshStage.DONE
    for url in (reverse("system:status"), reverse("system:refresh", args=[begun.uuid])):
        page = client_of(admin).get(url).content.decode()
        assert "1 item is still under way" in page
        assert "Successful" not in page


def test_the_status_page_tells_what_ran(
    delivery: Delivery, admin: User, viewer: User, client_of: Callable[[User | None], Client]
) -> None:
    delivery.export(name="Follows", schedule=SYSTEM)
    begun = refresh.start(actor=admin, trigger=Trigger.PERSON)
    tick()
    looking = client_of(viewer)
    page = looking.get(reverse("system:status")).content.decode()
    assert "Refreshing" in page
    assert "1 under way" in page
    carry(ExportRun.objects.get())
    tick()
    page = looking.get(reverse("system:status")).content.decode()
    assert "1 successful" in page
    assert "Refresh now" not in page
    detail = looking.get(reverse("system:refresh", args=[begun.uuid])).content.decode()
    run = ExportRun.objects.get()
    assert reverse("exports:run", args=[run.export.uuid, run.uuid]) in detail


def test_refresh_now(client: Client) -> None:
    answer = client.post(reverse("system:refresh_now"))
    assert answer["Location"] == reverse("system:refresh", args=[Refresh.objects.get().uuid])
    again = client.post(reverse("system:refresh_now"))
    assert again["Location"] == reverse("system:status")
    assert "under way already" in client.get(again["Location"]).content.decode()


def test_the_export_form_offers_it(client: Client) -> None:
    page = client.get(reverse("exports:create")).content.decode()
    assert "With system refresh (off at the moment)" in page
    client.post(reverse("system:schedule"), DAILY)
    page = client.get(reverse("exports:create")).content.decode()
    assert "With system refresh (off" not in page
    assert "With system refresh" in page
