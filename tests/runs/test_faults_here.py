"""The portal's own side fails under a worker: its database is locked or away, its disk is full.

Nothing becomes success or failure through a bookkeeping error (rule S30): the worker stops, and the next one finds out
what is true.
"""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from django.db import connection as database
from django.db.models.functions import Now
from django.utils import timezone

from connections_portal.management.commands.portal_worker import WORKER
from connections_portal.models import AuditEntry, RunState
from connections_portal.ticking import tick
from exports.item import Item
from exports.models import ExportAttempt, ExportRun, ItemKind, TemporaryFolder
from exports.tasks import wake
from tests.runs.helpers import (
    EVENTS,
    LOYAL,
    LOYAL_LINES,
    Delivery,
    folders,
    lines,
    lose_worker,
    start,
    tree,
    until,
    write_events,
)
from tests.runs.processes import Forks, Processes, ended, held

pytestmark = pytest.mark.usefixtures("connection_key")

MB = 1024 * 1024
Trouble = Callable[[int, Path], AbstractContextManager[None]]


@pytest.fixture
def by_way(tmp_path: Path) -> Path:
    """A link to the folder that holds the database; without it nobody gets there who is not there yet."""
    link = tmp_path / "database"
    link.symlink_to(Path(str(database.settings_dict["NAME"])).parent)
    return link


@pytest.fixture
def environment(environment: dict[str, str], by_way: Path) -> dict[str, str]:
    name = Path(str(database.settings_dict["NAME"])).name
    return environment | {
        "DATABASE_URL": f"sqlite:///{by_way / name}",
        "DJANGO_SETTINGS_MODULE": "tests.runs.impatient",
        "RUN_LEASE_SECONDS": "2",
    }


@contextmanager
def locked(worker: int, by_way: Path) -> Iterator[None]:
    """Another process writes and does not come to an end."""
    with closing(sqlite3.connect(database.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(worker: int, by_way: Path) -> Iterator[None]:
    """No file of the worker's can grow."""
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    yield


@contextmanager
def away(worker: int, by_way: Path) -> Iterator[None]:
    """The database is not where it was, until the lease is over."""
    there = by_way.readlink()
    by_way.unlink()
    try:
        until(lambda: ExportRun.objects.filter(lease_until__lt=Now()).exists())
        yield
    finally:
        by_way.symlink_to(there)


@pytest.mark.parametrize(
    ("trouble", "moment"),
    [(locked, "upload"), (locked, "rename"), (full, "upload"), (full, "rename"), (away, "upload")],
)
def test_a_worker_that_cannot_write_down_what_it_did_decides_nothing(
    delivery: Delivery, forks: Forks, by_way: Path, trouble: Trouble, moment: str
) -> None:
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    if moment == "upload":
        delivery.box.faults.hold_after = 1_000_000
    else:
        delivery.box.faults.hold_rename = True
    run = start(export)
    first, name = forks.start()
    with held(delivery):
        with trouble(first, by_way):
            delivery.box.release()
            until(lambda: forks.has_ended(first))
            run.refresh_from_db()
            expected = RunState.RUNNING if moment == "upload" else RunState.PUBLISHING
            assert (run.state, run.worker, run.finished_at, run.code) == (expected, name, None, "")
            published = [f for f in folders(delivery.at_server / export.folder_name) if f[0] != "."]
            assert len(published) == (moment == "rename")
            assert not AuditEntry.objects.filter(action="export.run_finished").exists()
    written = delivery.box.seen.bytes_written
    lose_worker(run)
    assert tick()["leases"] == 1
    forks.start()
    until(lambda: ended(run))

    assert run.state == RunState.SUCCESSFUL, (run.cause, run.detail)
    assert run.attempt == (2 if moment == "upload" else 1)
    assert run.counts() == {"selected": 60_003, "read": 60_003, "sent": 60_002, "rejected": 0, "left_out": 1}
    assert folders(delivery.at_server / export.folder_name) == [run.final_folder.rpartition("/")[2]]
    files = tree(delivery.at_server / run.final_folder)
    assert lines(files["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)
    assert lines(files["events_1.csv"])[2] == len(lines(files["events_1.csv"])[1]) == 60_000
    if moment == "rename":
        assert delivery.box.seen.bytes_written == written
    assert not TemporaryFolder.objects.exists()
    done = run.attempts.filter(outcome=ExportAttempt.Outcome.DONE)
    assert done.count() == 1
    assert AuditEntry.objects.filter(action="export.run_finished").count() == 1


def test_no_room_for_the_engines_own_files_is_told_and_tried_again(
    delivery: Delivery, environment: dict[str, str], process: Processes
) -> None:
    environment["ENGINE_MEMORY_MB"] = "64"
    many = "SELECT count(*) FROM (SELECT DISTINCT repeat(CAST(r.n AS VARCHAR), 9) FROM range(600000) r(n))"
    (delivery.data / "segments" / "many.sql").write_text(
        f"SELECT customer_id FROM customer WHERE ({many}) > 0"
    )
    export = delivery.export(Item(kind=ItemKind.SEGMENT, source="many", fields=("customer_id", "email")))
    worker = process(*WORKER)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (8 * MB, resource.RLIM_INFINITY))
    run = start(export)
    until(lambda: run.attempts.exclude(ended_at=None).exists())
    run.refresh_from_db()
    assert (run.state, run.code, run.attempt) == (RunState.QUEUED, "customer_data", 1)
    assert tree(delivery.server.files) == {}

    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ExportRun.objects.update(not_before=timezone.now())
    wake(run.pk)
    until(lambda: ended(run))
    assert (run.state, run.attempt, run.sent) == (RunState.SUCCESSFUL, 2, 4)
