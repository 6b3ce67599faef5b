"""Workers as processes of their own on the test's database, to be killed, frozen and stopped."""

import base64
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from pytest_django import Settings

from connections_portal.management.commands.portal_worker import WORKER
from exports.models import ExportRun
from tests.postgresql import address
from tests.runs.helpers import PATIENCE, Delivery

MANAGE = Path(django_settings.BASE_DIR) / "manage.py"
FORKS = Path(__file__).with_name("forks.py")


@pytest.fixture
def connection_key(settings: Settings) -> bytes:
    """A key that start checks accept, known to this process and its workers; set before anything is encrypted."""
    key = secrets.token_bytes(32)
    settings.CONNECTION_SECRET_KEYS = {1: key}
    return key


def worker_environment(settings: Settings, connection_key: bytes) -> dict[str, str]:
    """What a process needs to be a worker of this portal; its leases are short."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ["PYTHONPATH"],  # no name of the world is looked up (tests/guard)
        "PORTAL_DEV": "1",
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": address(database.settings_dict),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CONNECTION_SECRET_KEYS": f"1:{base64.b64encode(connection_key).decode()}",
        "VAR_DIR": str(settings.VAR_DIR),
        "CUSTOMER_DATA_URL": settings.CUSTOMER_DATA_URL,
        "OUTGOING_ALLOW": settings.OUTGOING_ALLOW,
        "MIN_FREE_MB": "0",
        "RUN_LEASE_SECONDS": "3",
        "RUN_BEAT_SECONDS": "1",
        "TICK_SECONDS": "1",
    }


@pytest.fixture
def environment(connection_key: bytes, delivery: Delivery, settings: Settings) -> dict[str, str]:
    """See ``worker_environment``; may be changed before a process is started."""
    return worker_environment(settings, connection_key)


Processes = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def process(environment: dict[str, str], tmp_path: Path) -> Iterator[Processes]:
    """A function that starts ``manage.py`` with arguments; whatever is left at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"process-{len(started)}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, str(MANAGE), *arguments],
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
            )
        return started[-1]

    yield run
    for child in started:
        if child.poll() is None:
            child.kill()
        child.wait(PATIENCE)


class Forks:
    """Workers that start in no time: forked by a process that has everything loaded already.

    Each is ``manage.py db_worker`` like any other, by its process id and with a name of its own. The parent does not
    let go of an id before it was asked to, so that nobody else is ever hit.
    """

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        self._parent = parent
        self._number = 0

    def start(self) -> tuple[int, str]:
        """A worker that looks for runs: its process id and its name."""
        self._number += 1
        name = f"worker-{self._number}"
        return int(self._ask(f"start {name}")), name

    def kill(self, worker: int) -> None:
        """SIGKILL; the process is gone when this returns."""
        self._ask(f"kill {worker}")

    def has_ended(self, worker: int) -> bool:
        """Whether the worker ended by itself."""
        return self._ask(f"ended {worker}") == "yes"

    def _ask(self, line: str) -> str:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{line}\n")
        self._parent.stdin.flush()
        return self._parent.stdout.readline().strip()


@pytest.fixture
def forks(environment: dict[str, str], tmp_path: Path) -> Iterator[Forks]:
    """See ``Forks``; all of them are killed at the end."""
    with (tmp_path / "forks.log").open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, str(FORKS), *WORKER],
            env=environment
            | {"PYTHONPATH": f"{environment['PYTHONPATH']}{os.pathsep}{django_settings.BASE_DIR}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n", (tmp_path / "forks.log").read_text()
        yield Forks(parent)
        assert parent.stdin is not None
        parent.stdin.close()
        parent.wait(PATIENCE)


def ended(run: ExportRun) -> bool:
    """Whether the run has come to its end by now."""
    run.refresh_from_db()
    return not run.is_active


@contextmanager
def held(delivery: Delivery) -> Iterator[None]:
    """The block runs while the server holds a request of the worker; then it is let go."""
    try:
        assert delivery.box.holding.wait(PATIENCE), "the worker did not get so far"
        yield
    finally:
        delivery.box.release()


@contextmanager
def frozen(worker: int) -> Iterator[None]:
    """The process stands still for the length of the block."""
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)
