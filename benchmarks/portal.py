"""A whole portal for benchmarks: its database, a connection to a server, and workers as processes of their own."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from benchmarks.openssh import OpenSSH
from connections.models import Connection
from connections_portal import roles
from connections_portal.management.commands.portal_worker import WORKER
from connections_portal.models import RunState, Trigger, User
from connections_portal.roles import Role
from exports.item import Item
from exports.models import Export, ExportRun
from exports.operations.edit import Timing, create_export
from exports.operations.run import enqueue_run
from tests.factories import make_connection

LONGEST_RUN_SECONDS = 1_800


def make_administrator() -> User:
    """The database from its migrations (once), and an administrator in it."""
    call_command("migrate", verbosity=0)
    person, new = User.objects.get_or_create(username="bench")
    if new:
        roles.assign(user=person, role=Role.ADMINISTRATOR)
    return person


def connect(server: OpenSSH, *, actor: User) -> Connection:
    """A ready connection to the server."""
    return make_connection(
        actor=actor,
        name="Benchmark",
        settings={
            "auth_method": "key",
            "username": server.user,
            "hostname": f"127.0.0.1:{server.port}",
            "export_folder": "exports",
        },
        secrets={"private_key": server.private_key},
        host_key=server.host_key,
    )


def make_export(connection: Connection, name: str, item: Item, *, actor: User) -> Export:
    """An export of one item, not compressed, without a schedule."""
    return create_export(
        name=name,
        connection=connection,
        options={"compression": "none"},
        items=(item,),
        schedule=Timing(),
        actor=actor,
    )


class Worker:
    """A worker's process; ``peak_mb`` is the most memory it and its children have held."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self._peaks: dict[int, int] = {}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    @property
    def peak_mb(self) -> float:
        """The sum of the peaks of all its processes: never less than what they held at one time."""
        self._note()
        return sum(self._peaks.values()) / 1024

    def carry(self, export: Export, *, actor: User) -> ExportRun:
        """Run the export as *Run* does, to its end. Raises RuntimeError when it does not succeed."""
        run = enqueue_run(export=export, actor=actor, trigger=Trigger.PERSON)
        deadline = time.monotonic() + LONGEST_RUN_SECONDS
        while run.is_active and time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"The worker has ended:\n{self._log.read_text()[-2_000:]}")
            time.sleep(0.5)  # its own times are what counts; asking takes the processor away from it
            run.refresh_from_db()
        if run.state != RunState.SUCCESSFUL:
            raise RuntimeError(f"The run is {run.state}: {run.cause} {run.detail}")
        return run

    def stop(self) -> None:
        """End the process and wait for it."""
        self._ended.set()
        self._watch.join()
        self._process.terminate()
        self._process.wait()

    def _look(self) -> None:
        while not self._ended.wait(0.5):  # the kernel keeps the peak; this only looks for children
            self._note()

    def _note(self) -> None:
        """The highest resident size (VmHWM, proc(5)) of every process of the tree that is alive."""
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    waiting += map(int, (thread / "children").read_text().split())
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self._peaks[pid] = int(line.split()[1])


@contextmanager
def worker(server: OpenSSH, data: Path) -> Iterator[Worker]:
    """``manage.py``'s worker on this portal's database with the customer data in ``data``."""
    more = {
        "CUSTOMER_DATA_URL": f"duckdb://{data}",
        "OUTGOING_ALLOW": f"127.0.0.1:{server.port}",
        "MIN_FREE_MB": "0",
    }
    path = Path(settings.VAR_DIR) / "worker.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *WORKER],
            env=os.environ | more,
            stdout=log,
            stderr=log,
        )
    running = Worker(process, path)
    try:
        yield running
    finally:
        running.stop()
