"""The whole portal as ``make run`` starts it: web, worker, tick, sandbox server, sample data."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "blue-lamp-seven"
# Chromium calls nobody on its own account.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Portal:
    """Where the running portal is, and what it printed."""

    url: str
    password: str
    sandbox_url: str
    sandbox_password: str
    var_dir: Path

    def delivered(self) -> list[Path]:
        """Every file that has arrived at the sandbox's folder for exports, temporary ones included."""
        files = self.var_dir / "sandbox" / "files" / "incoming"
        return sorted(path for path in files.rglob("*") if path.is_file())

    def manage(self, *arguments: str) -> str:
        """What a ``manage.py`` command prints that runs on the state of this portal."""
        command = [sys.executable, "-m", "connections_portal.launcher", *arguments]
        environment = _environment() | {"VAR_DIR": str(self.var_dir)}
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60
        ).stdout


def _environment() -> dict[str, str]:
    """That of this process without what a portal of its own must not get."""
    unset = {
        "SECRET_KEY",
        "CONNECTION_SECRET_KEYS",
        "DATABASE_URL",
        "OUTGOING_ALLOW",
        "DJANGO_SETTINGS_MODULE",
    }
    return {name: value for name, value in os.environ.items() if name not in unset}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_portal(var_dir: Path) -> Iterator[Portal]:
    """Start the portal on ``var_dir`` and a free port, and stop it at the end as Ctrl-C does."""
    port = _free_port()
    # a port of its own for the sandbox: two portals that start at the same moment would take the same one
    (var_dir / "sandbox").mkdir(parents=True)
    (var_dir / "sandbox" / "port").write_text(f"{_free_port()}\n")
    environment = _environment()
    environment |= {"PORT": str(port), "VAR_DIR": str(var_dir), "DEMO_PASSWORD": PASSWORD}
    with subprocess.Popen(
        [sys.executable, "-m", "connections_portal.launcher"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("State is kept in"):
                    break
            at = next(i for i, line in enumerate(lines) if line.startswith("sftp://"))
            yield Portal(f"http://127.0.0.1:{port}", PASSWORD, lines[at], lines[at + 1], var_dir)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=40)
    assert process.returncode == 0
