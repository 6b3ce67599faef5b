"""`make run` as a person meets it: it says where it is, ends cleanly, starts again, and leaves nothing behind."""

import contextlib
import http.client
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from connections_portal import checks, launcher
from connections_portal.sandbox.key_vault_cloud import TENANT
from connections_portal.sandbox.key_vault_stock import stocked

LAUNCHER = [sys.executable, "-m", "connections_portal.launcher"]
START_SECONDS = 90
STOP_SECONDS = 25


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def processes_of(var_dir: Path) -> set[int]:
    """The ids of all living processes that were started with this VAR_DIR, however deep."""
    mark = f"VAR_DIR={var_dir}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                alive = "\nState:\tZ" not in (entry / "status").read_text()
                if alive and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found


def commands_of(var_dir: Path) -> str:
    lines = []
    for number in processes_of(var_dir):
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return "\n".join(lines)


def wait_until(true: Callable[[], bool], seconds: float = STOP_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Portal:
    """One `make run`: what it printed, and the process to send signals to."""

    def __init__(self, var_dir: Path, port: int) -> None:
        self.var_dir, self.port = var_dir, port
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
        environment |= {"VAR_DIR": str(var_dir), "PORT": str(port)}
        self.process = subprocess.Popen(
            LAUNCHER,
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.output = ""

    def read_until(self, words: str, seconds: float = START_SECONDS) -> None:
        """Collect output until ``words`` are in it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while words not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"{words!r} did not come:\n{self.output}"
            self.output += chunk.decode()

    def sandbox(self) -> tuple[int, str]:
        """Port and password of the sandbox server, from the two lines made for copying."""
        found = re.search(r"^sftp://sandbox@127\.0\.0\.1:(\d+)/incoming\n(\S+)$", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1]), found[2]

    def vault_port(self) -> int:
        """The port of the sandbox's Key Vault, once it is announced."""
        assert "A sandbox Key Vault comes linked, contoso-sandbox:" in self.output
        return int((self.var_dir / "sandbox" / "vault_port").read_text())

    def linked_vaults(self) -> list[tuple[str, str]]:
        """Hosts and subscriptions of the vaults that are linked."""
        with contextlib.closing(sqlite3.connect(self.var_dir / "portal.sqlite3")) as database:
            return database.execute("SELECT host, subscription_name FROM connections_keyvault").fetchall()

    def status_of(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Portal]]:
    """Starts portals; whatever a failing test leaves running is killed."""
    started: list[Portal] = []

    def build(*, port: int | None = None) -> Portal:
        portal = Portal(tmp_path / "var", port or free_port())
        started.append(portal)
        return portal

    yield build
    for number in processes_of(tmp_path / "var"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    for portal in started:
        portal.process.wait(STOP_SECONDS)
        assert portal.process.stdout is not None
        portal.process.stdout.close()


@pytest.mark.timeout(300)
def test_portal_runs_stops_and_starts_again(start: Callable[..., Portal]) -> None:
    portal = start()
    portal.read_until("Ctrl-C stops everything.")
    assert f"http://127.0.0.1:{portal.port}/" in portal.output
    assert "admin, contributor, viewer" in portal.output
    assert portal.status_of("/sign-in/") == 200
    sandbox_port, password = portal.sandbox()
    assert f"Password  {password}\n" in portal.output
    with socket.create_connection(("127.0.0.1", sandbox_port), timeout=5) as sandbox:
        assert sandbox.recv(4) == b"SSH-"
    vault_port = portal.vault_port()
    assert portal.linked_vaults() == [("contoso-sandbox.vault.azure.net", "Contoso sandbox")]
    running = commands_of(portal.var_dir)
    assert "gunicorn" in running
    assert "portal_worker" in running
    assert password not in running, "the password is on a command line, where others can read it"
    private = ("authority.key", "client_secret")
    secret = (portal.var_dir / "sandbox/key-vault/client_secret").read_text().strip()
    assert secret not in running
    for name in (
        "secret_key", "connection_secret_keys", "demo_password", *(f"sandbox/key-vault/{p}" for p in private)
    ):  # fmt: skip
        assert (portal.var_dir / name).stat().st_mode & 0o777 == 0o600

    second = start()
    assert second.process.wait(START_SECONDS) == 1
    second.read_until("make run VAR_DIR=")
    assert f"process {portal.process.pid}" in second.output

    assert portal.end(signal.SIGINT) == 0
    assert processes_of(portal.var_dir) == set()

    again = start(port=portal.port)
    again.read_until("Ctrl-C stops everything.")
    assert again.sandbox() == (sandbox_port, password)
    assert again.vault_port() == vault_port
    assert len(again.linked_vaults()) == 1
    assert again.status_of("/sign-in/") == 200
    # Nothing may outlive a parent that is killed and can no longer tell anybody.
    assert again.end(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not processes_of(again.var_dir))


@pytest.mark.timeout(180)
def test_dead_worker_is_started_again_and_dead_web_stops_everything(start: Callable[..., Portal]) -> None:
    portal = start()
    portal.read_until("Ctrl-C stops everything.")
    os.kill(child_of(portal, "portal_worker"), signal.SIGKILL)
    portal.read_until("worker was ended by SIGKILL; it is started again.")
    wait_until(lambda: "portal_worker" in commands_of(portal.var_dir))
    os.kill(child_of(portal, "gunicorn"), signal.SIGKILL)
    assert portal.process.wait(STOP_SECONDS) == 1
    portal.read_until("web was ended by SIGKILL. Stopping everything.")
    assert processes_of(portal.var_dir) == set()


def child_of(portal: Portal, word: str) -> int:
    """The child of the launcher itself whose command line holds ``word``."""
    for number in processes_of(portal.var_dir):
        parent = re.search(r"^PPid:\t(\d+)$", Path(f"/proc/{number}/status").read_text(), re.MULTILINE)
        command = Path(f"/proc/{number}/cmdline").read_bytes().decode()
        if parent and int(parent[1]) == portal.process.pid and word in command:
            return number
    raise AssertionError(f"no {word} under the launcher")


def test_taken_port_is_named(start: Callable[..., Portal]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        portal = start(port=port)
        assert portal.process.wait(30) == 1
    portal.read_until(
        f"Port {port} is taken by another program. Choose another one: make run PORT={port + 1}"
    )


def test_management_command_gets_the_same_state(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    environment["VAR_DIR"] = str(tmp_path)
    shown = "from django.conf import settings as s; print(s.VAR_DIR, sorted(s.CONNECTION_SECRET_KEYS), s.DEV)"
    for _ in range(2):
        done = subprocess.run(
            [*LAUNCHER, "shell", "--no-imports", "-c", shown],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == f"{tmp_path} [1] True\n", done.stderr
    assert (tmp_path / "secret_key").stat().st_size > 50


def environment_of_a_command(var_dir: Path, **more: str) -> str:
    """Proxy, authority, vaults and identity that a management command on this state has."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    shown = (
        "import os; from django.conf import settings as s; "
        "print(s.OUTGOING_PROXY, s.OUTGOING_CA_FILE, s.KEY_VAULT_HOSTS, os.environ.get('AZURE_TOKEN_CREDENTIALS'))"
    )
    done = subprocess.run(
        [*LAUNCHER, "shell", "--no-imports", "-c", shown],
        cwd=settings.BASE_DIR,
        env=environment | {"VAR_DIR": str(var_dir)} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_own_way_out_leaves_the_sandbox_vault_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "vault_port").write_text("2399")
    authority = tmp_path / "sandbox" / "key-vault" / "authority.pem"
    vaults = "['contoso-sandbox.vault.azure.net']"
    assert (
        environment_of_a_command(tmp_path)
        == f"http://127.0.0.1:2399 {authority} {vaults} EnvironmentCredential"
    )
    own = "http://proxy.contoso.example:3128"
    assert environment_of_a_command(tmp_path, OUTGOING_PROXY=own) == f"{own}  [] None"
    identity = "ManagedIdentityCredential"
    assert environment_of_a_command(tmp_path, AZURE_TOKEN_CREDENTIALS=identity) == f"[] {identity}"
    monkeypatch.setenv("OUTGOING_PROXY", own)
    launcher.announce(tmp_path, 8000, 2222, "password", with_vault=not launcher.own_azure())
    said = capsys.readouterr().out
    assert "The sandbox Key Vault is left out: OUTGOING_PROXY is set." in said
    assert "Use Key Vault" not in said


def test_names_of_the_sandbox_are_the_same_everywhere() -> None:
    assert {launcher.VAULT_HOST, f"{launcher.OTHER_VAULT}.vault.azure.net"} == checks.SANDBOX_VAULTS
    assert launcher.VAULT_TENANT == TENANT
    cloud = stocked(
        launcher.VAULT,
        launcher.OTHER_VAULT,
        sftp_password="p",
        sftp_host=launcher.HOST,
        client_id=launcher.VAULT_CLIENT,
        client_secret="s",
    )
    assert set(cloud.vaults) == checks.SANDBOX_VAULTS
    secret = cloud.vaults[launcher.VAULT_HOST].find(launcher.VAULT_SECRET)
    assert secret is not None
    assert (secret.value, secret.tags) == ("p", {"portal-target": launcher.HOST})
