"""Runs against a real server, from the selection to the files, with everything around them in place."""

import datetime as dt
import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db import connection as database
from django.utils import timezone
from pytest_django import Settings

from connections.models import Access, Connection
from connections_portal import runs
from connections_portal.models import RunState, Trigger, User
from connections_portal.sandbox import SandboxServer
from exports.item import Item
from exports.models import Export, ExportRun, ItemKind, ScheduleKind
from exports.operations.edit import Timing, create_export
from exports.operations.execute import STILL, execute_run
from exports.operations.run import enqueue_run
from tests.connectors.servers import SandboxFactory, Server
from tests.data import write_customers
from tests.factories import make_connection

FOLDER = "exports"
PATIENCE = 30
LOYAL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("customer_id", "email", "city", "points"))
ORDERS = Item(kind=ItemKind.TABLE, source="orders", fields=("order_id", "customer_id", "amount"))
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="UTC")
EVENTS = Item(kind=ItemKind.TABLE, source="events", fields=("event_id", "note"))

# ``loyal`` as a file: c1 and c3 have a profile, c3 is a member twice, "gone" has none
LOYAL_LINES = {'"c1","ana@example.com","Łódź",10', '"c3","",,0'}
LOYAL_HEADER = '"customer_id","email","city","points"'


def make_export(
    connection: Connection,
    *items: Item,
    actor: User,
    name: str = "Loyal customers",
    options: Mapping[str, str] | None = None,
    schedule: Timing | None = None,
    now: dt.datetime | None = None,
) -> Export:
    """An export of these items (default: the segment ``loyal``), not compressed, without a schedule."""
    return create_export(
        name=name,
        connection=connection,
        options={"compression": "none"} | dict(options or {}),
        items=items or (LOYAL,),
        schedule=schedule or Timing(),
        actor=actor,
        now=now,
    )


def connect(
    server: Server,
    *,
    actor: User,
    folder: str = FOLDER,
    name: str = "Newsletter, SFTP EU",
    access: Access = Access.ADMINISTRATORS,
    secrets: Mapping[str, str] | None = None,
    host_key: str | None = None,
) -> Connection:
    """A verified connection to the server, its key trusted unless another one is given."""
    method = "key" if server.private_key else "password"
    right = {"private_key": server.private_key} if server.private_key else {"password": server.password}
    return make_connection(
        actor=actor,
        name=name,
        access=access,
        settings={
            "auth_method": method,
            "username": server.username,
            "hostname": f"{server.host}:{server.port}",
            "export_folder": folder,
        },
        secrets=secrets or right,
        host_key=server.public_key if host_key is None else host_key,
    )


def start(export: Export, *, actor: User | None = None, trigger: Trigger = Trigger.PERSON) -> ExportRun:
    """A queued run, started by ``actor`` (default: the responsible person)."""
    return enqueue_run(export=export, actor=actor or export.responsible, trigger=trigger)


def carry(run: ExportRun, *, worker: str = "test") -> str:
    """What a worker does with the run's message, in this process; ``run`` then is as the database has it."""
    outcome = execute_run(run_id=run.pk, worker=worker)
    run.refresh_from_db()
    return outcome


def carry_again(run: ExportRun, *, worker: str = "test") -> str:
    """The next attempt, without waiting for its time."""
    assert run.state == RunState.QUEUED, run.state
    ExportRun.objects.filter(pk=run.pk).update(not_before=timezone.now() - dt.timedelta(seconds=1))
    return carry(run, worker=worker)


def claimed(run: ExportRun) -> runs.Lease:
    """The lease of a worker that has just taken the run up, without doing anything for it."""
    outcome, lease = runs.claim(
        ExportRun,
        run.pk,
        worker="test",
        lock_first=lambda run_id: None,
        slot_free=lambda run: True,
        refuses=lambda run: None,
        on_refused=lambda run, refusal: None,
        still=STILL,
    )
    assert lease is not None, outcome
    run.refresh_from_db()
    return lease


def lose_worker(run: ExportRun) -> None:
    """Let the run's lease be over, as if its worker had been killed a while ago."""
    over = timezone.now() - dt.timedelta(seconds=1)
    assert ExportRun.objects.filter(pk=run.pk, lease_token__isnull=False).update(lease_until=over)
    run.refresh_from_db()


def until(what: Callable[[], bool]) -> None:
    """Wait for something elsewhere that only the database or the system can tell."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def somebody_waits() -> bool:
    """Whether another session waits for a lock; SQLite lets the second one wait before it has asked for anything."""
    if database.vendor != "postgresql":
        return True
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def in_a_session(work: Callable[[], Any]) -> Any:
    """For another thread: a database session of its own, closed after it."""
    try:
        return work()
    finally:
        database.close()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its path in there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def folders(folder: Path) -> list[str]:
    """Names of the folders directly in there; empty when it is not there."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def lines(content: bytes) -> tuple[str, set[str], int]:
    """Header, set of rows and number of rows of a delimited file whose values hold no line ends."""
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    header, *rows = content.decode().removesuffix("\r\n").split("\r\n")
    return header, set(rows), len(rows)


def write_events(data: Path, rows: int = 60_000) -> None:
    """A table ``events`` of some megabytes, so that a file takes many blocks."""
    notes = [f"note number {n} of a customer who wrote many of them" for n in range(rows)]
    pq.write_table(
        pa.table({"event_id": list(range(rows)), "note": notes}),
        data / "tables" / "events.parquet",
        row_group_size=10_000,
    )


@dataclass(kw_only=True)
class Delivery:
    """Customer data, the sandbox server, and a connection between them. ``faults`` of the box may be set any time."""

    data: Path
    server: Server
    box: SandboxServer
    connection: Connection
    admin: User
    allow: Callable[[int], None]

    @property
    def at_server(self) -> Path:
        """The connection's folder at the server."""
        return self.server.files / FOLDER

    def export(self, *items: Item, **more: Any) -> Export:
        """See ``make_export``."""
        return make_export(self.connection, *items, **({"actor": self.admin} | more))

    def delivered(self, export: Export) -> dict[str, bytes]:
        """Everything in the export's folder at the server, unfinished files included."""
        return tree(self.at_server / export.folder_name)


@contextmanager
def carried_elsewhere(run: ExportRun, delivery: Delivery) -> Iterator[Future[str]]:
    """A worker in another thread carries the run until the server holds its request; the block runs meanwhile."""

    def work() -> str:
        try:
            return execute_run(run_id=run.pk, worker="elsewhere")
        finally:
            database.close()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            assert delivery.box.holding.wait(20)
            run.refresh_from_db()
            yield future
        finally:
            delivery.box.release()


@pytest.fixture
def customer_data(tmp_path: Path, settings: Settings) -> Path:
    """The customers of ``tests.data`` as the portal's customer data, and room for what runs write here."""
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()
    settings.SPILL_DIR = settings.VAR_DIR / "spill"
    settings.MIN_FREE_BYTES = 0
    data = write_customers(tmp_path / "customer-data")
    settings.CUSTOMER_DATA_URL = f"duckdb://{data}"
    return data


@pytest.fixture
def delivery(
    transactional_db: None,
    customer_data: Path,
    admin: User,
    sandbox_server: SandboxFactory,
    allow_outgoing: Callable[[int], None],
) -> Iterator[Delivery]:
    """Everything that a run needs; its database is real to all threads and processes."""
    with sandbox_server() as (server, box):
        allow_outgoing(server.port)
        yield Delivery(
            data=customer_data,
            server=server,
            box=box,
            connection=connect(server, actor=admin),
            admin=admin,
            allow=allow_outgoing,
        )
