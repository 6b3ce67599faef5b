"""Real servers to send files to: OpenSSH's own sshd, and the sandbox; both on the loopback interface."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connections.connectors.sftp import Sftp
from connections.connectors.sftp_custom_import import SftpCustomImport
from connections.gateway import OutgoingGateway
from connections_portal.sandbox import Faults, SandboxServer

SSHD = "/usr/sbin/sshd"
START_SECONDS = 10
CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
{host_keys}
PidFile none
AuthorizedKeysFile {authorized_keys}
StrictModes no
UsePAM no
PermitRootLogin yes
PubkeyAuthentication yes
PasswordAuthentication {passwords}
KbdInteractiveAuthentication no
MaxStartups 100
LogLevel INFO
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {files}
{extra}
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server to connect to: whom to sign in as and with what, its keys, and where files lie on this machine."""

    port: int
    username: str
    files: Path
    host_keys: Mapping[str, str]
    password: str = ""
    private_key: str = ""
    host: str = "127.0.0.1"

    @property
    def public_key(self) -> str:
        """The server's Ed25519 key in one line."""
        return self.host_keys["ed25519"]

    def connector(self, folder: str = "exports", *, trusted: str | None = None, **secrets_given: str) -> Sftp:
        """An SFTP connector for this server that trusts it, unless told otherwise."""
        settings = Sftp.clean(self._settings | {"export_folder": folder})
        gateway = OutgoingGateway([(self.host, self.port)])
        key = self.public_key if trusted is None else trusted
        return Sftp(settings, secrets_given or self._secrets, gateway, host_key=key)

    def importer(self, *, trusted: str | None = None) -> SftpCustomImport:
        """A connector that reads from this server and trusts it, unless told otherwise."""
        gateway = OutgoingGateway([(self.host, self.port)])
        key = self.public_key if trusted is None else trusted
        return SftpCustomImport(SftpCustomImport.clean(self._settings), self._secrets, gateway, host_key=key)

    @property
    def _settings(self) -> dict[str, str]:
        return {
            "auth_method": "key" if self.private_key else "password",
            "username": self.username,
            "hostname": f"{self.host}:{self.port}",
        }

    @property
    def _secrets(self) -> dict[str, str]:
        return {"private_key": self.private_key} if self.private_key else {"password": self.password}


def free_port() -> int:
    """A loopback port that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path, *options: str, passphrase: str = "") -> str:
    """A private key made by ssh-keygen in ``path`` (the public one beside it), and its text."""
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-C", "", "-f", str(path), *options], check=True)
    return path.read_text()


@contextmanager
def running_sshd(
    directory: Path,
    *,
    files: Path,
    passwords: bool = False,
    kinds: tuple[str, ...] = ("ed25519", "rsa", "ecdsa"),
    extra: str = "",
) -> Iterator[tuple[int, dict[str, str]]]:
    """OpenSSH's sshd as the current user, with keys of its own: its port, and its host keys by kind.

    ``directory/authorized_keys`` lets people in; the folder signed in to is ``files``; ``extra`` are lines of
    configuration.
    """
    if not Path(SSHD).exists():
        pytest.skip("OpenSSH's server is not installed (apt-get install openssh-server)")
    if os.geteuid() == 0:
        # Where sshd has never been started by the system, its folder for privilege separation is missing.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_keys = {}
    for kind in kinds:
        make_key(directory / f"host_{kind}", "-t", kind)
        host_keys[kind] = (directory / f"host_{kind}.pub").read_text().strip()
    port = free_port()
    configuration = directory / "sshd_config"
    configuration.write_text(
        CONFIGURATION.format(
            port=port,
            host_keys="\n".join(f"HostKey {directory}/host_{kind}" for kind in kinds),
            authorized_keys=directory / "authorized_keys",
            passwords="yes" if passwords else "no",
            files=files,
            extra=extra,
        )
    )
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(configuration)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        log: list[str] = []
        for line in process.stderr:
            log.append(line)
            if "Server listening on" in line:
                break
        else:
            pytest.fail(f"sshd did not start: {''.join(log)}")
        # Nobody reads the log, but it must not fill the pipe.
        reader = threading.Thread(target=process.stderr.read, daemon=True)
        reader.start()
        yield port, host_keys
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        reader.join(START_SECONDS)
        process.stderr.close()


@contextmanager
def running_openssh(
    directory: Path, *, kinds: tuple[str, ...] = ("ed25519", "rsa", "ecdsa"), extra: str = ""
) -> Iterator[Server]:
    """OpenSSH for the current user with a key, files in ``directory/files``."""
    files = directory / "files"
    files.mkdir()
    key = make_key(directory / "user", "-t", "ed25519")
    shutil.copy(directory / "user.pub", directory / "authorized_keys")
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    with running_sshd(directory, files=files, kinds=kinds, extra=extra) as (port, host_keys):
        yield Server(port=port, username=user, private_key=key, files=files, host_keys=host_keys)


@pytest.fixture(scope="session")
def openssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """OpenSSH with a key for the current user; shared by all tests, so use folders of your own in it."""
    with running_openssh(tmp_path_factory.mktemp("openssh")) as server:
        yield server


@pytest.fixture(scope="session")
def openssh_account() -> Iterator[Server]:
    """OpenSSH with password sign-in for an account that is made for it and removed after it (root only).

    Its folder ``exports`` may be written, ``readonly`` belongs to root.
    """
    if os.geteuid() != 0 or not shutil.which("useradd"):
        pytest.skip("making a temporary account needs root and useradd")
    # Not in pytest's folder: it is closed to other accounts, anew with every run of pytest that begins meanwhile.
    directory = Path(tempfile.mkdtemp(prefix="portal-account-"))
    files = directory / "files"
    for name in ("exports", "readonly"):
        (files / name).mkdir(parents=True)
    directory.chmod(0o711)
    files.chmod(0o711)
    name, password = f"portal-test-{secrets.token_hex(4)}", secrets.token_urlsafe(18)
    shadow = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(
        ["useradd", "--no-create-home", "--home-dir", str(files), "--password", shadow, name], check=True
    )
    try:
        shutil.chown(files / "exports", user=name)
        with running_sshd(directory, files=files, passwords=True) as (port, host_keys):
            yield Server(port=port, username=name, password=password, files=files, host_keys=host_keys)
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)
        shutil.rmtree(directory)


SandboxFactory = Callable[..., AbstractContextManager[tuple[Server, SandboxServer]]]


@pytest.fixture
def sandbox_server(tmp_path: Path) -> SandboxFactory:
    """A function that runs the sandbox server with faults: ``with sandbox_server(read_only=True) as (server, box)``.

    Called again in the same test it serves the same folder with the same key.
    """

    @contextmanager
    def run(**faults: Any) -> Iterator[tuple[Server, SandboxServer]]:
        options = {
            key: faults.pop(key)
            for key in ("authorized_keys", "port", "host_key", "host_certificate")
            if key in faults
        }
        box = SandboxServer(
            tmp_path / "sandbox", password="sandbox-password", faults=Faults(**faults), **options
        )
        with box:
            yield (
                Server(
                    port=box.port,
                    username=box.username,
                    password=box.password,
                    files=box.files,
                    host_keys={"ed25519": box.public_key},
                ),
                box,
            )

    return run
