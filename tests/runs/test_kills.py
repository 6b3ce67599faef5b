"""Workers killed at random moments, again and again: what was to be delivered is delivered, once, and nothing else."""

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection as database
from pytest_django import Settings

from connections.models import Connection
from connections_portal.models import ACTIVE_STATES, LEASED_STATES, AuditEntry, RunState
from connections_portal.ticking import tick
from exports.models import ExportAttempt, ExportRun, TaskState, TemporaryFolder
from tests.runs.helpers import EVENTS, LOYAL, LOYAL_LINES, Delivery, folders, lines, start, tree, write_events
from tests.runs.processes import Forks

pytestmark = pytest.mark.usefixtures("connection_key")

SEED = 20261124
KILLS = 30
EXPORTS = 6
WORKERS = 3
ROWS = 8_000
LONGEST = 150


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"RUN_LEASE_SECONDS": "2"}


@contextmanager
def watched(at_server: Path) -> Iterator[dict[str, dict[str, int]]]:
    """Whoever fetches files there: what lay in each final folder when it was first seen, by names and sizes."""
    seen: dict[str, dict[str, int]] = {}
    stop = threading.Event()

    def look() -> None:
        last = False
        while not last:
            last = stop.wait(0.02)
            for folder in at_server.glob("*/[0-9]*"):
                if str(folder) not in seen:
                    seen[str(folder)] = {path.name: path.stat().st_size for path in folder.iterdir()}

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@dataclass
class Killer:
    """Keeps some workers going and kills each a random while (up to ``within`` seconds) after it took up a run."""

    forks: Forks
    within: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    workers: dict[str, int] = field(default_factory=dict)
    planned: dict[str, float] = field(default_factory=dict)
    hit: Counter[str] = field(default_factory=Counter)

    def look_after(self) -> None:
        """Start workers that are missing, and kill those whose time has come."""
        while len(self.workers) < WORKERS:
            process, name = self.forks.start()
            self.workers[name] = process
        if not self.within or self.kills() >= KILLS:
            return
        carrying = ExportRun.objects.filter(state__in=LEASED_STATES).values_list("worker", flat=True)
        for name in set(carrying) & self.workers.keys():
            self.planned.setdefault(name, time.monotonic() + self.chance.uniform(0, self.within))
        for name in [name for name, when in self.planned.items() if when <= time.monotonic()]:
            self.forks.kill(self.workers.pop(name))
            del self.planned[name]
            left = ExportRun.objects.filter(state__in=LEASED_STATES, worker=name).first()
            self.hit[left.state if left else "between"] += 1

    def kills(self) -> int:
        """How many workers were killed with a run in their hands."""
        return sum(self.hit.values()) - self.hit["between"]


@pytest.mark.timeout(300)
def test_whatever_moment_a_worker_is_killed_at_everything_arrives_once(
    delivery: Delivery, forks: Forks, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RUN_MAX_ATTEMPTS = 1000
    Connection.objects.update(max_parallel=WORKERS)
    write_events(delivery.data, rows=ROWS)
    exports = [delivery.export(LOYAL, EVENTS, name=f"Export {number}") for number in range(EXPORTS)]
    killer = Killer(forks)
    with watched(delivery.at_server) as first_seen:
        for export in exports:
            start(export)
        going_on(killer, lambda: not ExportRun.objects.filter(state__in=ACTIVE_STATES).exists())
        # about as long as an undisturbed run takes here, so that every moment of it has its turn
        undisturbed = ExportAttempt.objects.filter(outcome=ExportAttempt.Outcome.DONE)
        took = [(a.ended_at - a.started_at).total_seconds() for a in undisturbed if a.ended_at]
        killer.within = min(statistics.median(took) * 1.2, 2)

        def enough() -> bool:
            for export in exports:
                if not export.runs.filter(state__in=ACTIVE_STATES).exists():
                    start(export)
            return killer.kills() >= KILLS

        going_on(killer, enough)
        going_on(killer, lambda: not ExportRun.objects.filter(state__in=ACTIVE_STATES).exists())
    runs = list(ExportRun.objects.order_by("pk"))
    with capsys.disabled():
        print(f"\n{dict(killer.hit)} in {len(runs)} runs, each within {killer.within:.2f} s", end=" ")

    assert killer.kills() >= KILLS
    assert {run.state for run in runs} == {RunState.SUCCESSFUL}
    events = {f'{n},"note number {n} of a customer who wrote many of them"' for n in range(ROWS)}
    for run in runs:
        files = tree(delivery.at_server / run.final_folder)
        assert lines(files["loyal_1.csv"])[1:] == (LOYAL_LINES, 2)
        assert lines(files["events_1.csv"])[1:] == (events, ROWS)
        sizes = {name: len(content) for name, content in files.items()}
        assert dict(run.manifest["files"]) == sizes
        assert first_seen[str(delivery.at_server / run.final_folder)] == sizes
        accounted(run)
    for export in exports:
        there = {f"{export.folder_name}/{name}" for name in folders(delivery.at_server / export.folder_name)}
        assert there == set(export.runs.values_list("final_folder", flat=True))
    assert not TemporaryFolder.objects.exists()
    with database.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        assert cursor.fetchall() == [("ok",)]


def going_on(killer: Killer, enough: Callable[[], bool]) -> None:
    """Let the workers work, be killed and be replaced until it is enough."""
    deadline, beat = time.monotonic() + LONGEST, 0.0
    while not enough():
        now = time.monotonic()
        assert now < deadline, (killer.hit, list(ExportRun.objects.values("state", "attempt")))
        killer.look_after()
        if now - beat > 0.25:
            beat = now
            tick()
        time.sleep(0.02)


def accounted(run: ExportRun) -> None:
    """Counts, tasks, attempts and the audit tell the same story."""
    assert run.counts() == {
        "selected": ROWS + 3,
        "read": ROWS + 3,
        "sent": ROWS + 2,
        "rejected": 0,
        "left_out": 1,
    }
    assert {task.state for task in run.tasks.all()} == {TaskState.DONE}
    outcomes = Counter(attempt.outcome for attempt in run.attempts.all())
    assert outcomes.pop(ExportAttempt.Outcome.DONE) == 1
    assert set(outcomes) <= {ExportAttempt.Outcome.LOST}
    ended = AuditEntry.objects.filter(action="export.run_finished", details__run=str(run.uuid))
    assert [entry.details["state"] for entry in ended] == ["successful"]
