"""Writing files over SFTP so that they appear complete or not at all.

Blocks are written at explicit offsets with up to ``IN_FLIGHT`` bytes unanswered, which hides the distance to the
server; a writer that is faster than the line waits. Source: draft-ietf-secsh-filexfer-02 and OpenSSH's PROTOCOL.
"""

import asyncio
import posixpath
import stat
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import asyncssh

from connections.connectors import ssh_errors
from connections.connectors.errors import ConnectorError
from connections.connectors.ssh_errors import LINE_CUT, MISSING, no_space, silent, translate
from connections.connectors.ssh_session import SshSession

T = TypeVar("T")

# Measured against OpenSSH on one machine: 32 KB blocks with 256 KB unanswered 104 to 215 MB/s, with 2 MB 177 to 208,
# blocks of the server's own limit (255 KB) with 2 MB 307 to 337. Whole runs gain from 12 MB (five batches of rows):
# encoding and sending then wait for each other less, also while the server flushes.
IN_FLIGHT = 12 * 1024 * 1024
MAX_BLOCK = 256 * 1024
# The server writes to its disk while the next rows are on their way, so that little is left for the end, and no long
# silence comes after a large file. It takes nothing meanwhile, so it is asked often enough that what may be unanswered
# lasts longer than that: against every 32 MB with 8 MB unanswered a twelfth off a run of 230 MB.
FLUSH_EVERY = 8 * 1024 * 1024
# Rule S21: of a folder this many names are read, and this many characters of them.
MAX_ENTRIES = 10_000
MAX_NAMES = 1_000_000
LITTLE_SPACE = 1024 * 1024
# Nothing is waited for without an end; this is only the outer one, each request has its own.
WHOLE_CALL = 3600.0


