"""A run that nothing gets in the way of: complete files, and a truthful account of them."""

import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django_tasks_db.models import DBTaskResult

from connections_portal.models import AuditEntry, RunState, Trigger, User
from exports.models import ExportAttempt, ExportRun, TaskState
from exports.operations.run import cancel_run
from tests.connectors.servers import Server
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    LOYAL_HEADER,
    LOYAL_LINES,
    ORDERS,
    Delivery,
    carry,
    connect,
    folders,
    lines,
    make_export,
    start,
    tree,
    until,
    write_events,
)

FINAL = re.compile(r"^\d{8}-\d{6}Z-[0-9a-f]{8}$")


def test_a_run_delivers_complete_files_and_accounts_for_every_row(delivery: Delivery) -> None:
    export = delivery.export(LOYAL, ORDERS)
    run = start(export)
    assert carry(run) == "successful"

    [folder] = folders(delivery.at_server / export.folder_name)
    assert FINAL.match(folder)
    assert run.final_folder == f"{export.folder_name}/{folder}"
    assert folder.endswith(run.uuid.hex[:8])
    files = tree(delivery.at_server / export.folder_name / folder)
    assert set(files) == {"loyal_1.csv", "orders_1.csv", "model.json"}
    assert lines(files["loyal_1.csv"]) == (LOYAL_HEADER, LOYAL_LINES, 2)
    assert lines(files["orders_1.csv"])[1] == {'"o1","c1",1.5', '"o2","c9",20.25'}

    assert run.state == RunState.SUCCESSFUL
    # loyal: three members, one of them without a profile; orders: two rows
    assert run.counts() == {"selected": 5, "read": 5, "sent": 4, "rejected": 0, "left_out": 1}
    assert (run.attempt, run.publish_attempt, run.cause, run.who_acts) == (1, 0, "", "")
    assert run.lease_token is None
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.queued_at <= run.started_at <= run.finished_at

    loyal, orders = run.tasks.all()
    assert (loyal.state, loyal.selected, loyal.read, loyal.sent, loyal.left_out) == (
        TaskState.DONE,
        3,
        3,
        2,
        1,
    )
    assert loyal.reasons == {"no profile": 1}
    assert (orders.state, orders.read, orders.sent, orders.left_out) == (TaskState.DONE, 2, 2, 0)
    for task in (loyal, orders):
        file = task.files.get()
        content = files[file.name]
        assert (file.rows, file.size) == (2, len(content))
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert task.bytes_sent == file.size
    assert run.bytes_sent == loyal.bytes_sent + orders.bytes_sent
    attempt = run.attempts.get()
    assert (attempt.number, attempt.outcome) == (1, ExportAttempt.Outcome.DONE)
    assert attempt.ended_at is not None


def test_model_json_describes_what_was_delivered(delivery: Delivery) -> None:
    export = delivery.export(LOYAL, ORDERS, options={"delimiter": "semicolon"})
    run = start(export)
    carry(run)
    files = tree(delivery.at_server / run.final_folder)
    model = json.loads(files["model.json"])
    assert model["name"] == "Loyal customers"
    loyal, orders = model["entities"]
    assert (loyal["name"], orders["name"]) == ("loyal", "orders")
    assert loyal["attributes"] == [
        {"name": "customer_id", "dataType": "string"},
        {"name": "email", "dataType": "string"},
        {"name": "city", "dataType": "string"},
        {"name": "points", "dataType": "int64"},
    ]
    partition = orders["partitions"][0]
    assert (partition["location"], partition["rowCount"]) == ("orders_1.csv", 2)
    assert partition["fileFormatSettings"]["delimiter"] == ";"
    assert b'"order_id";"customer_id";"amount"' in files["orders_1.csv"]


