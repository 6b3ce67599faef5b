"""Reading files over SFTP, whole or block by block, in memory that does not grow with them.

Blocks are asked for at explicit offsets, up to ``IN_FLIGHT`` bytes ahead of whoever takes them, which hides the
distance to the server; a reader that is slower than the line makes it wait. Source: draft-ietf-secsh-filexfer-02 and
OpenSSH's PROTOCOL.
"""

import asyncio
import stat
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import asyncssh

from connections.connectors import file_errors
from connections.connectors.errors import ConnectorError
from connections.connectors.files import FileIdentity
from connections.connectors.ssh_errors import FORBIDDEN, LINE_CUT, MISSING, silent, translate
from connections.connectors.ssh_session import SshSession

T = TypeVar("T")

IN_FLIGHT = 4 * 1024 * 1024
MAX_BLOCK = 256 * 1024
# Nothing is waited for without an end; this is only the outer one, each request has its own.
WHOLE_CALL = 3600.0


class SftpSource:
    """Implements ``base.RemoteSource`` for a signed-in session; paths begin in the folder one signs in to.

    ``patience`` says how many seconds a request may go without an answer.
    """

    def __init__(self, session: SshSession, patience: Callable[[], float]) -> None:
        self._session = session
        self._patience = patience

    def stat(self, path: str) -> FileIdentity:
        """See ``RemoteSource.stat``."""
        return self._call(self._stat(_below(path)))

    def read(self, path: str, *, most: int) -> bytes:
        """See ``RemoteSource.read``."""
        with self._opened(_below(path)) as reading:
            if reading.size > most:
                raise file_errors.file_too_large()
            return b"".join(reading.blocks())

    def stream(self, path: str) -> Iterator[bytes]:
        """See ``RemoteSource.stream``. The file is opened by the first block that is taken."""
        with self._opened(_below(path)) as reading:
            yield from reading.blocks()

    def look_around(self) -> str:
        """See that the folder one signs in to can be listed; its full path at the server."""
        return self._call(self._look_around())

    @contextmanager
    def _opened(self, path: str) -> Iterator["_Reading"]:
        reading = self._call(self._open(path))
        try:
            yield reading
        finally:
            reading.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._session.call(work, WHOLE_CALL)

    async def _stat(self, path: str) -> FileIdentity:
        with _explained():
            return identity_of(await self._ask(self._session.sftp.stat(path)))

    async def _open(self, path: str) -> "_Reading":
        # asked first: to open a folder fails in words of the server's own, and to open a pipe does not come back
        await self._stat(path)
        with _explained():
            # A block size of zero: blocks are cut here, not once more there.
            file = await self._ask(self._session.sftp.open(path, "rb", encoding=None, block_size=0))
            opened = identity_of(await self._ask(file.stat()))
        return _Reading(self._session, file, opened, self._patience)

    async def _look_around(self) -> str:
        sftp = self._session.sftp
        try:
            path = str(await self._ask(sftp.realpath(".")))
            await self._ask(self._first_name())
        except MISSING as error:
            raise file_errors.folder_missing(str(error)) from None
        except FORBIDDEN as error:
            raise file_errors.folder_not_readable(str(error)) from None
        except LINE_CUT:
            raise
        except asyncssh.SFTPError as error:
            raise file_errors.server_failure(str(error)) from None
        return path

    async def _first_name(self) -> None:
        async for _entry in self._session.sftp.scandir("."):
            return

    async def _ask(self, request: Awaitable[T]) -> T:
        return await asyncio.wait_for(request, self._patience())


