"""The tests marked ``both_databases`` on PostgreSQL too: ``python -m tests.postgresql [arguments of pytest]``.

A server of its own is made for it, in a temporary folder, on loopback, with a random port and password; it runs as
``nobody`` when this is root (PostgreSQL refuses root) and is gone at the end. DATABASE_URL leads pytest there, as it
would lead the portal. To use a server that is there already, set DATABASE_URL and call pytest itself.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connections_portal.processes import end_with_parent

USER = "portal"
# How a test finds the server that it runs on, to stop and start it.
FOLDER_VARIABLE = "TEST_POSTGRESQL_FOLDER"
START_SECONDS = 30
NO_TESTS_COLLECTED = 5  # pytest's exit code
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "timezone": "UTC",
}


class Missing(Exception):
    """PostgreSQL cannot be had here; the message is a line for the person at the terminal."""


def programs() -> Path:
    """The folder with ``initdb``, ``postgres`` and ``pg_ctl``: the newest that Debian installed, else from PATH."""
    debian = sorted(
        (path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")),
        key=lambda folder: int(folder.parent.name) if folder.parent.name.isdigit() else 0,
    )
    if debian:
        return debian[-1]
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise Missing("there is no initdb (Debian: apt-get install postgresql)")


# Servers that are children of this process: somebody has to wait for them after their end.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server in ``folder``: its data, its socket, its log, and its port in ``port``."""

    folder: Path

    @property
    def port(self) -> int:
        """Where it listens on loopback, also after a restart."""
        return int((self.folder / "port").read_text())

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "log"

    def create(self, password: str) -> None:
        """Make the data folder; raises Missing with what went wrong."""
        file = self.folder / "password"
        file.write_text(password)
        if os.getuid() == 0:
            os.chown(self.folder, *_nobody())
            os.chown(file, *_nobody())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            (self.folder / "port").write_text(str(free.getsockname()[1]))
        # an order of words as people expect it, not that of bytes: what most servers are installed with
        command = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--encoding=UTF8"]
        command += ["--username", USER, "--auth=scram-sha-256", "--no-sync", f"--pwfile={file}"]
        made = self._run("initdb", *command)
        if made.returncode:
            raise Missing(f"initdb failed: {' '.join(made.stdout.split())[-300:]}")

    def start(self) -> None:
        """Start the server; it ends with this process at the latest. Raises Missing when it does not come up."""
        more = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                [programs() / "postgres", "-D", self._data, *(f"--{n}={v}" for n, v in more.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # after the change of user, which would undo it
                **_as_nobody(),
            )
        _started.append(server)
        ready = ("--host=127.0.0.1", f"--port={self.port}", "--dbname=postgres")
        deadline = time.monotonic() + START_SECONDS
        while not self.is_running() or self._run("pg_isready", *ready).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"the server did not start: {self.log.read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, whoever started it: connections are cut, nothing that was committed is lost."""
        self._run("pg_ctl", "stop", "--mode=fast", "--wait")
        while _started:
            _started.pop().wait(START_SECONDS)

    def is_running(self) -> bool:
        """Whether there is a server process at work on the folder."""
        return self._run("pg_ctl", "status").returncode == 0

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs() / program, *arguments],
            check=False,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGDATA": str(self._data)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **_as_nobody(),
        )


def _nobody() -> tuple[int, int]:
    account = pwd.getpwnam("nobody")
    return account.pw_uid, account.pw_gid


def _as_nobody() -> dict[str, Any]:
    """How a child gives up being root; nothing to do for anybody else."""
    if os.getuid():
        return {}
    user, group = _nobody()
    return {"user": user, "group": group, "extra_groups": []}


def address(database: Mapping[str, Any]) -> str:
    """DATABASE_URL for another process: the database of these Django settings (``connection.settings_dict``)."""
    if database["ENGINE"].endswith("sqlite3"):
        return f"sqlite:///{database['NAME']}"
    return "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)


@contextlib.contextmanager
def running() -> Iterator[tuple[Cluster, str]]:
    """A server for the block and its address as a DATABASE_URL; afterwards nothing of it is left."""
    programs()
    folder = Path(tempfile.mkdtemp(prefix="portal-postgresql-"))
    cluster, password = Cluster(folder), secrets.token_hex(16)
    try:
        cluster.create(password)
        cluster.start()
        yield cluster, f"postgresql://{USER}:{password}@127.0.0.1:{cluster.port}/portal"
    finally:
        try:
            cluster.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Run pytest there; its exit code, and 0 with a line where PostgreSQL cannot be had."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with running() as (cluster, url):
            environment = os.environ | {"DATABASE_URL": url, FOLDER_VARIABLE: str(cluster.folder)}
            environment.pop("DATABASE_URL_FILE", None)
            print(f"On PostgreSQL ({programs().parent.name}):", flush=True)
            command = [sys.executable, "-m", "pytest", "-m", "both_databases", *arguments]
            code = subprocess.run(command, env=environment, check=False).returncode
    except Missing as missing:
        print(f"SKIPPED the tests on PostgreSQL: {missing}", flush=True)
        return 0
    # nothing that somebody named on the command line is marked
    return 0 if arguments and code == NO_TESTS_COLLECTED else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
