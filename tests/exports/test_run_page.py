"""Running an export from its pages, and the page of a run."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections_portal.models import AuditEntry, RunState, Trigger, User, WhoActs
from exports.models import Export, ExportAttempt, ExportFile, ExportRun, ExportTask, TaskState
from exports.operations.connection import detach_connection
from tests.exports.conftest import LOYAL, ORDERS

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
MakeRun = Callable[..., ExportRun]
SHA = "4f" * 32
SECRET_HOST = "secret-host.example.com"


def url(name: str, run: ExportRun) -> str:
    return reverse(f"exports:{name}", args=[run.export.uuid, run.uuid])


def text(response: Any) -> str:
    """The page without tags, spaces as people see them."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


@pytest.fixture
def running(make_export: Callable[..., Export], make_run: MakeRun) -> ExportRun:
    """A run in its second attempt: one item done, one at 60 %."""
    export = make_export(items=[LOYAL, ORDERS])
    run = make_run(
        export, RunState.RUNNING, attempt=2, selected=77_150, read=55_810, sent=55_252, left_out=558,
        bytes_sent=2_300_000,
    )  # fmt: skip
    now = timezone.now()
    done, half = run.tasks.all()
    ExportTask.objects.filter(pk=done.pk).update(
        state=TaskState.DONE, selected=24_310, read=24_310, sent=23_752, left_out=558, bytes_sent=1_100_000,
        reasons={"no profile": 558}, started_at=now - dt.timedelta(seconds=118), finished_at=now,
    )  # fmt: skip
    ExportTask.objects.filter(pk=half.pk).update(
        state=TaskState.RUNNING, selected=52_840, read=31_500, sent=31_500, started_at=now
    )
    ExportFile.objects.create(task=done, name="loyal_1.csv.gz", rows=23_752, size=1_100_000, sha256=SHA)
    ExportAttempt.objects.create(
        run=run, number=1, outcome="failed", started_at=now - dt.timedelta(seconds=400),
        ended_at=now - dt.timedelta(seconds=148), cause="The connection to the server failed.",
        remedy="It is tried again.", detail=f"reset by {SECRET_HOST}",
    )  # fmt: skip
    ExportAttempt.objects.create(run=run, number=2, started_at=now - dt.timedelta(seconds=65))
    return run


def test_run_queues_a_run_and_leads_to_it(export: Export, contributor: User, client_of: Clients) -> None:
    client = client_of(contributor)
    answer = client.post(reverse("exports:run_now", args=[export.uuid]))
    run = ExportRun.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, url("run", run))
    assert (run.trigger, run.started_by) == (Trigger.PERSON, contributor)
    page = text(client.get(url("run", run)))
    assert "Run started by Ana Weber, over the connection Newsletter, SFTP EU." in page
    assert "Queued" in page
    assert "This is the first run." in page


def test_a_second_run_waits_for_the_first(export: Export, contributor: User, client_of: Clients) -> None:
    client = client_of(contributor)
    client.post(reverse("exports:run_now", args=[export.uuid]))
    answer = client.post(reverse("exports:run_now", args=[export.uuid]), follow=True)
    assert "A run of this export is under way already." in text(answer)
    assert ExportRun.objects.count() == 1


def test_an_export_without_connection_does_not_run(
    export: Export, contributor: User, client_of: Clients
) -> None:
    detach_connection(export=export, actor=contributor)
    client = client_of(contributor)
    run_now = reverse("exports:run_now", args=[export.uuid])
    assert run_now not in client.get(reverse("exports:detail", args=[export.uuid])).content.decode()
    answer = client.post(run_now, follow=True)
    assert "waits for a connection" in text(answer)
    assert not ExportRun.objects.exists()


def test_people_without_the_right_neither_run_nor_cancel(
    running: ExportRun, viewer: User, outsider: User, client_of: Clients
) -> None:
    for person in (viewer, outsider):
        client = client_of(person)
        assert client.post(reverse("exports:run_now", args=[running.export.uuid])).status_code == 403
        assert client.post(url("cancel", running)).status_code == 403
        assert "Cancel job" not in text(client.get(url("run", running)))
    running.refresh_from_db()
    assert running.state == RunState.RUNNING
    assert AuditEntry.objects.filter(action="access.refused").count() == 4


