"""The sandbox server: asyncssh, no root, one user, confined to a folder, loopback only.

Tests start it inside their own process and give it faults that a well-behaved server does not have.
"""

import asyncio
import hmac
import ipaddress
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import asyncssh

HOST_KEY = "host_key"
FILES = "files"


@dataclass(kw_only=True)
class Faults:
    """What the server does wrong on purpose; the sandbox itself has none of them.

    ``quota``, ``cut_after`` and ``stall_after`` count bytes written over the server's life; the line is cut, or
    answers stop, at the write that passes the number. ``hold_after`` and ``hold_rename`` keep writes beyond a number
    of bytes, or renames of folders, waiting until ``SandboxServer.release``. ``lose_rename_answer`` carries the next
    rename of a folder out and cuts the line before the answer. ``store_only`` is the size beyond which bytes of a
    file are confirmed and not stored. ``cut_reading_after``, ``stall_reading_after`` and ``hold_reading_after`` count
    bytes read in the same way; ``short_reads`` is the most that one answer to a read holds. ``keyboard_interactive``
    asks for the password in that way only.
    """

    silent: bool = False
    refuse_sign_in: bool = False
    read_only: bool = False
    quota: int | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    hold_after: int | None = None
    hold_rename: bool = False
    refuse_folder_rename: bool = False
    lose_rename_answer: bool = False
    store_only: int | None = None
    cut_reading_after: int | None = None
    stall_reading_after: int | None = None
    hold_reading_after: int | None = None
    short_reads: int | None = None
    no_sftp: bool = False
    keyboard_interactive: bool = False


@dataclass(kw_only=True)
class Seen:
    """What clients did: user names in sign-in requests (of any kind), passwords and keys offered, bytes, renames."""

    requests: list[str] = field(default_factory=list)
    passwords: int = 0
    keys: list[str] = field(default_factory=list)
    bytes_written: int = 0
    bytes_read: int = 0
    renamed: list[str] = field(default_factory=list)


class SandboxServer:
    """An SFTP server whose files lie in ``directory/files``; ``folder`` is made in there.

    Signs ``username`` in by ``password`` (compared in constant time; empty: no password works) or by a key in
    ``authorized_keys``. The host key is made once and kept in ``directory``. Use it as a context manager, which
    runs it in a thread, or await ``listen``. Raises ValueError for a host that is not loopback.
    """

    def __init__(
        self,
        directory: Path,
        *,
        username: str = "sandbox",
        password: str = "",
        host: str = "127.0.0.1",
        port: int = 0,
        folder: str = "",
        authorized_keys: Path | None = None,
        host_key: asyncssh.SSHKey | None = None,
        host_certificate: asyncssh.SSHCertificate | None = None,
        faults: Faults | None = None,
    ) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The sandbox listens on the loopback interface only, not on {host}.")
        self.directory = directory
        self.files = directory / FILES
        self.username = username
        self.password = password
        self.host = host
        self.port = port
        self.folder = folder
        self.authorized_keys = authorized_keys
        self.faults = faults or Faults()
        self.seen = Seen()
        (self.files / folder).mkdir(parents=True, exist_ok=True)
        self._host_certificate = host_certificate
        self.host_key = host_key or _kept_host_key(directory / HOST_KEY)
        self.stopping = asyncio.Event()
        self.holding = threading.Event()
        self._released = asyncio.Event()
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._listener: asyncio.Server | asyncssh.SSHAcceptor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def public_key(self) -> str:
        """The host key in OpenSSH's one-line form."""
        return " ".join(self.host_key.export_public_key().decode("ascii").split()[:2])

    @property
    def address(self) -> str:
        """``sftp://user@host:port/folder``, for pasting."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{self.username}@{host}:{self.port}/{self.folder}".rstrip("/")

    async def listen(self) -> None:
        """Listen in the running loop; ``port`` then is the one that was taken."""
        if self.faults.silent:
            silent = await asyncio.start_server(_say_nothing, self.host, self.port)
            self._listener, self.port = silent, silent.sockets[0].getsockname()[1]
            return
        acceptor = await asyncssh.listen(
            self.host,
            self.port,
            server_factory=lambda: _SignIn(self),
            server_host_keys=[
                (self.host_key, self._host_certificate) if self._host_certificate else self.host_key
            ],
            sftp_factory=None if self.faults.no_sftp else lambda channel: _Files(channel, self),
            password_auth=not self.faults.keyboard_interactive,
            allow_scp=False,
            authorized_client_keys=str(self.authorized_keys) if self.authorized_keys else None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            gss_host=None,
            config=None,
        )
        self._listener, self.port = acceptor, acceptor.get_port()

    def release(self) -> None:
        """Carry out what is held, for clients that are still there, and hold nothing any more; from any thread."""
        assert self._loop is not None
        self.faults.hold_after, self.faults.hold_rename = None, False
        self.faults.hold_reading_after = None
        self._loop.call_soon_threadsafe(self._released.set)

    async def hold(self, connection: "asyncssh.SSHServerConnection") -> None:
        """Wait for ``release``; ``holding`` tells other threads that a request waits."""
        self.holding.set()
        await self._released.wait()
        if connection not in self.connections:
            raise asyncssh.SFTPConnectionLost("The client is gone")

    async def close(self) -> None:
        """Stop listening and cut the clients off."""
        if self._listener is not None:
            self._listener.close()
        self.stopping.set()
        self._released.set()
        for connection in tuple(self.connections):
            connection.abort()

    def __enter__(self) -> "SandboxServer":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        await self.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if left:
            _done, left_over = await asyncio.wait(left, timeout=2)
            for task in left_over:
                task.cancel()
            await asyncio.gather(*left_over, return_exceptions=True)
        await asyncio.sleep(0)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what comes until the client goes, and answer nothing."""
    while await reader.read(4096):
        pass
    writer.close()


