"""Several workers as processes of their own at one queue, on both databases; and a PostgreSQL that goes away."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection as database
from django.db.models import F
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from connections.models import Connection
from connections_portal.models import LEASED_STATES, AuditEntry, RunState
from exports.models import ExportAttempt, ExportRun
from tests.postgresql import FOLDER_VARIABLE, Cluster
from tests.runs.helpers import (
    EVENTS,
    LOYAL_LINES,
    Delivery,
    connect,
    folders,
    lines,
    make_export,
    start,
    tree,
    until,
    write_events,
)
from tests.runs.processes import Forks, Processes, ended, held

pytestmark = [pytest.mark.both_databases, pytest.mark.usefixtures("connection_key")]


def leased(connection: Connection) -> int:
    return ExportRun.objects.filter(export__connection=connection, state__in=LEASED_STATES).count()


def messages(status: TaskResultStatus) -> int:
    return DBTaskResult.objects.filter(status=status).count()


def test_four_workers_carry_every_run_once_and_no_more_than_a_connection_bears(
    delivery: Delivery, forks: Forks
) -> None:
    """The server holds every run at its rename, so that all that may run at the same time does."""
    other = connect(delivery.server, actor=delivery.admin, name="Archive", folder="archive")
    Connection.objects.filter(pk=other.pk).update(max_parallel=1)
    exports = [delivery.export(name=f"Export {n}") for n in range(5)]
    exports += [make_export(other, actor=delivery.admin, name=f"Archive {n}") for n in range(3)]
    delivery.box.faults.hold_rename = True
    runs = [start(export) for export in exports]
    for _ in range(4):
        forks.start()

    # three run, and every other message was taken up and put aside because its connection is busy
    until(lambda: (messages(TaskResultStatus.READY), messages(TaskResultStatus.RUNNING)) == (0, 3))
    until(lambda: ExportRun.objects.filter(state=RunState.PUBLISHING).count() == 3)
    assert (leased(delivery.connection), leased(other)) == (2, 1)
    assert ExportRun.objects.filter(state=RunState.QUEUED, attempt=0).count() == 5
    delivery.box.release()
    until(lambda: all(ended(run) for run in runs))

    assert {(run.state, run.attempt, run.publish_attempt) for run in runs} == {(RunState.SUCCESSFUL, 1, 0)}
    assert not ExportAttempt.objects.exclude(outcome=ExportAttempt.Outcome.DONE).exists()
    used = AuditEntry.objects.filter(action="secret.used", details__purpose="run")
    assert sorted(used.values_list("details__run", flat=True)) == sorted(str(run.uuid) for run in runs)
    for run in runs:
        root = delivery.server.files / ("archive" if run.export.connection_id == other.pk else "exports")
        assert folders(root / run.export.folder_name) == [run.final_folder.rpartition("/")[2]]
        assert lines(tree(root / run.final_folder)["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)
    # what the database says about when they ran: never more at a time than the connection bears
    for connection, most in ((delivery.connection, 2), (other, 1)):
        times = ExportRun.objects.filter(export__connection=connection).values_list(
            "started_at", "finished_at"
        )
        assert max(sum(s <= start < e for s, e in times if s and e) for start, _end in times if start) == most


def test_a_message_that_comes_three_times_starts_one_run(delivery: Delivery, forks: Forks) -> None:
    """Every run has three messages; workers that are late find nothing to do."""
    runs = [start(delivery.export(name=f"Export {n}")) for n in range(4)]
    for result in DBTaskResult.objects.all():
        for _ in range(2):
            result.task.enqueue(*result.args_kwargs["args"])
    for _ in range(3):
        forks.start()
    until(lambda: all(ended(run) for run in runs))
    until(lambda: messages(TaskResultStatus.READY) + messages(TaskResultStatus.RUNNING) == 0)

    assert {(run.state, run.attempt) for run in runs} == {(RunState.SUCCESSFUL, 1)}
    assert ExportAttempt.objects.count() == len(runs)
    for run in runs:
        assert folders(delivery.at_server / run.export.folder_name) == [run.final_folder.rpartition("/")[2]]


@pytest.fixture
def server() -> Iterator[Cluster]:
    """The PostgreSQL server that this runs on; it runs again afterwards."""
    if FOLDER_VARIABLE not in os.environ:
        pytest.skip("needs a PostgreSQL of the tests' own: python -m tests.postgresql")
    cluster = Cluster(Path(os.environ[FOLDER_VARIABLE]))
    try:
        yield cluster
    finally:
        database.close()
        if not cluster.is_running():
            cluster.start()


@pytest.mark.parametrize("moment", ["upload", "rename"])
def test_the_database_is_away_in_mid_run_and_comes_back(
    delivery: Delivery, process: Processes, server: Cluster, moment: str
) -> None:
    """The worker cannot write down what it did: it stops, and another attempt says what is true."""
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    if moment == "upload":
        delivery.box.faults.hold_after = 1_000_000
    else:
        delivery.box.faults.hold_rename = True
    run = start(export)
    process("portal_worker", "--processes", "1")
    with held(delivery):
        database.close()
        server.stop()
    server.start()
    until(lambda: ended(run))

    assert run.state == RunState.SUCCESSFUL, (run.code, run.cause, run.detail)
    assert (run.attempt, run.publish_attempt) in ({(2, 0)} if moment == "upload" else {(1, 0), (1, 1)})
    assert (run.read, run.sent) == (60_000, 60_000)
    assert not run.tasks.exclude(read=F("sent") + F("rejected") + F("left_out")).exists()
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    assert lines(tree(delivery.at_server / run.final_folder)["events_1.csv"])[2] == 60_000


def test_a_worker_starts_again_until_the_database_is_there(
    delivery: Delivery, process: Processes, server: Cluster, tmp_path: Path
) -> None:
    run = start(delivery.export())
    database.close()
    server.stop()
    process("portal_worker", "--processes", "1")
    until(
        lambda: "worker 1 ended with code 1; it is started again." in (tmp_path / "process-0.log").read_text()
    )
    server.start()
    until(lambda: ended(run))
    assert (run.state, run.attempt) == (RunState.SUCCESSFUL, 1)
