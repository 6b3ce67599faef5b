"""The sandbox server as `make run` starts it: a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connections.connectors.base import StepStatus
from connections.connectors.sftp import Sftp
from connections.gateway import OutgoingGateway
from connections_portal.sandbox import SandboxServer
from tests.connectors.servers import make_key

ROOT = Path(__file__).parents[2]


def start(directory: Path, *options: str, password: str = "pw") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "connections_portal.sandbox",
            "--dir",
            str(directory),
            "--port",
            "0",
            *options,
        ],
        env=os.environ | {"SANDBOX_PASSWORD": password},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    return process.returncode, output + errors


def key_after_verifying(ready: str, secret: dict[str, str], *, trusted: str = "", **settings: str) -> str:
    """Paste the address of the ready line, verify to the end, and return the server's key."""
    cleaned = Sftp.clean({"hostname": ready.rsplit(maxsplit=1)[-1]} | settings)
    gateway = OutgoingGateway([("127.0.0.1", int(cleaned["port"]))])
    if not trusted:
        asked = list(Sftp(cleaned, {}, gateway).verify())[-1]
        assert asked.identity is not None
        trusted = asked.identity.public_key
    last = list(Sftp(cleaned, secret, gateway, host_key=trusted).verify())[-1]
    assert last.status is StepStatus.DONE, last
    return trusted


def test_address_of_the_ready_line_works_and_the_key_survives_a_restart(tmp_path: Path):
    keys = []
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start(tmp_path / "sandbox", "--user", "sandbox", "--folder", "exports")
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("Sandbox ready: sftp://sandbox@127.0.0.1:")
        keys.append(key_after_verifying(ready, {"password": "pw"}))
        code, output = stop(process, number)
        assert code == 0
        assert output == ""
    assert keys[0] == keys[1]
    assert (tmp_path / "sandbox" / "host_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "sandbox" / "files").iterdir()] == ["exports"]


def test_key_sign_in(tmp_path: Path):
    key = make_key(tmp_path / "key", "-t", "ed25519")
    process = start(tmp_path / "sandbox", "--authorized-keys", str(tmp_path / "key.pub"), password="")
    assert process.stdout is not None
    key_after_verifying(process.stdout.readline(), {"private_key": key}, auth_method="key")
    assert stop(process) == (0, "")


@pytest.mark.parametrize(
    ("options", "password", "message"),
    [(["--host", "0.0.0.0"], "pw", "loopback"), ([], "", "SANDBOX_PASSWORD")],
    ids=["every interface", "no password"],
)
def test_unsafe_start_is_refused(tmp_path: Path, options: list[str], password: str, message: str):
    process = start(tmp_path, *options, password=password)
    _output, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert message in errors
    assert "Traceback" not in errors


def test_port_that_is_taken_is_said_in_one_line(tmp_path: Path):
    with SandboxServer(tmp_path / "first", password="pw") as first:
        process = start(tmp_path / "second", "--port", str(first.port))
        _output, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert errors.startswith("The sandbox cannot start:")
    assert len(errors.splitlines()) == 1


def test_nothing_leads_out_of_the_folder(tmp_path: Path):
    (tmp_path / "outside.txt").write_text("secret")
    batch = tmp_path / "batch"
    batch.write_text("-get ../../outside.txt got\n-ln -s /etc/passwd link\n-get /etc/passwd got\n")
    make_key(tmp_path / "key", "-t", "ed25519")
    with SandboxServer(tmp_path / "sandbox", authorized_keys=tmp_path / "key.pub") as box:
        subprocess.run(
            [
                *(
                    "sftp",
                    "-q",
                    "-b",
                    str(batch),
                    "-F",
                    "none",
                    "-P",
                    str(box.port),
                    "-i",
                    str(tmp_path / "key"),
                ),
                *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'hosts'}"),
                f"{box.username}@127.0.0.1",
            ],
            check=True,
            capture_output=True,
            cwd=tmp_path,
        )
        assert list(box.files.iterdir()) == []
    assert not (tmp_path / "got").exists()
