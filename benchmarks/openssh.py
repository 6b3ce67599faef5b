"""OpenSSH on this machine: a server of its own for the current user, and the ``sftp`` command to compare with."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
START_SECONDS = 10
CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel INFO
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {folder}/files
"""


@dataclass(frozen=True, kw_only=True)
class OpenSSH:
    """A running server: sign in as ``user`` with ``private_key``; what arrives lies in ``files``."""

    port: int
    user: str
    folder: Path
    private_key: str
    host_key: str

    @property
    def files(self) -> Path:
        """The folder that somebody signed in starts in."""
        return self.folder / "files"

    def put(self, files: Sequence[Path], remote: str, *, flush: bool = False) -> None:
        """Send files with the ``sftp`` command, with its own choice of cipher and block size, into a new folder.

        ``flush`` has the server put them on its disk before it says that it has them, as the portal always does.
        """
        verb = "put -f" if flush else "put"
        self._command([f"mkdir {remote}", *(f"{verb} {file} {remote}/{file.name}" for file in files)])

    def get(self, remote: str, local: Path) -> None:
        """Fetch a file with the ``sftp`` command, with its own choice of cipher and block size."""
        self._command([f"get {remote} {local}"])

    def _command(self, batch: Sequence[str]) -> None:
        options = (
            f"Port={self.port}",
            f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            "GlobalKnownHostsFile=none",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
        )
        command = ["sftp", "-q", "-F", "none", "-i", str(self.folder / "user"), "-b", "-"]
        command += [part for option in options for part in ("-o", option)]
        subprocess.run(
            [*command, f"{self.user}@127.0.0.1"],
            input="\n".join(batch) + "\n",
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def running(folder: Path) -> Iterator[OpenSSH]:
    """A server with new keys, its files in ``folder``; ends the program with a line when OpenSSH is missing."""
    missing = [name for name in (SSHD, "sftp", "ssh-keygen") if not shutil.which(name)]
    if missing:
        sys.exit(
            f"This benchmark needs OpenSSH (apt-get install openssh-server); missing: {', '.join(missing)}."
        )
    if os.geteuid() == 0:
        # Where sshd has never been started by the system, its folder for privilege separation is missing.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (folder / "files").mkdir(parents=True)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True
        )
    host_key = (folder / "host.pub").read_text().strip()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "sshd_config").write_text(CONFIGURATION.format(port=port, folder=folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        _wait_for(port, process)
        user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
        yield OpenSSH(
            port=port,
            user=user,
            folder=folder,
            private_key=(folder / "user").read_text(),
            host_key=host_key,
        )
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once the server answers. Raises RuntimeError when it ended instead."""
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), START_SECONDS):
                return
        except ConnectionRefusedError:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
    raise RuntimeError("sshd did not start")
