"""Workers as processes of their own on the test's database: killed, frozen, stopped, at the moments that matter.

The server holds a request at such a moment, so that nothing here depends on how fast a machine is.
"""

import os
import signal
from pathlib import Path

import pytest
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections_portal.management.commands.portal_worker import WORKER
from connections_portal.models import RunState
from connections_portal.ticking import tick
from exports.models import ExportAttempt, ExportRun, TaskState
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    LOYAL_LINES,
    PATIENCE,
    Delivery,
    carry,
    folders,
    lines,
    lose_worker,
    start,
    tree,
    until,
    write_events,
)
from tests.runs.processes import Processes, ended, held

pytestmark = [pytest.mark.usefixtures("connection_key"), pytest.mark.both_databases]


def test_a_worker_killed_in_mid_upload_is_followed_by_another(delivery: Delivery, process: Processes) -> None:
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    first = process(*WORKER)
    with held(delivery):
        first.kill()
        first.wait(PATIENCE)
        run.refresh_from_db()
        assert run.state == RunState.RUNNING
        [unfinished] = folders(delivery.at_server / export.folder_name)
        assert unfinished.startswith(".incoming-")
        loyal = run.tasks.first()
        assert loyal is not None
        assert loyal.state == TaskState.DONE
    process(*WORKER)
    process("tick")
    until(lambda: ended(run))

    assert (run.state, run.attempt) == (RunState.SUCCESSFUL, 2), (run.cause, run.detail)
    assert [a.outcome for a in run.attempts.all()] == [ExportAttempt.Outcome.DONE, ExportAttempt.Outcome.LOST]
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    files = tree(delivery.at_server / run.final_folder)
    assert set(files) == {"loyal_1.csv", "events_1.csv", "model.json"}
    assert lines(files["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)
    _header, rows, number = lines(files["events_1.csv"])
    assert len(rows) == number == 60_000
    assert (run.read, run.sent, run.left_out) == (60_003, 60_002, 1)
    # what was finished before the kill was kept
    assert run.tasks.values_list("finished_at", flat=True).first() == loyal.finished_at


def test_a_worker_killed_before_the_rename_is_followed_by_one_that_only_renames(
    delivery: Delivery, process: Processes
) -> None:
    export = delivery.export()
    delivery.box.faults.hold_rename = True
    run = start(export)
    first = process(*WORKER)
    with held(delivery):
        first.kill()
        first.wait(PATIENCE)
        run.refresh_from_db()
        assert run.state == RunState.PUBLISHING
        assert all(name.startswith(".incoming-") for name in folders(delivery.at_server / export.folder_name))
        written = delivery.box.seen.bytes_written
    process(*WORKER)
    process("tick")
    until(lambda: ended(run))

    assert (run.state, run.attempt, run.publish_attempt) == (RunState.SUCCESSFUL, 1, 1)
    assert delivery.box.seen.bytes_written == written
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    assert lines(tree(delivery.at_server / run.final_folder)["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)


@pytest.mark.parametrize("moment", ["upload", "rename"])
def test_a_frozen_worker_that_wakes_up_changes_nothing(
    delivery: Delivery, process: Processes, moment: str
) -> None:
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    if moment == "upload":
        delivery.box.faults.hold_after = 1_000_000
    else:
        delivery.box.faults.hold_rename = True
    run = start(export)
    message = DBTaskResult.objects.get()
    frozen = process(*WORKER)
    with held(delivery):
        frozen.send_signal(signal.SIGSTOP)
        lose_worker(run)
        assert tick()["leases"] == 1
        delivery.box.faults.hold_after, delivery.box.faults.hold_rename = None, False
        assert carry(run, worker="second") == "successful"
        published = tree(delivery.at_server / export.folder_name)
        of_the_run = ExportRun.objects.values().get(pk=run.pk)
        of_the_tasks = list(run.tasks.values())
    frozen.send_signal(signal.SIGCONT)
    until(lambda: DBTaskResult.objects.get(pk=message.pk).status != TaskResultStatus.RUNNING)

    message.refresh_from_db()
    assert (message.status, message.return_value) == (TaskResultStatus.SUCCESSFUL, "lost")
    assert ExportRun.objects.values().get(pk=run.pk) == of_the_run
    assert list(run.tasks.values()) == of_the_tasks
    assert of_the_run["worker"] == "second"
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    assert tree(delivery.at_server / export.folder_name) == published
    assert lines(published[f"{run.final_folder.rpartition('/')[2]}/events_1.csv"])[2] == 60_000


def children(parent: int) -> dict[int, str]:
    """The processes that this one has started: their command lines by number."""
    found = {}
    for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        found[int(number)] = " ".join(word.decode() for word in words)
    return found


def workers(parent: int) -> set[int]:
    return {number for number, words in children(parent).items() if "db_worker" in words}


def test_portal_worker_carries_runs_starts_dead_workers_again_and_stops_all(
    delivery: Delivery, process: Processes
) -> None:
    parent = process("portal_worker", "--processes", "2")
    run = start(delivery.export())
    until(lambda: ended(run))
    assert run.state == RunState.SUCCESSFUL

    family = children(parent.pid)
    before = workers(parent.pid)
    assert len(before) == 2
    assert sum("tick" in words for words in family.values()) == 1
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in workers(parent.pid) and len(workers(parent.pid)) == 2)

    family = children(parent.pid)
    parent.terminate()
    assert parent.wait(PATIENCE) == 0
    assert not [number for number in family if Path(f"/proc/{number}").exists()]


def test_a_worker_told_to_stop_finishes_its_run_first(delivery: Delivery, process: Processes) -> None:
    delivery.box.faults.hold_rename = True
    run = start(delivery.export())
    worker = process(*WORKER)
    with held(delivery):
        worker.terminate()
    assert worker.wait(PATIENCE) == 0
    run.refresh_from_db()
    assert run.state == RunState.SUCCESSFUL