class _Reading:
    """One open file: ``size`` bytes as it was opened, taken in order by ``blocks``.

    Requests run in the session's loop; what they bring waits in ``_ready``, by offset, for the thread that reads.
    """

    def __init__(
        self,
        session: SshSession,
        file: asyncssh.SFTPClientFile,
        opened: FileIdentity,
        patience: Callable[[], float],
    ) -> None:
        self.size = opened.size
        self._session = session
        self._file = file
        self._opened = opened
        self._patience = patience
        self._block = min(session.sftp.limits.max_read_len or MAX_BLOCK, MAX_BLOCK)
        self._changed = threading.Condition()
        self._ready: dict[int, bytes] = {}
        self._answers = 0
        self._failure: Exception | None = None
        self._room = asyncio.Semaphore(max(IN_FLIGHT // self._block, 1))
        self._tasks: set[asyncio.Task[None]] = set()

    def blocks(self) -> Iterator[bytes]:
        """Every block in order; raises TryLater unless these are all bytes of the file, and it is as it was opened."""
        self._session.loop.call_soon_threadsafe(self._do, self._ask_for_all())
        for offset in range(0, self.size, self._block):
            yield self._take(offset)
            self._session.loop.call_soon_threadsafe(self._room.release)
        self._session.call(self._require_unchanged(), WHOLE_CALL)

    def close(self) -> None:
        """Stop asking and close the file, as well as the line still allows."""
        with suppress(ConnectorError):
            self._session.call(self._close(), 2)

    def _take(self, offset: int) -> bytes:
        """Wait for the block at ``offset``; raises when one failed, and when no answer at all comes for too long."""
        with self._changed:
            while not self._failure and offset not in self._ready:
                before = self._answers
                if not self._changed.wait(self._patience()) and self._answers == before:
                    raise silent()
            if not self._failure:
                return self._ready.pop(offset)
            failure = self._failure
        raise translate(failure)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._session.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_for_all(self) -> None:
        for offset in range(0, self.size, self._block):
            await self._room.acquire()
            self._do(self._ask_for(offset, min(self._block, self.size - offset)))

    async def _ask_for(self, offset: int, length: int) -> None:
        block, failure = b"", None
        try:
            block = await self._read(offset, length)
        except Exception as error:  # noqa: BLE001 (raised again in the thread that reads)
            failure = error
        with self._changed:
            self._ready[offset] = block
            self._answers += 1
            self._failure = self._failure or failure
            self._changed.notify_all()

    async def _read(self, offset: int, length: int) -> bytes:
        """These bytes; servers may give fewer than were asked for, and are asked for the rest."""
        pieces: list[bytes] = []
        while length:
            with _explained():
                piece: bytes = await self._file.read(length, offset)
            if not piece or len(piece) > length:
                raise file_errors.file_changed()
            pieces.append(piece)
            offset, length = offset + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _require_unchanged(self) -> None:
        """Nothing follows the last byte, and size and time are what they were."""
        with _explained():
            more = await asyncio.wait_for(self._file.read(1, self.size), self._patience())
            now = identity_of(await asyncio.wait_for(self._file.stat(), self._patience()))
        if more or now != self._opened:
            raise file_errors.file_changed()

    async def _close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        with suppress(asyncssh.Error, OSError):
            await self._file.close()


@contextmanager
def _explained() -> Iterator[None]:
    """What the server says of a file that is read; a line that is cut is told as everywhere."""
    try:
        yield
    except LINE_CUT:
        raise
    except MISSING as error:
        raise file_errors.file_missing(str(error)) from None
    except FORBIDDEN as error:
        raise file_errors.file_not_readable(str(error)) from None
    except asyncssh.SFTPError as error:
        raise file_errors.server_failure(str(error)) from None


def identity_of(attributes: asyncssh.SFTPAttrs) -> FileIdentity:
    """Size and time of a file; raises FileUnusable for what is none."""
    if attributes.permissions is not None and not stat.S_ISREG(attributes.permissions):
        raise file_errors.not_a_file()
    if attributes.size is None:
        raise file_errors.size_unknown()
    return FileIdentity(size=attributes.size, modified=int(attributes.mtime or 0))


def _below(path: str) -> str:
    """A path below the folder one signs in to; one that leads out of it is a mistake of the caller."""
    if path.startswith("/") or not all(part not in ("", ".", "..") for part in path.split("/")):
        raise ValueError("a path below the folder one signs in to is needed")
    return path


def failures() -> tuple[ConnectorError, ...]:
    """What only a run that reads files may end with; see ``Connector.failures``."""
    return (
        file_errors.file_missing(),
        file_errors.not_a_file(),
        file_errors.file_not_readable(),
        file_errors.file_too_large(),
        file_errors.file_changed(),
        file_errors.size_unknown(),
    )