class SftpFile:
    """Implements ``base.RemoteFile`` for one file that was opened for writing."""

    def __init__(
        self,
        session: SshSession,
        file: asyncssh.SFTPClientFile,
        path: str,
        patience: Callable[[], float],
    ) -> None:
        self._session = session
        self._file = file
        self._path = path
        self._patience = patience
        self._block = min(session.sftp.limits.max_write_len, MAX_BLOCK)
        self._buffer = bytearray()
        self._offset = 0
        self._changed = threading.Condition()
        self._unanswered = 0
        self._answered = 0
        self._failure: Exception | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unflushed = 0
        self._flushes = True

    def write(self, data: bytes) -> None:
        """See ``RemoteFile.write``; waits while too much is unanswered."""
        if not self._buffer and self._block // 2 <= len(data) <= self._block:
            self._send(data)  # as it is, without a copy
            return
        rest = memoryview(data)
        if self._buffer:
            room = self._block - len(self._buffer)
            self._buffer += rest[:room]
            rest = rest[room:]
            if len(self._buffer) == self._block:
                self._send(bytes(self._buffer))
                self._buffer.clear()
        while len(rest) >= self._block:
            self._send(bytes(rest[: self._block]))
            rest = rest[self._block :]
        self._buffer += rest

    def finish(self) -> int:
        """See ``RemoteFile.finish``."""
        if self._buffer:
            self._send(bytes(self._buffer))
            self._buffer.clear()
        self._wait_until(lambda: self._unanswered == 0)
        return self._session.call(self._close(), WHOLE_CALL)

    def abort(self) -> None:
        """See ``RemoteFile.abort``."""
        with suppress(ConnectorError):
            self._session.call(self._give_up(), 2)

    def _send(self, block: bytes) -> None:
        self._wait_until(lambda: self._unanswered + len(block) <= IN_FLIGHT)
        with self._changed:
            offset, self._offset = self._offset, self._offset + len(block)
            self._unanswered += len(block)
        self._session.loop.call_soon_threadsafe(self._start, offset, block)

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for answers; raises when a block failed, and when no answer at all comes for too long."""
        with self._changed:
            while not self._failure and not ready():
                before = self._answered
                if not self._changed.wait(self._patience()) and self._answered == before:
                    raise silent()
            failure = self._failure
        if failure:
            raise self._explained(failure)

    def _explained(self, failure: Exception) -> ConnectorError:
        """SFTP 3 has no word for a full disk, only "failure"; ask for the space that is left."""
        if type(failure) is asyncssh.SFTPFailure:
            with suppress(ConnectorError):
                space = self._session.call(
                    self._session.sftp.statvfs(posixpath.dirname(self._path) or "."), 5
                )
                if space.bavail * (space.frsize or space.bsize) < LITTLE_SPACE:
                    return no_space(str(failure))
        return translate(failure)

    def _start(self, offset: int, block: bytes) -> None:
        self._do(self._write_block(offset, block))
        self._unflushed += len(block)
        if self._flushes and self._unflushed >= FLUSH_EVERY:
            self._unflushed = 0
            self._do(self._flush())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._session.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_block(self, offset: int, block: bytes) -> None:
        failure: Exception | None = None
        try:
            await self._file.write(block, offset)
        except Exception as error:  # noqa: BLE001 (raised again in the thread that writes)
            failure = error
        with self._changed:
            self._unanswered -= len(block)
            self._answered += len(block)
            self._failure = self._failure or failure
            self._changed.notify_all()

    async def _flush(self) -> None:
        """Have the server bring to its disk what it has so far; the writes after it need not wait for the answer."""
        try:
            await self._file.fsync()
        except asyncssh.SFTPOpUnsupported:
            self._flushes = False
        except Exception as error:  # noqa: BLE001 (raised again in the thread that writes)
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()

    async def _close(self) -> int:
        # The answer to a write means that the server has it, fsync that a power cut does not take it away.
        with suppress(asyncssh.SFTPOpUnsupported):
            await asyncio.wait_for(self._file.fsync(), 2 * self._patience())
        await asyncio.wait_for(self._file.close(), self._patience())
        attributes = await asyncio.wait_for(self._session.sftp.stat(self._path), self._patience())
        return attributes.size or 0

    async def _give_up(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        with suppress(asyncssh.Error, OSError):
            await self._file.close()


class SftpDelivery:
    """Implements ``base.FileDelivery`` below ``folder`` of a signed-in session.

    ``patience`` says how many seconds a request may go without an answer.
    """

    def __init__(self, session: SshSession, folder: str, patience: Callable[[], float]) -> None:
        self._session = session
        self._folder = folder
        self._patience = patience

    def begin(self, temporary: str) -> None:
        """See ``FileDelivery.begin``."""
        self._session.call(self._make(self._at(temporary)), WHOLE_CALL)

    def take_over(self, earlier: str, temporary: str, keep: Mapping[str, int]) -> frozenset[str]:
        """See ``FileDelivery.take_over``. Where the server renames no folders, nothing is kept."""
        return self._session.call(self._take_over(self._at(earlier), self._at(temporary), keep), WHOLE_CALL)

    def open(self, temporary: str, name: str) -> SftpFile:
        """See ``FileDelivery.open``."""
        path = self._at(f"{temporary}/{name}")
        # A block size of zero: blocks are cut here, not once more there.
        opening = self._session.sftp.open(path, "wb", encoding=None, block_size=0)
        file = self._session.call(self._ask(opening), WHOLE_CALL)
        return SftpFile(self._session, file, path, self._patience)

    def publish(self, temporary: str, final: str, files: Mapping[str, int]) -> None:
        """See ``FileDelivery.publish``."""
        self._session.call(self._publish(self._at(temporary), self._at(final), files), WHOLE_CALL)

    def discard(self, temporary: str) -> None:
        """See ``FileDelivery.discard``."""
        self._session.call(self._discard(self._at(temporary)), WHOLE_CALL)

    def prepare(self) -> str:
        """Make the connection's own folder if it is missing; its full path at the server."""
        if self._folder:
            self._session.call(self._make(self._folder), WHOLE_CALL)
        path = self._session.sftp.realpath(self._folder or ".")
        return str(self._session.call(self._ask(path), WHOLE_CALL))

    def _at(self, path: str) -> str:
        """``path`` below the connection's folder; a path that leads out of it is a mistake of the caller."""
        if path.startswith("/") or not all(part not in ("", ".", "..") for part in path.split("/")):
            raise ValueError("a path below the connection's folder is needed")
        return posixpath.join(self._folder, path)

    async def _ask(self, request: Awaitable[T]) -> T:
        return await asyncio.wait_for(request, self._patience())

    async def _make(self, path: str) -> None:
        """Make a folder with those above it; one that is there is left as it is."""
        sftp = self._session.sftp
        try:
            attributes = await self._ask(sftp.stat(path))
        except MISSING:
            above = posixpath.dirname(path)
            if above not in ("", "/"):
                await self._make(above)
            try:
                await self._ask(sftp.mkdir(path))
            except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
                # Somebody else was faster, for example another run of this portal.
                if not await self._ask(sftp.isdir(path)):
                    raise
            return
        if attributes.permissions is not None and not stat.S_ISDIR(attributes.permissions):
            raise ssh_errors.folder_is_file(path)

    async def _sizes(self, path: str) -> dict[str, int] | None:
        """Names in a folder with their sizes; None if there is no such folder."""
        found: dict[str, int] = {}
        read = 0
        try:
            async for entry in self._session.sftp.scandir(path):
                name = (
                    entry.filename
                    if isinstance(entry.filename, str)
                    else entry.filename.decode("utf-8", "replace")
                )
                if "/" in name or name in ("", ".", ".."):
                    # no name (rule S19): below, it would lead out of the folder
                    continue
                read += len(name)
                if len(found) >= MAX_ENTRIES or read > MAX_NAMES:
                    raise ssh_errors.too_many_files()
                found[name] = entry.attrs.size or 0
        except MISSING:
            return None
        return found

    async def _rename_folder(self, old: str, new: str) -> bool:
        """Rename a folder without ever replacing one; False if the server does not do that."""
        sftp = self._session.sftp
        for rename in (sftp.rename, sftp.posix_rename):
            try:
                await self._ask(rename(old, new))
            except LINE_CUT:
                raise
            except asyncssh.SFTPError:
                if await self._listed(new) is not None:
                    return True
            else:
                return True
        return False

    async def _take_over(self, earlier: str, temporary: str, keep: Mapping[str, int]) -> frozenset[str]:
        there = await self._listed(temporary)
        if there is None:
            if await self._listed(earlier) is None or not await self._rename_folder(earlier, temporary):
                await self._discard(earlier)
                await self._make(temporary)
                return frozenset()
            there = await self._listed(temporary) or {}
        elif earlier != temporary:
            await self._discard(earlier)
        kept = frozenset(name for name, size in keep.items() if there.get(name) == size)
        for name in there.keys() - kept:
            await self._ask(self._session.sftp.remove(f"{temporary}/{name}"))
        return kept

    async def _publish(self, temporary: str, final: str, files: Mapping[str, int]) -> None:
        there = await self._listed(final)
        if there is None:
            waiting = await self._listed(temporary)
            if waiting is None:
                raise ssh_errors.files_gone()
            if not _complete(waiting, files):
                raise ssh_errors.upload_short()
            if not await self._rename_folder(temporary, final):
                await self._make(final)
            there = await self._listed(final) or {}
        if not _complete(there, files):
            await self._publish_one_by_one(temporary, final, files, there)
            there = await self._listed(final) or {}
            if not _complete(there, files):
                raise ssh_errors.in_the_way()
        with suppress(asyncssh.SFTPError):
            await self._discard(temporary)

    async def _publish_one_by_one(
        self, temporary: str, final: str, files: Mapping[str, int], there: Mapping[str, int]
    ) -> None:
        """Move the files which are not there yet, in order, so that the last one marks completeness."""
        for name, size in files.items():
            if name in there:
                if there[name] != size:
                    raise ssh_errors.in_the_way()
                continue
            await self._ask(self._session.sftp.rename(f"{temporary}/{name}", f"{final}/{name}"))

    async def _discard(self, path: str) -> None:
        for name in await self._listed(path) or {}:
            await self._ask(self._session.sftp.remove(f"{path}/{name}"))
        with suppress(*MISSING):
            await self._ask(self._session.sftp.rmdir(path))

    async def _listed(self, path: str) -> dict[str, int] | None:
        return await self._ask(self._sizes(path))


def _complete(there: Mapping[str, int], files: Mapping[str, int]) -> bool:
    return all(there.get(name) == size for name, size in files.items())
