"""``removal``: the dialog *Remove connection* and its button, for a connection with ``rows`` dependents.

Every export has items, a schedule and runs, one of them queued; a connection to move to stands beside it. The dialog
is opened in process through the whole middleware; then the button settles everything and removes the connection,
once for each choice. Three results: the dialog, the slowest choice, and the most queries of either.
"""

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from benchmarks import pages_data
from benchmarks.harness import Result, medians_in_turn
from benchmarks.pages import own_database
from connections.connectors.sftp import Sftp
from connections.models import Connection, Consent, RemovedConnection, State
from connections.operations.remove import impact_of
from connections.removal_form import MOST
from connections_portal.models import RunState, Trigger, User
from connections_portal.names import name_key
from exports.models import (
    Export,
    ExportAttempt,
    ExportItem,
    ExportRun,
    ExportSchedule,
    ExportTask,
    ItemKind,
    ScheduleKind,
)

ROWS = 500
SMALL = 250  # above the number up to which each dependent has a choice of its own
RUNS = 3
CHOICES = ("detach", "move", "remove")
DIALOG_MS, SETTLED_S = 300.0, 2.0


def measure(rows: int) -> list[Result]:
    """Dialog in milliseconds, slowest choice in seconds, and how many queries more than for fewer dependents."""
    with own_database(Path(settings.VAR_DIR) / "removal.sqlite3"):
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        admin = pages_data.people()["administrator"]
        client = Client(headers={"Host": "localhost"})
        client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
        # all of them with one choice, and as many as have a choice each
        dialogs = medians_in_turn(
            {number: dialog(int(number), admin, client) for number in (str(rows), str(MOST))}, rounds=5
        )
        few, _seconds = settled(SMALL, admin, client)
        many, seconds = settled(rows, admin, client)
    largest = max(dialogs, key=lambda number: dialogs[number])
    for number, taken in dialogs.items():
        print(f"dialog   {1000 * taken:7.1f} ms with {number} dependents", file=sys.stderr)
    for choice in seconds:
        text = f"{1000 * seconds[choice]:7.1f} ms {many[choice]:4} queries ({SMALL} dependents {few[choice]})"
        print(f"{choice:8} {text}", file=sys.stderr)
    slowest = max(seconds, key=lambda choice: seconds[choice])
    most = max(many, key=lambda choice: many[choice] - few[choice])
    return [
        Result(
            name="removal_dialog", rows=rows, value=1000 * dialogs[largest], unit="ms for the dialog (median)",
            goal=DIALOG_MS, floor=DIALOG_MS, less_is_better=True,
            compared_with=f"the goal of the design; the slower one, with {largest} dependents",
        ),
        Result(
            name="removal", rows=rows, value=seconds[slowest], unit="s to settle all and remove",
            goal=SETTLED_S, floor=SETTLED_S, less_is_better=True,
            compared_with=f"the goal of the design; it is {slowest!r}, the slowest of {len(CHOICES)}",
        ),
        Result(
            name="removal_queries", rows=rows, value=(many[most] - few[most]) / max(1, rows - SMALL),
            unit="queries more for each dependent more", goal=0.05, floor=0.05, less_is_better=True,
            compared_with=f"{SMALL} dependents: {few[most]} queries there, {many[most]} here, for {most!r}",
        ),
    ]  # fmt: skip


def dialog(rows: int, admin: User, client: Client) -> Callable[[], object]:
    """Opens the dialog of a connection with so many dependents."""
    source, _other = fill(rows, admin, "Dialog")
    address = f"{reverse('connections:remove', args=[source.uuid])}?see=1"
    return lambda: client.get(address)


def settled(rows: int, admin: User, client: Client) -> tuple[dict[str, int], dict[str, float]]:
    """For each choice the queries and the seconds of the button that carries it out for all."""
    queries: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for choice in CHOICES:
        source, other = fill(rows, admin, choice)
        address = reverse("connections:remove", args=[source.uuid])
        value = f"move:{other.uuid}" if choice == "move" else choice
        sent = {"action": "remove", "impact": impact_of(source), "rest-exports": value}
        begun = time.perf_counter()
        with CaptureQueriesContext(database) as captured:
            answer = client.post(address, sent)
        seconds[choice], queries[choice] = time.perf_counter() - begun, len(captured)
        assert answer.status_code == 303, (choice, answer.status_code)
        assert RemovedConnection.objects.filter(uuid=source.uuid).exists()
    return queries, seconds


def fill(rows: int, admin: User, name: str) -> tuple[Connection, Connection]:
    """A connection with so many exports on it, and one to move to; each export with items, a schedule and runs."""
    number = Connection.objects.count()
    source, other = _connection(f"{name} {number}", admin), _connection(f"{name} {number} other", admin)
    exports = Export.objects.bulk_create(
        Export(
            name=f"{name} {number} {position}",
            name_key=f"{name} {number} {position}".lower(),
            folder_name=f"{name}-{number}-{position}".lower(),
            connection=source,
            type_key=source.type_key,
            options={"gzip": "yes"} if position % 2 else {},
            responsible=admin,
            updated_by=admin,
        )
        for position in range(rows)
    )
    ExportItem.objects.bulk_create(
        ExportItem(
            export=export, position=at, kind=ItemKind.SEGMENT, source=f"segment_{at}", fields=["email"]
        )
        for export in exports
        for at in range(2)
    )
    tomorrow = timezone.now() + dt.timedelta(days=1)
    ExportSchedule.objects.bulk_create(
        ExportSchedule(export=export, kind=ScheduleKind.DAY, local_time=dt.time(6), next_at=tomorrow)
        for export in exports
    )
    runs = ExportRun.objects.bulk_create(_runs(exports, source))
    ExportTask.objects.bulk_create(
        ExportTask(run=run, position=at, kind=ItemKind.SEGMENT, source=f"segment_{at}", selected=1000)
        for run in runs
        for at in range(2)
    )
    ExportAttempt.objects.bulk_create(
        ExportAttempt(run=run, number=1, started_at=run.not_before) for run in runs
    )
    return source, other


def _connection(name: str, admin: User) -> Connection:
    typed = {
        "auth_method": "password",
        "username": "portal",
        "hostname": "files.example.com",
        "export_folder": "in",
    }
    connection = Connection(
        name=name,
        name_key=name_key(name),
        type_key=Sftp.key,
        settings=Sftp.clean(typed),
        target_digest="0" * 64,
        state=State.READY,
        verified_at=timezone.now(),
        created_by=admin,
        updated_by=admin,
    )
    connection.consent = Consent.objects.create(
        action=Consent.Action.GIVEN,
        person_id=admin.pk,
        person_label=str(admin),
        connection_uuid=connection.uuid,
        connection_name=name,
        type_key=Sftp.key,
        target_label="sftp://files.example.com/in",
        target_digest=connection.target_digest,
    )
    connection.save()
    return connection


def _runs(exports: list[Export], source: Connection) -> Iterator[ExportRun]:
    now = timezone.now()
    for export in exports:
        for number in range(RUNS):
            ended = number < RUNS - 1
            yield ExportRun(
                export=export,
                state=RunState.SUCCESSFUL if ended else RunState.QUEUED,
                trigger=Trigger.SCHEDULE,
                not_before=now,
                started_at=now if ended else None,
                finished_at=now if ended else None,
                selected=2000 if ended else None,
                connection_uuid=source.uuid,
                connection_type=source.type_key,
                connection_name=source.name,
                connection_epoch=source.epoch,
            )
