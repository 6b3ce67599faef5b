"""Exports that follow the system refresh: when they run next, wherever that is shown."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from connections.models import Connection
from connections.operations.pause import pause_connection
from connections_portal import refresh
from connections_portal.models import RefreshKind, RunState, User
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing

Clients = Callable[[User | None], Client]
SYSTEM = Timing(kind=ScheduleKind.SYSTEM)
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="UTC")


def turn_on(admin: User, *, hours: int = 5) -> dt.datetime:
    """Let the refresh run every day; the next time is in ``hours``."""
    due = (timezone.now() + dt.timedelta(hours=hours)).replace(second=0, microsecond=0)
    stored = refresh.set_schedule(
        kind=RefreshKind.DAILY, weekdays=[], times=[f"{due:%H:%M}"], zone="UTC", version=0, actor=admin
    )
    assert stored.next_at == due
    return due


def shown_after(page: str, label: str) -> str:
    """The text of the first 120 characters after a label, without its markup."""
    return " ".join(strip_tags(page[page.index(label) + len(label) :][:400]).split())[:40]


def test_next_run_of_an_export_that_follows(
    client_of: Clients,
    contributor: User,
    admin: User,
    connection: Connection,
    make_export: Callable[..., Export],
    make_run: Callable[..., ExportRun],
) -> None:
    export = make_export(schedule=SYSTEM)
    run = make_run(export, RunState.SUCCESSFUL)
    pages = [
        (contributor, reverse("exports:list"), 'data-label="Next run">'),
        (contributor, reverse("exports:detail", args=[export.uuid]), "<dt>Next run</dt>"),
        (contributor, reverse("exports:run", args=[export.uuid, run.uuid]), "<dt>Next run</dt>"),
        (admin, reverse("connections:detail", args=[connection.uuid]), "<dt>Next run</dt>"),
    ]
    for person, url, label in pages:
        assert shown_after(client_of(person).get(url).content.decode(), label).startswith("None"), url
    turn_on(admin)
    for person, url, label in pages:
        assert "4 hours" in shown_after(client_of(person).get(url).content.decode(), label), url
    seen = reverse("connections:remove", args=[connection.uuid]) + "?see=1"
    removal = client_of(admin).get(seen).content.decode()
    assert "4 hours" in shown_after(removal, 'data-label="Next run">')


def test_nothing_is_next_while_paused_or_detached(
    client_of: Clients,
    contributor: User,
    admin: User,
    connection: Connection,
    make_export: Callable[..., Export],
) -> None:
    turn_on(admin)
    alone = make_export("Alone", schedule=SYSTEM)
    paused = make_export("Paused", schedule=SYSTEM)
    detach_connection(export=alone, actor=contributor)
    pause_connection(connection=connection, version=connection.version, actor=admin)
    for export in (alone, paused):
        page = client_of(contributor).get(reverse("exports:detail", args=[export.uuid])).content.decode()
        assert shown_after(page, "<dt>Next run</dt>").startswith("None")
    page = client_of(admin).get(reverse("connections:detail", args=[connection.uuid])).content.decode()
    assert shown_after(page, "<dt>Next run</dt>").startswith("None planned")


@pytest.mark.both_databases
@pytest.mark.parametrize("on", [True, False])
def test_the_list_in_the_order_of_next_runs(
    client_of: Clients, contributor: User, admin: User, make_export: Callable[..., Export], on: bool
) -> None:
    if on:
        turn_on(admin, hours=1)
    make_export("By hand")
    make_export("Follows", schedule=SYSTEM)
    later = make_export("Later", schedule=DAILY)
    later.schedule.__class__.objects.filter(export=later).update(
        next_at=timezone.now() + dt.timedelta(days=2)
    )
    for sort, order in (
        ("next", ["Follows", "Later", "By hand"] if on else ["Later", "By hand", "Follows"]),
        ("-next", ["Later", "Follows", "By hand"] if on else ["Later", "By hand", "Follows"]),
    ):
        rows = client_of(contributor).get(reverse("exports:list"), {"sort": sort}).context["rows"]
        assert [row.export.name for row in rows] == order


def test_whoever_takes_one_over_is_told_that_its_schedule_goes_on(
    client_of: Clients, contributor: User, admin: User, make_export: Callable[..., Export]
) -> None:
    turn_on(admin)
    export = make_export(schedule=SYSTEM)
    Export.objects.filter(pk=export.pk).update(responsible=None)
    client = client_of(contributor)
    answer = client.post(
        reverse("exports:take_over", args=[export.uuid]), {"version": export.version}, follow=True
    )
    assert "Its schedule goes on." in answer.content.decode()
