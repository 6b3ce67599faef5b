"""A worker killed at any moment of an import: the table shows the old rows or the new ones, and nothing is left."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from django.utils import timezone
from pytest_django import Settings

from connections_portal.models import Attempt, RunState
from connections_portal.ticking import tick
from enrichments.models import EnrichmentRun
from tests.enrichments.bringing import Bringing, carry, lose_worker, shown
from tests.runs.processes import worker_environment

pytestmark = [pytest.mark.both_databases, pytest.mark.usefixtures("connection_key")]

# where the worker is killed: the function, whether it had done its work by then, and whether the run was publishing
MOMENTS = [
    ("enrichments.tables.new_folder", True, False),
    ("enrichments.importing.staging.stage", False, False),
    ("enrichments.importing.staging.stage", True, False),
    ("enrichments.importing.run._to_disk", True, False),
    ("enrichments.operations.execute._to_publishing", False, False),
    ("enrichments.tables.publish", False, True),
    ("pathlib.Path.replace", False, True),
    ("enrichments.tables.publish", True, True),
    ("connections.operations.attempts.succeed", True, True),
]
# once the link was led to the new rows they are shown, whatever the run's row says yet
LED_ON = MOMENTS[-2:]
OLD = {"c4": {"score": 4, "channel": "web"}}
NEW = {"c1": {"score": 10, "channel": "mail"}, "c3": {"score": 30, "channel": None}}
WORKER = """
import os, pkgutil, signal, sys, unittest.mock
import django
django.setup()
from enrichments.operations import execute
place, done, run_id = sys.argv[1], sys.argv[2] == "True", int(sys.argv[3])
original = pkgutil.resolve_name(place)

def killed(*arguments, **more):
    if done:
        original(*arguments, **more)
    os.kill(os.getpid(), signal.SIGKILL)

with unittest.mock.patch(place, killed):
    execute.execute_run(run_id=run_id, worker="killed")
"""


def carry_and_be_killed(run: EnrichmentRun, settings: Settings, key: bytes, place: str, done: bool) -> None:
    environment = worker_environment(settings, key) | {
        "DJANGO_SETTINGS_MODULE": "connections_portal.settings"
    }
    worker = subprocess.run(
        [sys.executable, "-c", WORKER, place, str(done), str(run.pk)],
        cwd=django_settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode == -9, worker.stderr
    run.refresh_from_db()


@pytest.mark.parametrize(("place", "done", "publishing"), MOMENTS)
def test_a_worker_killed_in_the_middle(
    bringing: Bringing, settings: Settings, connection_key: bytes, place: str, done: bool, publishing: bool
) -> None:
    enrichment = bringing.enrichment()
    bringing.put("customer_id,score,channel\nc4,4,web\n")
    assert carry(bringing.start(enrichment)) == "successful"
    bringing.put()
    run = bringing.start(enrichment)
    database.close()

    carry_and_be_killed(run, settings, connection_key, place, done)

    assert run.state == (RunState.PUBLISHING if publishing else RunState.RUNNING)
    meanwhile = NEW if (place, done, publishing) in LED_ON else OLD
    assert shown("Scores") == meanwhile

    # much later: the clock comes before a worker, and takes nothing away that is still to be shown
    lose_worker(run)
    after = timezone.now() + dt.timedelta(hours=3)
    tick(now=after)
    assert shown("Scores") == meanwhile
    run.refresh_from_db()
    bytes_read = bringing.box.seen.bytes_read
    assert carry(run) == "warnings"
    assert shown("Scores") == NEW
    assert (run.read, run.sent, run.rejected, run.left_out) == (5, 2, 2, 1)
    outcomes = [attempt.outcome for attempt in run.attempts.order_by("number")]
    assert outcomes == (
        [Attempt.Outcome.DONE] if publishing else [Attempt.Outcome.LOST, Attempt.Outcome.DONE]
    )
    assert (bringing.box.seen.bytes_read == bytes_read) == publishing

    tick(now=after)
    place_of_table = Path(settings.ENRICHMENTS_DIR) / "Scores"
    assert sorted(path.name for path in place_of_table.iterdir()) == ["current", run.result_folder]
