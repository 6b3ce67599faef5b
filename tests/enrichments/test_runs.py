"""Runs of enrichments against a server, from the file to the table, and every way in which they can end."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections.models import Connection, State
from connections.operations.pause import pause_connection
from connections_portal import customer_data, runs
from connections_portal.customer_data import Kind
from connections_portal.errors import FinishingRun
from connections_portal.models import AuditEntry, Refresh, RefreshStage, RunState, Trigger, User, WhoActs
from connections_portal.refresh import start as start_refresh
from connections_portal.roles import Role, assign
from connections_portal.ticking import tick
from enrichments import tables
from enrichments.models import EnrichmentRun
from enrichments.operations import execute
from enrichments.operations.delete import delete_enrichment
from enrichments.operations.run import CannotRun, cancel_run, enqueue_run
from enrichments.operations.state import deactivate
from tests.enrichments.bringing import (
    COUNTS,
    FILE,
    Bringing,
    carry,
    carry_again,
    claimed,
    lose_worker,
    shown,
)

pytestmark = pytest.mark.both_databases


def test_the_file_becomes_a_table(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    assert carry(run) == "warnings"
    assert {name: getattr(run, name) for name in COUNTS} == COUNTS
    assert run.reasons == {"duplicate": 2, "unknown_customer": 1}
    assert run.selected == 4
    assert run.coverage == [["score", "Score", "whole number", 2], ["channel", "Channel", "text", 1]]
    assert shown("Scores") == {"c1": {"score": 10, "channel": "mail"}, "c3": {"score": 30, "channel": None}}
    with customer_data.open_for_page() as engine:
        assert customer_data.count(engine, Kind.TABLE, "Scores") == 2
    attempt = run.attempts.get()
    assert (attempt.outcome, attempt.number) == ("done", 1)


def test_the_audit_tells_who_what_and_how_it_ended(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    before = AuditEntry.objects.count()
    carry(run)
    told = list(AuditEntry.objects.order_by("pk")[before:].values_list("action", "object_label"))
    assert told == [
        ("secret.used", bringing.connection.name),
        ("enrichment.run_finished", "Scores"),
    ]
    finished = AuditEntry.objects.latest("pk")
    assert finished.details == {"run": str(run.uuid), "state": "warnings", "code": "", **COUNTS}


def test_only_the_members_of_a_segment(bringing: Bringing) -> None:
    run = bringing.start(bringing.enrichment(segment="loyal"))
    bringing.put("customer_id,score,channel\nc1,1,a\nc4,4,d\n")
    assert carry(run) == "successful"
    assert (run.sent, run.left_out, run.reasons) == (1, 1, {"not_in_segment": 1})
    assert shown("Scores") == {"c1": {"score": 1, "channel": "a"}}


def test_a_second_run_replaces_the_table_in_one_step(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    carry(bringing.start(enrichment))
    first = tables.current_folder("Scores")
    bringing.put("customer_id,score,channel\nc4,7,web\n")
    assert carry(bringing.start(enrichment)) == "successful"
    assert shown("Scores") == {"c4": {"score": 7, "channel": "web"}}
    assert tables.current_folder("Scores") != first


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "empty"),
        ("customer_id,score,channel\r\n", "empty"),
        ("customer_id,points\r\nc1,1\r\n", "wrong_columns"),
        (b"customer_id,score,channel\nc1,1,\xff\xfe\n", "not_utf8"),
        ("customer_id,score,channel\nnobody,1,a\n", "nothing_enriched"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_run_and_leaves_the_table(
    bringing: Bringing, content: str | bytes, code: str
) -> None:
    enrichment = bringing.enrichment()
    carry(bringing.start(enrichment))
    good = shown("Scores")
    bringing.put(content)
    run = bringing.start(enrichment)
    assert carry(run) == "failed"
    assert run.code == code
    assert run.who_acts == WhoActs.EDITOR
    assert run.cause
    assert shown("Scores") == good
    bringing.connection.refresh_from_db()
    assert bringing.connection.state == State.READY, "the connection is not to blame"
    assert_nothing_is_left(keeps=1)


def assert_nothing_is_left(*, keeps: int) -> None:
    """No folder but those of published runs, hidden ones included."""
    from django.conf import settings

    place = Path(settings.ENRICHMENTS_DIR) / "Scores"
    left = [path.name for path in place.iterdir() if path.name != "current"] if place.exists() else []
    assert len(left) == keeps, left


def test_a_missing_file_asks_for_an_administrator_or_editor(bringing: Bringing) -> None:
    run = bringing.start(bringing.enrichment(options={"path": "in", "filename": "other.csv"}))
    assert carry(run) == "failed"
    assert run.code == "file_missing"
    assert bringing.server.host not in run.cause
    assert_nothing_is_left(keeps=0)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    bringing: Bringing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bringing.put()
    run = bringing.start(bringing.enrichment())
    from enrichments.importing import staging

    original = staging.stage

    def changed(*arguments: object, **more: object) -> object:
        staged = original(*arguments, **more)  # type: ignore[arg-type]
        path.write_text(FILE.replace("10", "11"))
        os.utime(path, (1, 1))
        return staged

    monkeypatch.setattr(staging, "stage", changed)
    assert carry(run) == "retry"
    assert (run.code, run.attempts.get().outcome) == ("file_changed", "failed")
    assert shown("Scores") is None
    monkeypatch.undo()
    assert carry_again(run) == "warnings"
    assert run.attempt == 2


def test_a_server_away_is_tried_again_and_then_it_failed(bringing: Bringing, settings: Settings) -> None:
    settings.RUN_MAX_ATTEMPTS = 2
    run = bringing.start(bringing.enrichment())
    bringing.box.faults.cut_reading_after = 0
    assert carry(run) == "retry"
    assert carry_again(run) == "failed"
    assert run.attempts.count() == 2


# ---- who may, and what may be used


def test_only_an_active_enrichment_with_a_connection_runs(bringing: Bringing, contributor: User) -> None:
    enrichment = bringing.enrichment()
    deactivate(enrichment=enrichment, actor=contributor)
    with pytest.raises(CannotRun, match="inactive"):
        bringing.start(enrichment)


def test_one_run_at_a_time(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    bringing.start(enrichment)
    with pytest.raises(CannotRun, match="under way already"):
        bringing.start(enrichment)


def test_a_contributor_runs_it_and_a_viewer_does_not(
    bringing: Bringing, contributor: User, viewer: User
) -> None:
    enrichment = bringing.enrichment()
    with pytest.raises(CannotRun):
        bringing.start(enrichment, actor=viewer)
    assert carry(bringing.start(enrichment, actor=contributor)) == "warnings"


def test_who_lost_the_role_meanwhile_starts_nothing(bringing: Bringing, contributor: User) -> None:
    run = bringing.start(bringing.enrichment(), actor=contributor)
    assign(user=contributor, role=Role.VIEWER)
    assert carry(run) == "refused"
    assert (run.state, run.code) == (RunState.FAILED, "no_right")
    assert not AuditEntry.objects.filter(action="secret.used", object_uuid=bringing.connection.uuid).exists()


def test_the_refresh_needs_the_right_of_the_responsible_person(bringing: Bringing, contributor: User) -> None:
    enrichment = bringing.enrichment(actor=contributor)
    contributor.is_active = False
    contributor.save()
    run = enqueue_run(enrichment=enrichment, actor=None, trigger=Trigger.REFRESH)
    assert carry(run) == "refused"
    assert run.code == "no_right"
    assert "responsible" in run.cause


@pytest.mark.parametrize("loses", ["starter", "responsible"])
def test_a_retry_needs_the_right_of_the_responsible_person_alone(
    bringing: Bringing, contributor: User, outsider: User, loses: str
) -> None:
    run = bringing.start(bringing.enrichment(actor=contributor), actor=outsider)
    bringing.box.faults.cut_reading_after = 0
    assert carry(run) == "retry"
    bringing.box.faults.cut_reading_after = None
    assign(user=outsider if loses == "starter" else contributor, role=Role.VIEWER)
    assert carry_again(run) == ("warnings" if loses == "starter" else "refused")
    assert run.code == ("" if loses == "starter" else "no_right")


def test_a_paused_connection_cancels_and_refuses(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    connection = Connection.objects.get(pk=bringing.connection.pk)
    pause_connection(connection=connection, version=connection.version, actor=bringing.admin)
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    later = bringing.start(enrichment)
    assert carry(later) == "refused"
    assert later.code == "paused"


# ---- canceled, lost, publishing


def test_canceled_while_it_reads_it_stops_and_leaves_nothing(bringing: Bringing) -> None:
    bringing.put(FILE + "".join(f"x{n},1,a\r\n" for n in range(400_000)))
    run = bringing.start(bringing.enrichment())
    bringing.box.faults.hold_reading_after = 1_000_000
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(_elsewhere, run)
        try:
            assert bringing.box.holding.wait(20)
            cancel_run(run=run, actor=bringing.admin)
        finally:
            bringing.box.release()
        assert future.result(30) == "lost"
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert run.attempts.get().outcome == "canceled"
    assert shown("Scores") is None
    assert_nothing_is_left(keeps=0)


def _elsewhere(run: EnrichmentRun) -> str:
    try:
        return execute.execute_run(run_id=run.pk, worker="elsewhere")
    finally:
        database.close()


def test_a_lost_worker_is_replaced(bringing: Bringing) -> None:
    run = bringing.start(bringing.enrichment())
    claimed(run)
    lose_worker(run)
    assert tick()["leases"] == 1
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.QUEUED, "worker_lost")
    assert carry(run) == "warnings"


@pytest.mark.parametrize("obstacle", ["link", "file"])
def test_a_place_that_cannot_be_written_to_ends_the_attempt_and_says_so(
    bringing: Bringing, settings: Settings, tmp_path: Path, obstacle: str
) -> None:
    place = Path(settings.ENRICHMENTS_DIR) / "Scores"
    place.parent.mkdir()
    if obstacle == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    run = bringing.start(bringing.enrichment())
    assert carry(run) == "retry"
    assert (run.code, run.attempts.get().outcome) == ("no_folder", "failed")
    assert "ENRICHMENTS_DIR" in run.remedy
    assert bringing.box.seen.requests == []
    place.unlink()
    assert carry_again(run) == "warnings"


def test_publishing_that_was_left_is_finished_by_the_next_one(
    bringing: Bringing, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)

    def full(table: str, name: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "publish", full)
    assert carry(run) == "publishing later"
    assert shown("Scores") is None
    with pytest.raises(FinishingRun):
        deactivate(enrichment=enrichment, actor=bringing.admin)
    with pytest.raises(FinishingRun):
        delete_enrichment(enrichment=enrichment, actor=bringing.admin)
    monkeypatch.undo()
    lose_worker(run)
    assert carry(run) == "warnings"
    assert shown("Scores") is not None


def test_a_worker_that_wakes_up_late_puts_no_older_result_back(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    run = bringing.start(enrichment)
    lease = claimed(run)
    old = tables.new_folder("Scores", f"run-{run.uuid.hex}-{lease.token.hex[:8]}")
    lease.write(RunState.RUNNING, state=RunState.PUBLISHING, result_folder=old.name)
    run.refresh_from_db()
    # it froze here; somebody else finished the run, and a later one brought something newer
    lose_worker(run)
    assert carry(run) == "successful"
    bringing.put("customer_id,score,channel\nc4,7,web\n")
    carry(bringing.start(enrichment))
    with pytest.raises(runs.LeaseLost):
        execute._publish(run, lease)
    assert shown("Scores") == {"c4": {"score": 7, "channel": "web"}}


def test_deleting_takes_the_table_along(bringing: Bringing, settings: Settings) -> None:
    enrichment = bringing.enrichment()
    carry(bringing.start(enrichment))
    delete_enrichment(enrichment=enrichment, actor=bringing.admin)
    assert not EnrichmentRun.objects.exists()
    assert not (Path(settings.ENRICHMENTS_DIR) / "Scores").exists()
    with customer_data.open_for_page() as engine:
        assert "Scores" not in {item.name for item in engine.items()}


def test_the_system_refresh_runs_enrichments_before_exports(bringing: Bringing) -> None:
    enrichment = bringing.enrichment()
    inactive = bringing.enrichment(name="Off", table_name="Off")
    deactivate(enrichment=inactive, actor=bringing.admin)
    begun = start_refresh(actor=bringing.admin, trigger=Trigger.PERSON)
    run = EnrichmentRun.objects.get()
    assert (run.enrichment, run.refresh, run.trigger) == (enrichment, begun, Trigger.REFRESH)
    tick()
    assert Refresh.objects.get().stage == RefreshStage.ENRICHMENTS
    carry(run)
    tick()
    tick()
    assert Refresh.objects.get().stage == RefreshStage.DONE


def test_its_page_in_the_status_of_the_refresh(
    bringing: Bringing, client_of: Callable[[User | None], Client]
) -> None:
    bringing.enrichment()
    begun = start_refresh(actor=bringing.admin, trigger=Trigger.PERSON)
    run = EnrichmentRun.objects.get()
    page = client_of(bringing.admin).get(reverse("system:refresh", args=[begun.uuid])).content.decode()
    assert reverse("enrichments:run", args=[run.enrichment.uuid, run.uuid]) in page