def _kept_host_key(path: Path) -> asyncssh.SSHKey:
    """The Ed25519 key in ``path``, made on the first start, readable by the owner only."""
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export_private_key())
    return asyncssh.read_private_key(str(path))


class _SignIn(asyncssh.SSHServer):
    """Decides who gets in, and notes every request to sign in."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._sandbox = sandbox
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._sandbox.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._sandbox.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        self._sandbox.seen.requests.append(username)
        return True

    def password_auth_supported(self) -> bool:
        return bool(self._sandbox.password)

    def validate_password(self, username: str, password: str) -> bool:
        sandbox = self._sandbox
        sandbox.seen.passwords += 1
        right_name = hmac.compare_digest(username.encode(), sandbox.username.encode())
        right_password = hmac.compare_digest(password.encode(), sandbox.password.encode())
        return right_name and right_password and not sandbox.faults.refuse_sign_in

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        # Keys that are let in are those of authorized_keys, which asyncssh looks at; this is asked for the others.
        self._sandbox.seen.keys.append(key.get_fingerprint())
        return False


class _Files(asyncssh.SFTPServer):
    """Files below the sandbox's folder; no links, so that nothing leads out of it."""

    def __init__(self, channel: "asyncssh.SSHServerChannel[bytes]", sandbox: SandboxServer) -> None:
        super().__init__(channel, chroot=os.fsencode(sandbox.files))
        self._sandbox = sandbox
        self._faults = sandbox.faults

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("The sandbox has no links")

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPOpUnsupported("The sandbox has no links")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC | asyncssh.FXF_APPEND):
            self._refuse_changes()
        return super().open(path, pflags, attrs)

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        seen, faults = self._sandbox.seen, self._faults
        seen.bytes_written += len(data)
        if faults.quota is not None and seen.bytes_written > faults.quota:
            raise asyncssh.SFTPFailure("Disk quota exceeded")
        if faults.cut_after is not None and seen.bytes_written > faults.cut_after:
            await self._cut()
        if faults.stall_after is not None and seen.bytes_written > faults.stall_after:
            await self._never_answer()
        if faults.hold_after is not None and seen.bytes_written > faults.hold_after:
            await self._sandbox.hold(self.connection)
        if faults.store_only is not None:
            super().write(file_obj, offset, data[: max(faults.store_only - offset, 0)])
            return len(data)
        written = super().write(file_obj, offset, data)
        assert isinstance(written, int)
        return written

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        seen, faults = self._sandbox.seen, self._faults
        seen.bytes_read += size
        if faults.cut_reading_after is not None and seen.bytes_read > faults.cut_reading_after:
            await self._cut()
        if faults.stall_reading_after is not None and seen.bytes_read > faults.stall_reading_after:
            await self._never_answer()
        if faults.hold_reading_after is not None and seen.bytes_read > faults.hold_reading_after:
            await self._sandbox.hold(self.connection)
        if faults.short_reads is not None:
            size = min(size, faults.short_reads)
        data = super().read(file_obj, offset, size)
        assert isinstance(data, bytes)
        return data

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._refuse_changes()
        super().mkdir(path, attrs)

    def remove(self, path: bytes) -> None:
        self._refuse_changes()
        super().remove(path)

    def rmdir(self, path: bytes) -> None:
        self._refuse_changes()
        super().rmdir(path)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        self._refuse_changes()
        super().setstat(path, attrs)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        is_folder = await self._before_rename(oldpath)
        super().rename(oldpath, newpath)
        await self._after_rename(is_folder)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        is_folder = await self._before_rename(oldpath)
        super().posix_rename(oldpath, newpath)
        await self._after_rename(is_folder)

    def _refuse_changes(self) -> None:
        if self._faults.read_only:
            raise asyncssh.SFTPPermissionDenied("Permission denied")

    def _is_folder(self, path: bytes) -> bool:
        return Path(os.fsdecode(self.map_path(path))).is_dir()

    async def _before_rename(self, path: bytes) -> bool:
        """Hold or refuse the rename where that is the fault; whether it is one of a folder."""
        is_folder = self._is_folder(path)
        if self._faults.hold_rename and is_folder:
            await self._sandbox.hold(self.connection)
        self._refuse_changes()
        self._sandbox.seen.renamed.append(os.fsdecode(path).rpartition("/")[2])
        if self._faults.refuse_folder_rename and is_folder:
            raise asyncssh.SFTPPermissionDenied("Folders cannot be renamed")
        return is_folder

    async def _after_rename(self, is_folder: bool) -> None:
        if self._faults.lose_rename_answer and is_folder:
            self._faults.lose_rename_answer = False
            await self._cut()

    async def _cut(self) -> None:
        """Cut the line as a pulled cable would; the request never gets an answer."""
        self.connection.abort()
        await self._never_answer()

    async def _never_answer(self) -> None:
        await self._sandbox.stopping.wait()
        raise asyncssh.SFTPFailure("The server stops")