def test_runs_are_started_and_canceled_by_post_only(
    running: ExportRun, admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    assert client.get(reverse("exports:run_now", args=[running.export.uuid])).status_code == 405
    assert client.get(url("cancel", running)).status_code == 405
    running.refresh_from_db()
    assert running.state == RunState.RUNNING


def test_the_page_shows_progress_rows_attempts_and_files(
    running: ExportRun, contributor: User, client_of: Clients
) -> None:
    response = client_of(contributor).get(url("run", running))
    html, page = response.content.decode(), text(response)
    assert '<progress class="done" max="24310" value="24310"' in html
    assert '<progress max="52840" value="31500"' in html
    for words in (
        "1 of 2 done",
        "Loyal 24,310 of 24,310 members Done, 1 min 58 s, 1.1 MB written",
        "Orders 31,500 of 52,840 rows Processing, 59%",
        "Attempts 2 of 3",
        "Read 55,810 of 77,150 selected",
        "Left out 558 558 members without a profile",
        "55,810 read = 55,252 sent + 558 left out + 0 rejected.",
        "Attempt 2 is running",
        "Attempt 1 failed after 4 min 12 s",
        "Cause The connection to the server failed. Next step It is tried again.",
        "loyal_1.csv.gz 23,752 rows, 1.1 MB Written; appears when everything is complete",
        SHA,
        "Cancel job",
    ):
        assert words in page, words
    assert f'data-copy="{SHA}"' in html


def test_details_of_the_service_are_for_administrators_alone(
    running: ExportRun, admin: User, contributor: User, viewer: User, client_of: Clients
) -> None:
    ExportRun.objects.filter(pk=running.pk).update(
        state=RunState.FAILED, lease_token=None, finished_at=timezone.now(), cause="The server did not answer.",
        detail=f"no route to {SECRET_HOST}", who_acts=WhoActs.ADMINISTRATOR, final_folder="loyal/2026-x",
    )  # fmt: skip
    place = {"files.example.com", "loyal/2026-x", "Agreed by"}
    export = running.export.uuid
    pages = [
        url("run", running),
        url("run_status", running),
        reverse("exports:detail", args=[export]),
        "/data/exports/",
    ]
    for person in (contributor, viewer):
        for address in pages:
            page = text(client_of(person).get(address))
            assert SECRET_HOST not in page
            assert not any(word in page for word in place), address
    page = text(client_of(admin).get(url("run", running)))
    assert f"reset by {SECRET_HOST}" in page
    assert "Shown to administrators only." in page
    assert "In loyal/2026-x" in page
    assert "Agreed by Lena Hofmann" in page


def test_a_run_that_was_refused_says_why_and_who_can_help(
    export: Export, viewer: User, client_of: Clients, make_run: MakeRun
) -> None:
    run = make_run(
        export, RunState.FAILED, attempt=0, started_at=None, cause="The connection is paused.",
        remedy="An administrator resumes it.", who_acts=WhoActs.ADMINISTRATOR,
    )  # fmt: skip
    page = text(client_of(viewer).get(url("run", run)))
    assert "The run did not start" in page
    assert (
        "Cause The connection is paused. Next step An administrator resumes it. Ask an administrator." in page
    )


def test_a_run_that_is_tried_again_says_when(running: ExportRun, viewer: User, client_of: Clients) -> None:
    later = timezone.now() + dt.timedelta(minutes=4, seconds=30)
    ExportRun.objects.filter(pk=running.pk).update(
        state=RunState.QUEUED,
        attempt=1,
        lease_token=None,
        not_before=later,
        cause="The server did not answer.",
    )
    ExportAttempt.objects.filter(run=running, number=2).delete()
    ExportAttempt.objects.filter(run=running, number=1).update(next_at=later)
    page = text(client_of(viewer).get(url("run", running)))
    assert "Failed (retrying)" in page
    assert "It is tried again. Next attempt: in 4 minutes." in page


def test_files_of_a_finished_run_are_complete_and_those_of_a_failed_one_are_not(
    running: ExportRun, viewer: User, client_of: Clients
) -> None:
    client = client_of(viewer)
    ended: dict[str, Any] = {"lease_token": None, "finished_at": timezone.now()}
    ExportRun.objects.filter(pk=running.pk).update(state=RunState.FAILED, **ended)
    assert "Not delivered" in text(client.get(url("run", running)))
    ExportRun.objects.filter(pk=running.pk).update(
        state=RunState.SUCCESSFUL, manifest={"files": {"loyal_1.csv.gz": 1, "model.json": 812}}, **ended
    )
    page = text(client.get(url("run", running)))
    assert "Not delivered" not in page
    assert "model.json describes the files, 812 bytes" in page
    assert "Successful" in page


def test_polling_goes_on_while_the_run_is_active_and_then_stops(
    running: ExportRun, contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    poll = f'hx-get="{url("run_status", running)}" hx-trigger="every 2s"'
    assert poll in client.get(url("run", running)).content.decode()
    response = client.get(url("run_status", running), HTTP_HX_REQUEST="true")
    html = response.content.decode()
    assert response.status_code == 200
    assert poll in html
    assert "<html" not in html
    assert 'id="run-tag" hx-swap-oob="true"' in html

    ExportRun.objects.filter(pk=running.pk).update(
        state=RunState.SUCCESSFUL, lease_token=None, finished_at=timezone.now()
    )
    response = client.get(url("run_status", running), HTTP_HX_REQUEST="true")
    html = response.content.decode()
    assert response.status_code == 286
    assert "every 2s" not in html
    assert "data-announce" in html
    assert "Cancel job" not in html
    assert "every 2s" not in client.get(url("run", running)).content.decode()


def test_without_script_there_is_a_link_to_look_again(
    running: ExportRun, viewer: User, client_of: Clients
) -> None:
    html = client_of(viewer).get(url("run_status", running)).content.decode()
    assert "<html" in html
    inside = html.partition('id="run-status"')[2].partition("<noscript>")[2].partition("</noscript>")[0]
    assert f'href="{url("run", running)}"' in inside
    assert "Refresh" in inside


def test_cancel_job_stops_the_run(running: ExportRun, contributor: User, client_of: Clients) -> None:
    answer = client_of(contributor).post(url("cancel", running), follow=True)
    running.refresh_from_db()
    assert running.state == RunState.CANCELED
    page = text(answer)
    assert "The run is canceled." in page
    assert "Attempt 2 was canceled" in page


def test_a_run_that_has_ended_is_not_said_to_be_canceled(
    export: Export, contributor: User, client_of: Clients, make_run: MakeRun
) -> None:
    """The files are there: nobody may read that nothing of it appears at the destination."""
    run = make_run(export, RunState.SUCCESSFUL)
    page = text(client_of(contributor).post(url("cancel", run), follow=True))
    assert "The run had ended already." in page
    assert "The run is canceled." not in page


def test_a_run_that_is_finishing_is_not_canceled(
    export: Export, contributor: User, client_of: Clients, make_run: MakeRun
) -> None:
    run = make_run(export, RunState.PUBLISHING)
    answer = client_of(contributor).post(url("cancel", run), follow=True)
    assert "The run is just finishing. Try again in a moment." in text(answer)
    run.refresh_from_db()
    assert run.state == RunState.PUBLISHING


def test_a_run_belongs_to_its_export(
    running: ExportRun, make_export: Callable[..., Export], admin: User, client_of: Clients
) -> None:
    other = make_export("Another")
    client = client_of(admin)
    for name in ("run", "run_status"):
        assert client.get(reverse(f"exports:{name}", args=[other.uuid, running.uuid])).status_code == 404
        assert client.get(reverse(f"exports:{name}", args=[running.export.uuid, uuid4()])).status_code == 404
    assert client.post(reverse("exports:cancel", args=[other.uuid, running.uuid])).status_code == 404


def test_the_export_page_shows_settings_last_run_and_history(
    make_export: Callable[..., Export], contributor: User, viewer: User, client_of: Clients, make_run: MakeRun
) -> None:
    export = make_export(items=[LOYAL, ORDERS])
    for number in range(12):
        make_run(export, RunState.SUCCESSFUL, read=1000 + number, sent=1000 + number)
    make_run(export, RunState.FAILED, cause="Sign-in was refused.", who_acts=WhoActs.ADMINISTRATOR)
    client = client_of(contributor)
    address = reverse("exports:detail", args=[export.uuid])
    page = text(client.get(address))
    for words in (
        "Compression Gzipped", "Field delimiter Comma",
        "Spreadsheet formulas Leave as they are", "Loyal", "2 fields: customer_id, email",
        "2 fields: order_id, amount", "Responsible Ana Weber", "Manual only", "Failed",
        "Sign-in was refused. Ask an administrator.", "1,011", "1–10 of 13", "2 min 00 s", "Lena Hofmann",
    ):  # fmt: skip
        assert words in page, words
    assert "1,000" not in page
    fragment = client.get(address, {"page": "2"}, HTTP_HX_REQUEST="true").content.decode()
    assert "1,000" in fragment
    assert "<html" not in fragment
    page = text(client_of(viewer).get(address))
    assert "View" in page
    assert not {"Edit", "Remove", "Detach connection"} & set(page.split())


def test_an_export_that_never_ran_says_so(export: Export, viewer: User, client_of: Clients) -> None:
    page = text(client_of(viewer).get(reverse("exports:detail", args=[export.uuid])))
    assert "Not started" in page
    assert "It never ran." in page


def test_queries_of_the_run_page_do_not_grow_with_history(
    running: ExportRun,
    make_run: MakeRun,
    viewer: User,
    client_of: Clients,
    django_assert_max_num_queries: Any,
) -> None:
    client = client_of(viewer)
    client.get(url("run", running))
    with django_assert_max_num_queries(30) as few:
        client.get(url("run", running))
    ExportRun.objects.filter(pk=running.pk).update(
        state=RunState.SUCCESSFUL, lease_token=None, finished_at=timezone.now()
    )
    for _number in range(8):
        make_run(running.export, RunState.SUCCESSFUL)
    with django_assert_max_num_queries(30) as many:
        client.get(url("run", running))
    assert len(many.captured_queries) == len(few.captured_queries)