def test_the_default_is_compressed_and_a_large_table_takes_several_blocks(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(EVENTS, options={"compression": "gzip"})
    run = start(export)
    assert carry(run) == "successful"
    files = tree(delivery.at_server / run.final_folder)
    header, _rows, number = lines(files["events_1.csv.gz"])
    assert (header, number) == ('"event_id","note"', 60_000)
    assert run.sent == 60_000
    assert run.bytes_sent == len(files["events_1.csv.gz"])


def test_large_tables_are_divided_into_files(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    write_events(delivery.data, rows=50_000)
    monkeypatch.setattr(
        "exports.operations.deliver.split_rows", lambda count: [20_000, 20_000, count - 40_000]
    )
    run = start(delivery.export(EVENTS))
    assert carry(run) == "successful"
    files = tree(delivery.at_server / run.final_folder)
    contents = [lines(files[f"events_{n}.csv"]) for n in (1, 2, 3)]
    assert [number for _header, _rows, number in contents] == [20_000, 20_000, 10_000]
    assert len(set().union(*(rows for _header, rows, _number in contents))) == 50_000
    assert [file.rows for file in run.tasks.get().files.all()] == [20_000, 20_000, 10_000]


def test_an_empty_segment_is_delivered_as_a_header(delivery: Delivery) -> None:
    (delivery.data / "segments" / "loyal.parquet").unlink()
    (delivery.data / "segments" / "loyal.sql").write_text("SELECT customer_id FROM customer WHERE false")
    run = start(delivery.export(LOYAL))
    assert carry(run) == "successful"
    files = tree(delivery.at_server / run.final_folder)
    assert files["loyal_1.csv"] == LOYAL_HEADER.encode() + b"\r\n"
    assert run.counts() == {"selected": 0, "read": 0, "sent": 0, "rejected": 0, "left_out": 0}


def test_each_run_has_a_folder_of_its_own(delivery: Delivery) -> None:
    export = delivery.export()
    first, second = start(export), None
    carry(first)
    second = start(export)
    carry(second)
    there = folders(delivery.at_server / export.folder_name)
    assert {f"{export.folder_name}/{name}" for name in there} == {first.final_folder, second.final_folder}


def test_the_audit_tells_who_what_and_how_it_ended(delivery: Delivery) -> None:
    export = delivery.export()
    run = start(export)
    carry(run)
    entries = AuditEntry.objects.filter(object_uuid__in=[export.uuid, delivery.connection.uuid]).order_by(
        "id"
    )
    told = [(entry.action, entry.actor_id) for entry in entries][-3:]
    person = delivery.admin.pk
    assert told == [("export.run_requested", person), ("secret.used", person), ("export.run_finished", None)]
    used, finished = entries.reverse()[1], entries.reverse()[0]
    assert used.details == {
        "purpose": "run",
        "fields": ["password"],
        "run": str(run.uuid),
        "item": export.name,
    }
    assert finished.details["state"] == "successful"
    assert (finished.details["read"], finished.details["sent"], finished.details["left_out"]) == (3, 2, 1)


def test_the_message_holds_a_number_and_nothing_else(delivery: Delivery) -> None:
    run = start(delivery.export())
    message = DBTaskResult.objects.get()
    assert message.args_kwargs == {"args": [run.pk], "kwargs": {}}


def test_a_run_that_ended_is_not_carried_again(delivery: Delivery) -> None:
    run = start(delivery.export())
    carry(run)
    written = delivery.box.seen.bytes_written
    assert carry(run) == "not due"
    assert delivery.box.seen.bytes_written == written
    assert run.attempt == 1


def test_openssh_with_a_key(
    transactional_db: None,
    customer_data: Path,
    admin: User,
    openssh_server: Server,
    allow_outgoing: Callable[[int], None],
) -> None:
    allow_outgoing(openssh_server.port)
    connection = connect(openssh_server, actor=admin, folder="runs-delivery")
    export = make_export(connection, LOYAL, ORDERS, actor=admin, options={"compression": "gzip"})
    run = start(export)
    assert carry(run) == "successful", (run.cause, run.detail)
    at_server = openssh_server.files / "runs-delivery"
    assert folders(at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    files = tree(at_server / run.final_folder)
    assert set(files) == {"loyal_1.csv.gz", "orders_1.csv.gz", "model.json"}
    assert lines(files["loyal_1.csv.gz"]) == (LOYAL_HEADER, LOYAL_LINES, 2)
    stored = {file.name: (file.size, file.sha256) for task in run.tasks.all() for file in task.files.all()}
    assert stored == {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
        if name != "model.json"
    }


def test_the_command_queues_a_run_once(delivery: Delivery) -> None:
    export = delivery.export()
    output = StringIO()
    call_command("run_export", str(export.uuid), stdout=output)
    run = ExportRun.objects.get()
    assert (run.trigger, run.started_by) == (Trigger.COMMAND, delivery.admin)
    assert output.getvalue() == f"Run {run.uuid} is queued.\n"
    with pytest.raises(CommandError, match="under way already"):
        call_command("run_export", str(export.uuid))


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("delivered", 0, "Successful: 3 rows read, 2 sent, 1 left out"),
        ("failed", 1, "The server refused the sign-in."),
        ("canceled", 2, "The run was canceled."),
    ],
)
def test_the_command_waits_and_ends_as_the_run_does(
    delivery: Delivery, end: str, code: int, said: str
) -> None:
    export = delivery.export()
    delivery.box.faults.refuse_sign_in = end == "failed"

    def command() -> tuple[int, str]:
        output = StringIO()
        try:
            call_command("run_export", str(export.uuid), "--wait", stdout=output)
        except CommandError as error:
            return error.returncode, f"{output.getvalue()}{error}"
        finally:
            database.close()
        return 0, output.getvalue()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(command)
        until(ExportRun.objects.exists)
        run = ExportRun.objects.get()
        if end == "canceled":
            cancel_run(run=run, actor=delivery.admin)
        else:
            carry(run)
        told = future.result(30)
    assert told[0] == code
    assert said in told[1]
    files = [file for task in run.tasks.all() for file in task.files.all()]
    assert len(files) == (end == "delivered")
    assert all(
        f"{file.name}  {file.rows} rows  {file.size} bytes  sha256 {file.sha256}" in told[1] for file in files
    )
