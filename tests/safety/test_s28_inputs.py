"""S28: inputs that changed while they were read start the run over; counts come from the stream."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db import IntegrityError, transaction

from connections_portal.models import RunState
from exports.item import Item
from exports.models import ExportFile, ExportRun, ExportTask, ItemKind, TaskState
from tests.data import CUSTOMERS
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    ORDERS,
    Delivery,
    carried_elsewhere,
    carry,
    carry_again,
    folders,
    lines,
    start,
    tree,
    write_events,
)


def touch_later(path: Path) -> None:
    """Give the file another modification time, as a program that writes it does."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))


def test_inputs_that_change_meanwhile_start_the_run_over(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        # replaced as a pipeline does it: another file under the same name
        other = delivery.data / "new.parquet"
        pq.write_table(pa.table({"event_id": [1, 2, 3], "note": ["a", "b", "c"]}), other)
        other.replace(delivery.data / "tables" / "events.parquet")
        delivery.box.release()
        assert worker.result(20) == "retry"
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.QUEUED, "inputs_changed")
    assert delivery.box.seen.renamed == []

    assert carry_again(run) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    content = tree(delivery.at_server / run.final_folder)["events_1.csv"]
    assert lines(content)[1] == {'1,"a"', '2,"b"', '3,"c"'}
    assert run.counts() == {"selected": 3, "read": 3, "sent": 3, "rejected": 0, "left_out": 0}


@pytest.mark.parametrize("changed", ["segments/loyal.parquet", "customer.parquet"])
def test_a_finished_task_is_not_kept_when_its_inputs_changed_before_the_retry(
    delivery: Delivery, changed: str
) -> None:
    """A segment's rows depend on its members and on the profiles."""
    write_events(delivery.data)
    export = delivery.export(LOYAL, ORDERS, EVENTS)
    delivery.box.faults.cut_after = 1_000_000
    run = start(export)
    assert carry(run) == "retry"
    loyal, orders, _events = run.tasks.all()
    assert [loyal.state, orders.state] == [TaskState.DONE, TaskState.DONE]
    kept_since, redone_since = orders.finished_at, loyal.finished_at
    delivery.box.faults.cut_after = None
    if changed == "customer.parquet":
        pq.write_table(pa.table(CUSTOMERS | {"city": ["Gdańsk"] * 4}), delivery.data / changed)
    else:
        pq.write_table(pa.table({"customer_id": ["c1", "c2", "c3", "c4"]}), delivery.data / changed)

    assert carry_again(run) == "successful"
    content = tree(delivery.at_server / run.final_folder)["loyal_1.csv"]
    if changed == "customer.parquet":
        assert content.count("Gdańsk".encode()) == 2
        assert run.left_out == 1
    else:
        assert all(f'"c{number}",'.encode() in content for number in (1, 2, 3, 4))
        assert run.left_out == 0
    loyal.refresh_from_db()
    orders.refresh_from_db()
    assert loyal.finished_at != redone_since
    assert orders.finished_at == kept_since


def test_a_touched_file_is_another_file(delivery: Delivery) -> None:
    write_events(delivery.data)
    delivery.box.faults.hold_after = 1_000_000
    run = start(delivery.export(EVENTS))
    with carried_elsewhere(run, delivery) as worker:
        touch_later(delivery.data / "tables" / "events.parquet")
        delivery.box.release()
        assert worker.result(20) == "retry"


def test_the_database_refuses_a_success_with_rows_unaccounted_for(delivery: Delivery) -> None:
    run = start(delivery.export())
    carry(run)
    for rows in (ExportRun.objects.filter(pk=run.pk), ExportTask.objects.filter(run=run)):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(sent=1)


def test_rows_that_are_not_those_that_were_counted_start_the_run_over(delivery: Delivery) -> None:
    """The files are the same, and still the question has another answer each time: one of 100,000."""
    number = 100_000
    customers = pa.table({"customer_id": [f"c{n}" for n in range(number)], "rank": list(range(number))})
    pq.write_table(customers, delivery.data / "customer.parquet")
    (delivery.data / "segments" / "drawn.sql").write_text(
        f"SELECT customer_id FROM customer WHERE rank < (SELECT floor(random() * {number}))"
    )
    run = start(delivery.export(Item(kind=ItemKind.SEGMENT, source="drawn", fields=("customer_id",))))
    assert carry(run) == "retry"
    assert (run.state, run.code) == (RunState.QUEUED, "inputs_changed")
    assert delivery.box.seen.renamed == []
    assert not ExportFile.objects.exists()
    assert run.tasks.get().state == TaskState.WAITING


def test_what_is_accounted_for_is_what_went_into_the_files(delivery: Delivery) -> None:
    """Members without a profile are left out; every other row is in a file and counted there."""
    run = start(delivery.export(LOYAL, ORDERS))
    assert carry(run) == "successful"
    content = tree(delivery.at_server / run.final_folder)
    for task, name, left_out in zip(run.tasks.all(), ("loyal_1.csv", "orders_1.csv"), (1, 0), strict=True):
        written = lines(content[name])[2]
        assert sum(file.rows for file in task.files.all()) == written == 2
        assert (task.sent, task.rejected, task.left_out) == (written, 0, left_out)
        assert task.read == task.selected == written + left_out
    assert run.counts() == {"selected": 5, "read": 5, "sent": 4, "rejected": 0, "left_out": 1}
