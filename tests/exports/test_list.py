"""Data > Exports: what the list shows, finds, orders and offers."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.dependents import kinds, used_by
from connections.models import Access, Connection, State
from connections_portal.models import RunState, User, WhoActs
from exports import listing
from exports.listing import SORTS
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.connection import detach_connection
from exports.operations.edit import Timing
from tests.exports.conftest import LOYAL, ORDERS
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LIST = "/data/exports/"
Clients = Callable[[User | None], Client]


def names(page: str) -> list[str]:
    """Display names in the order of the table."""
    return re.findall(r'class="name clip-2"[^>]*title="([^"]+)"', page)


def get(client: Client, query: str = "", **headers: Any) -> str:
    response = client.get(f"{LIST}?{query}", **headers)
    assert response.status_code == 200
    return response.content.decode()


def row(page: str, name: str) -> str:
    """The text of one row, without tags."""
    html = next(part for part in page.split("<tr>") if f'title="{name}"' in part)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_nobody_has_exports_yet(
    client_of: Clients, contributor: User, viewer: User, connection: Connection
) -> None:
    page = get(client_of(contributor))
    assert "No exports yet" in page
    assert reverse("exports:create") in page
    assert reverse("exports:create") not in get(client_of(viewer))


def test_a_contributor_without_a_connection_is_told_whom_to_ask(
    client_of: Clients, outsider: User, contributor: User, connection: Connection
) -> None:
    page = get(client_of(outsider))
    assert "No connection has been shared with you. Ask an administrator:" in page
    assert "Lena Hofmann" in page
    assert "No connection has been shared" not in get(client_of(contributor))


def test_a_row_says_what_goes_where_when_and_how_it_went(
    client_of: Clients,
    contributor: User,
    make_export: Callable[..., Export],
    make_run: Callable[..., ExportRun],
) -> None:
    daily = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")
    export = make_export(items=[LOYAL, ORDERS], schedule=daily)
    text = row(get(client_of(contributor)), export.name)
    for words in (
        "1 segment, 1 table", "SFTP", "Newsletter, SFTP EU", "Not started", "Never",
        "Every day at 06:00 (Europe/Berlin)", "Can edit", "In ",
    ):  # fmt: skip
        assert words in text
    make_run(export, RunState.WARNINGS, read=1000, sent=959, rejected=41, selected=1000)
    text = row(get(client_of(contributor)), export.name)
    assert "Completed with warnings" in text
    assert "41 of 1,000 rows rejected" in text
    assert "Just now" in text


@pytest.mark.parametrize(
    ("state", "columns", "words"),
    [
        (RunState.QUEUED, {}, ["Queued", "Running now"]),
        (
            RunState.RUNNING,
            {"read": 640, "sent": 640, "selected": 1000},
            ["Processing", "64%", "Running now"],
        ),
        (RunState.PUBLISHING, {}, ["Finishing"]),
        (RunState.SUCCESSFUL, {}, ["Successful"]),
        (RunState.CANCELED, {}, ["Canceled"]),
        (
            RunState.FAILED,
            {
                "cause": "Sign-in was refused.",
                "who_acts": WhoActs.ADMINISTRATOR,
                "detail": "host.example.com",
            },
            ["Failed", "Sign-in was refused. Ask an administrator."],
        ),
        (
            RunState.QUEUED,
            {"attempt": 1, "cause": "The server did not answer.", "detail": "host.example.com"},
            ["Failed (retrying)", "Attempt 2 of 3", "The server did not answer."],
        ),
    ],
)
def test_the_status_is_that_of_the_last_run(
    client_of: Clients,
    viewer: User,
    export: Export,
    make_run: Callable[..., ExportRun],
    state: RunState,
    columns: dict[str, Any],
    words: list[str],
) -> None:
    make_run(export, RunState.FAILED, cause="An older story.")
    make_run(export, state, **columns)
    page = get(client_of(viewer))
    text = row(page, export.name)
    for word in words:
        assert word in text
    assert "An older story." not in text
    assert "host.example.com" not in page
    assert ("<progress" in page) == (state == RunState.RUNNING)


def test_a_detached_export_is_inactive_and_its_schedule_waits(
    client_of: Clients,
    contributor: User,
    make_export: Callable[..., Export],
    make_run: Callable[..., ExportRun],
) -> None:
    export = make_export(schedule=Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0)))
    make_run(export, RunState.SUCCESSFUL)
    detach_connection(export=export, actor=contributor)
    page = get(client_of(contributor))
    text = row(page, export.name)
    for words in ("No Connection", "Inactive", "Waits for a connection", "None", "Every day at 06:00"):
        assert words in text
    assert "Successful" not in text
    assert "1 export waits for a connection" in page
    assert names(get(client_of(contributor), "status=inactive")) == [export.name]


def test_each_row_offers_what_its_reader_may_do(
    client_of: Clients,
    contributor: User,
    viewer: User,
    admin: User,
    make_export: Callable[..., Export],
    hidden: Connection,
) -> None:
    mine, other = make_export("Mine"), make_export("Other", connection=hidden, actor=admin)
    loose = make_export("Loose")
    detach_connection(export=loose, actor=contributor)

    def commands(user: User, export: Export) -> set[str]:
        page = get(client_of(user))
        html = next(part for part in page.split("<tr>") if f'value="{export.uuid}"' in part)
        return set(re.findall(r'data-command="(\w+)"', html))

    always = {"edit", "rename", "schedule", "remove"}
    assert commands(contributor, mine) == always | {"run", "duplicate", "detach"}
    assert commands(contributor, loose) == always | {"attach"}
    assert commands(contributor, other) == {"view"}
    assert commands(viewer, mine) == commands(viewer, loose) == {"view"}
    assert commands(admin, other) == always | {"run", "duplicate", "detach"}
    Connection.objects.filter(pk=hidden.pk).update(state=State.NEEDS_ATTENTION)
    assert commands(admin, other) == always | {"run", "detach"}
    page = get(client_of(contributor))
    assert "Can edit" in row(page, "Mine")
    assert "View only" in row(page, "Other")


def test_search_looks_at_name_connection_and_type(
    client_of: Clients, admin: User, make_export: Callable[..., Export], hidden: Connection
) -> None:
    make_export("Loyalty MÜLLER")
    make_export("Weekly digest", connection=hidden, actor=admin)
    client = client_of(admin)
    assert names(get(client, "q=müller")) == ["Loyalty MÜLLER"]
    assert names(get(client, "q=board")) == ["Weekly digest"]
    assert len(names(get(client, "q=sftp"))) == 2
    assert names(get(client, "q=digest+board")) == ["Weekly digest"]
    page = get(client, "q=100%25_nothing")
    assert "Nothing matches your search." in page
    assert 'value="100%_nothing"' in page


def test_filters_by_status_and_type_and_ignores_what_it_does_not_know(
    client_of: Clients, viewer: User, make_export: Callable[..., Export], make_run: Callable[..., ExportRun]
) -> None:
    failed, running = make_export("Failed one"), make_export("Running one")
    make_export("New one")
    make_run(failed, RunState.FAILED)
    make_run(running, RunState.QUEUED)
    client = client_of(viewer)
    assert names(get(client, "status=failed")) == ["Failed one"]
    assert names(get(client, "status=processing")) == ["Running one"]
    assert names(get(client, "status=not_started")) == ["New one"]
    assert len(names(get(client, "type=sftp"))) == 3
    assert len(names(get(client, "status=bogus&type=bogus&sort=password&page=99&q=%00"))) == 3


def test_contributors_filter_by_what_they_may_do(
    client_of: Clients,
    make_export: Callable[..., Export],
    contributor: User,
    admin: User,
    viewer: User,
    hidden: Connection,
) -> None:
    make_export("Mine")
    make_export("Theirs", connection=hidden, actor=admin)
    mine = client_of(contributor)
    assert names(get(mine, "permissions=edit")) == ["Mine"]
    assert names(get(mine, "permissions=view&sort=-permissions")) == ["Theirs"]
    assert names(get(mine, "permissions=odd")) == ["Mine", "Theirs"]
    assert "Nothing matches" in get(mine, "permissions=view&q=mine")
    for person in (admin, viewer):
        page = get(client_of(person), "permissions=edit")
        assert names(page) == ["Mine", "Theirs"]
        assert 'name="permissions"' not in page


def test_only_administrators_filter_by_connection(
    client_of: Clients, admin: User, contributor: User, make_export: Callable[..., Export], hidden: Connection
) -> None:
    make_export("Mine")
    make_export("Board", connection=hidden, actor=admin)
    assert names(get(client_of(admin), f"connection={hidden.uuid}")) == ["Board"]
    assert len(names(get(client_of(contributor), f"connection={hidden.uuid}"))) == 2
    assert names(get(client_of(admin), "connection=nonsense")) == []


def test_every_column_sorts_both_ways(
    client_of: Clients,
    contributor: User,
    admin: User,
    make_export: Callable[..., Export],
    make_run: Callable[..., ExportRun],
    hidden: Connection,
) -> None:
    day = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0))
    week = Timing(kind=ScheduleKind.WEEK, local_time=dt.time(6, 0), weekdays=(0,))
    make_run(make_export("b", schedule=week), RunState.FAILED)
    make_run(make_export("A", connection=hidden, actor=admin, schedule=day), RunState.SUCCESSFUL)
    make_export("c")
    ExportRun.objects.filter(export__name="b").update(finished_at=timezone.now() - dt.timedelta(days=1))
    Export.objects.get(name="b").schedule.__class__.objects.filter(export__name="b").update(
        next_at=timezone.now() + dt.timedelta(days=9)
    )
    client = client_of(contributor)
    expected = {
        "name": "Abc",
        "connection": "Abc",
        "status": "bcA",
        "refreshed": "bAc",
        "next": "Abc",
        "schedule": "cAb",
        "permissions": "Abc",
        "type": "Abc",
        "updated": "bAc",
    }
    assert set(expected) == set(SORTS)
    for key, order in expected.items():
        assert "".join(names(get(client, f"sort={key}"))) == order, key
        assert f'id="sort-{key}"' in get(client)
    assert "".join(names(get(client, "sort=-name"))) == "cbA"
    assert "".join(names(get(client, "sort=-status"))) == "Acb"
    assert "".join(names(get(client, "sort=-connection"))) == "bcA"
    assert "".join(names(get(client, "sort=-next"))) == "bAc"
    assert "".join(names(get(client, "sort=-schedule"))) == "bAc"
    assert "".join(names(get(client, "sort=-updated"))) == "cAb"
    assert "".join(names(get(client, "sort=-permissions"))) == "bcA"
    assert "".join(names(get(client, "sort=-type"))) == "Abc"  # one type: by name
    assert "".join(names(get(client, "sort=-refreshed"))) == "Abc"  # what never ran stays last
    assert 'aria-sort="descending"' in get(client, "sort=-name")
    for way in ("permissions", "-permissions"):
        assert "".join(names(get(client_of(admin), f"sort={way}"))) == "Abc"  # the same for all: by name


def test_pages_and_queries_do_not_grow_with_the_exports(
    client_of: Clients,
    contributor: User,
    admin: User,
    make_export: Callable[..., Export],
    make_run: Callable[..., ExportRun],
    django_assert_max_num_queries: Any,
) -> None:
    client = client_of(contributor)
    make_run(make_export("Export 00"), RunState.SUCCESSFUL)
    get(client)
    with django_assert_max_num_queries(30) as few:
        get(client)
    others = [
        make_connection(actor=admin, name=f"Place {n}", access=Access.SPECIFIC, people=[contributor])
        for n in range(3)
    ]
    for number in range(1, 27):
        export = make_export(f"Export {number:02}", connection=others[number % 3])
        make_run(export, RunState.SUCCESSFUL)
    with django_assert_max_num_queries(30) as many:
        page = get(client)
    assert len(many.captured_queries) == len(few.captured_queries) <= 10
    assert len(names(page)) == 25
    assert "1–25 of 27" in page
    assert names(get(client, "page=2")) == ["Export 25", "Export 26"]


def test_htmx_gets_the_table_alone_with_the_order_kept(
    client_of: Clients, viewer: User, export: Export
) -> None:
    fragment = get(client_of(viewer), "q=loyal&sort=-status", HTTP_HX_REQUEST="true")
    assert fragment.count("<table") == 1
    assert "<html" not in fragment
    assert '<input type="hidden" name="sort" value="-status" form="filter">' in fragment


def test_exports_are_known_as_dependents_of_their_connection(
    make_export: Callable[..., Export], admin: User, connection: Connection, hidden: Connection
) -> None:
    make_export("One")
    assert used_by([connection.pk, hidden.pk]) == {connection.pk: ["1 export"]}
    two = make_export("Two")
    assert used_by([connection.pk]) == {connection.pk: ["2 exports"]}
    kind = next(kind for kind in kinds() if kind.key == "exports")
    assert kind.find(connection, admin)[1].url == reverse("exports:detail", args=[two.uuid])
    assert kind.list_url(connection) == f"{LIST}?connection={connection.uuid}"


def test_names_are_text_and_never_markup(
    client_of: Clients, admin: User, make_export: Callable[..., Export]
) -> None:
    connection = make_connection(actor=admin, name="<img src=x>", access=Access.ADMINISTRATORS)
    make_export("<script>alert(1)</script>", connection=connection, actor=admin)
    page = get(client_of(admin))
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_the_database_orders_by_the_last_run_over_indexes_alone(
    make_export: Callable[..., Export], make_run: Callable[..., ExportRun], admin: User
) -> None:
    if database.vendor != "sqlite":
        pytest.skip("another database explains itself otherwise")
    make_run(make_export(), RunState.SUCCESSFUL)
    # the rows of runs are long: to read them for every export would take a second at size
    for query, index in (
        ("sort=status", "last_run"),
        ("sort=-refreshed", "last_ended_run"),
        ("status=failed", "last_run"),
    ):
        want = listing.wanted(QueryDict(query), admin)
        plan = listing.found(want, admin).explain()
        assert f"USING COVERING INDEX {index} " in plan, plan


def test_failed_and_retrying_is_found_and_ordered_as_failed(
    client_of: Clients,
    contributor: User,
    make_export: Callable[..., Export],
    make_run: Callable[..., ExportRun],
) -> None:
    soon = timezone.now() + dt.timedelta(minutes=5)
    make_run(make_export("A running"), RunState.RUNNING)
    make_run(make_export("B queued"), RunState.QUEUED)
    make_run(make_export("C retrying"), RunState.QUEUED, attempt=1, not_before=soon)
    make_run(make_export("D failed"), RunState.FAILED)
    detach_connection(export=make_export("E detached"), actor=contributor)
    client = client_of(contributor)
    assert "Failed (retrying)" in row(get(client), "C retrying")
    assert names(get(client, "status=failed")) == ["C retrying", "D failed"]
    assert names(get(client, "status=processing")) == ["A running", "B queued"]
    assert names(get(client, "sort=status")) == [
        "C retrying",
        "D failed",
        "A running",
        "B queued",
        "E detached",
    ]
