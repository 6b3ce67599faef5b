"""What goes wrong at the service or with the data, and what a run then says and leaves behind."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.models import Connection, State
from connections_portal.models import AuditEntry, RunState, User, WhoActs
from connections_portal.sandbox import SandboxServer
from exports.models import ExportAttempt, ExportRun, TaskState
from tests.connectors.servers import free_port
from tests.data import CUSTOMERS
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    LOYAL_LINES,
    ORDERS,
    Delivery,
    carry,
    carry_again,
    connect,
    folders,
    lines,
    lose_worker,
    make_export,
    start,
    tree,
    write_events,
)


def secrets_read() -> int:
    return AuditEntry.objects.filter(action="secret.used").count()


def state_of(connection: Connection) -> State:
    return State(Connection.objects.get(pk=connection.pk).state)


# ---- the service


def test_a_refused_sign_in_needs_an_administrator_until_a_run_succeeds(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.refuse_sign_in = True
    run = start(export)
    assert carry(run) == "failed"
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, "sign_in_refused", WhoActs.ADMINISTRATOR)
    assert run.attempt == 1  # a wrong password is not tried three times
    connection = Connection.objects.get(pk=delivery.connection.pk)
    assert (connection.state, connection.state_cause) == (State.NEEDS_ATTENTION, run.cause)
    told = AuditEntry.objects.get(action="connection.needs_attention")
    assert (told.object_uuid, told.details) == (connection.uuid, {"code": "sign_in_refused"})
    ended = AuditEntry.objects.get(action="export.run_finished")
    assert (ended.details["state"], ended.details["code"]) == ("failed", "sign_in_refused")

    delivery.box.faults.refuse_sign_in = False
    assert carry(start(export)) == "successful"
    connection.refresh_from_db()
    assert (connection.state, connection.state_cause) == (State.READY, "")


def test_no_text_of_a_failed_run_holds_the_password(delivery: Delivery) -> None:
    delivery.box.faults.refuse_sign_in = True
    run = start(delivery.export())
    carry(run)
    rows = [*ExportRun.objects.values(), *ExportAttempt.objects.values(), *AuditEntry.objects.values()]
    assert delivery.box.seen.passwords == 1
    assert delivery.server.password not in repr(rows)


def test_a_server_that_is_away_is_tried_again_and_then_given_up(
    delivery: Delivery, admin: User, settings: Settings
) -> None:
    settings.RUN_MAX_ATTEMPTS = 2
    port = free_port()
    delivery.allow(port)
    away = connect(replace(delivery.server, port=port), actor=admin, name="Away")
    run = start(make_export(away, actor=admin))
    DBTaskResult.objects.all().delete()
    assert carry(run) == "retry"
    assert (run.state, run.code, run.attempt, run.lease_token) == (
        RunState.QUEUED,
        "server_refused",
        1,
        None,
    )
    assert run.is_retrying
    attempt = run.attempts.get()
    assert (attempt.outcome, attempt.next_at) == (ExportAttempt.Outcome.FAILED, run.not_before)
    assert attempt.ended_at is not None
    waits = (run.not_before - attempt.ended_at).total_seconds()
    assert 14 <= waits <= 19
    message = DBTaskResult.objects.get()
    assert message.run_after >= run.not_before
    assert carry(run) == "not due"
    assert carry_again(run) == "failed"
    assert (run.state, run.attempt) == (RunState.FAILED, 2)
    assert [a.outcome for a in run.attempts.all()] == [ExportAttempt.Outcome.FAILED] * 2
    assert state_of(away) == State.READY  # nobody has to change the connection


def test_a_silent_server_is_tried_again(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, admin: User
) -> None:
    monkeypatch.setattr("connections.connectors.sftp_server.RUN_CONNECT_SECONDS", 0.3)
    delivery.box.faults.silent = True
    with SandboxServer(tmp_path / "silent", password="sandbox-password", faults=delivery.box.faults) as box:
        delivery.allow(box.port)
        silent = replace(delivery.server, port=box.port, host_keys={"ed25519": box.public_key})
        run = start(make_export(connect(silent, actor=admin, name="Silent"), actor=admin))
        assert carry(run) == "retry"
    assert run.code == "server_silent"


def test_a_changed_server_key_stops_the_run_before_any_password(delivery: Delivery) -> None:
    export = delivery.export()
    other = SandboxServer(delivery.data.parent / "other", password="x").public_key
    Connection.objects.filter(pk=delivery.connection.pk).update(host_key=other)
    run = start(export)
    assert carry(run) == "failed"
    assert (run.code, run.who_acts) == ("identity_changed", WhoActs.ADMINISTRATOR)
    assert (delivery.box.seen.requests, delivery.box.seen.passwords) == ([], 0)
    assert tree(delivery.server.files) == {}
    assert state_of(delivery.connection) == State.NEEDS_ATTENTION


def test_a_folder_that_is_not_writable_needs_an_administrator(delivery: Delivery) -> None:
    delivery.box.faults.read_only = True
    run = start(delivery.export())
    assert carry(run) == "failed"
    assert (run.code, run.who_acts) == ("folder_not_writable", WhoActs.ADMINISTRATOR)
    assert tree(delivery.server.files) == {}


def test_a_size_that_differs_is_never_a_success(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.store_only = 10
    run = start(export)
    assert carry(run) == "retry"
    assert run.code == "size_differs"
    assert all(name.startswith(".incoming-") for name in folders(delivery.at_server / export.folder_name))
    delivery.box.faults.store_only = None
    assert carry_again(run) == "successful"
    files = tree(delivery.at_server / run.final_folder)
    assert lines(files["loyal_1.csv"])[1] == LOYAL_LINES


def test_a_line_cut_in_mid_file_delivers_on_the_second_attempt(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    run = start(export)
    delivery.box.faults.cut_after = 1_000_000
    assert carry(run) == "retry"
    assert run.code == "line_cut"
    [left] = folders(delivery.at_server / export.folder_name)
    assert left.startswith(".incoming-")
    loyal, events = run.tasks.all()
    assert (loyal.state, events.state) == (TaskState.DONE, TaskState.WAITING)
    before = delivery.box.seen.bytes_written
    finished_at = loyal.finished_at

    delivery.box.faults.cut_after = None
    assert carry_again(run) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    files = tree(delivery.at_server / run.final_folder)
    assert lines(files["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)
    assert lines(files["events_1.csv"])[2] == len(lines(files["events_1.csv"])[1]) == 60_000
    assert (run.read, run.sent, run.left_out) == (60_003, 60_002, 1)
    # the finished task was kept: only the other one and model.json crossed the line again
    loyal.refresh_from_db()
    assert loyal.finished_at == finished_at
    sent_again = delivery.box.seen.bytes_written - before
    assert sent_again == len(files["events_1.csv"]) + len(files["model.json"])
    assert [(a.number, a.outcome) for a in run.attempts.all()] == [
        (2, ExportAttempt.Outcome.DONE),
        (1, ExportAttempt.Outcome.FAILED),
    ]


def test_folders_of_attempts_lost_in_between_are_deleted(delivery: Delivery) -> None:
    """An attempt that died after it was noted and before it took over hides the one before from the next."""
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    run = start(export)
    delivery.box.faults.cut_after = 1_000_000
    assert carry(run) == "retry"
    never_made = f"{export.folder_name}/.incoming-{run.uuid.hex[:8]}-00000000"
    noted = run.folders.get()
    run.folders.create(connection=noted.connection, target_digest=noted.target_digest, path=never_made)
    ExportRun.objects.filter(pk=run.pk).update(temporary_folder=never_made)
    delivery.box.faults.cut_after = None
    assert carry_again(run) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]


# ---- publishing


def test_a_lost_answer_to_the_rename_publishes_once(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.lose_rename_answer = True
    run = start(export)
    assert carry(run) == "publishing later"
    assert run.state == RunState.PUBLISHING
    written = delivery.box.seen.bytes_written
    lose_worker(run)
    assert carry(run) == "successful"
    assert delivery.box.seen.bytes_written == written
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    assert (run.publish_attempt, run.cause) == (1, "")


# ---- the data


def test_a_vanished_segment_fails_for_whoever_may_edit_and_leaves_nothing(delivery: Delivery) -> None:
    export = delivery.export(ORDERS, LOYAL)
    (delivery.data / "segments" / "loyal.parquet").unlink()
    run = start(export)
    assert carry(run) == "failed"
    assert (run.code, run.who_acts, run.attempt) == ("payload", WhoActs.EDITOR, 1)
    assert "loyal" in run.cause
    assert tree(delivery.server.files) == {}
    assert folders(delivery.at_server / export.folder_name) == []
    assert state_of(delivery.connection) == State.READY


def test_a_vanished_column_is_named(delivery: Delivery) -> None:
    export = delivery.export()
    without = {name: values for name, values in CUSTOMERS.items() if name != "city"}
    pq.write_table(pa.table(without), delivery.data / "customer.parquet")
    run = start(export)
    assert carry(run) == "failed"
    assert (run.code, run.who_acts) == ("payload", WhoActs.EDITOR)
    assert "city" in run.cause
    assert tree(delivery.server.files) == {}


def test_customer_data_that_is_away_is_tried_again(delivery: Delivery, settings: Settings) -> None:
    run = start(delivery.export())
    url, settings.CUSTOMER_DATA_URL = settings.CUSTOMER_DATA_URL, "duckdb:///nowhere/at/all"
    assert carry(run) == "retry"
    assert (run.code, run.state) == ("customer_data", RunState.QUEUED)
    settings.CUSTOMER_DATA_URL = url
    assert carry_again(run) == "successful"


# ---- leftovers of earlier runs


def test_the_next_run_deletes_what_a_failed_one_could_not(delivery: Delivery, settings: Settings) -> None:
    settings.RUN_MAX_ATTEMPTS = 1
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.cut_after = 1_000_000
    assert carry(start(export)) == "failed"
    assert len(folders(delivery.at_server / export.folder_name)) == 1
    delivery.box.faults.cut_after = None
    run = start(export)
    assert carry(run) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]


def test_a_fault_of_our_own_is_told_neutrally_and_tried_again(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(count: int) -> list[int]:
        raise RuntimeError("what only the log may say")

    run = start(delivery.export())
    with monkeypatch.context() as patch:
        patch.setattr("exports.operations.deliver.split_rows", broken)
        assert carry(run) == "retry"
    assert run.code == "unexpected"
    reference = run.remedy.split()[-1]
    assert "only the log" not in f"{run.cause} {run.remedy} {run.detail}"
    assert reference in caplog.text
    assert "what only the log may say" in caplog.text
    assert carry_again(run) == "successful"
