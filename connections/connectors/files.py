"""What a destination and a source of files can do, whatever the service."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


class RemoteFile(Protocol):
    """One file being written at the destination."""

    def write(self, data: bytes) -> None:
        """Send the next piece; may return before the service has confirmed it. Raises ConnectorError."""

    def finish(self) -> int:
        """Wait for every piece, close, and return the size in bytes that the service reports."""

    def abort(self) -> None:
        """Give up on the file, as well as the line still allows; never raises."""


class FileDelivery(Protocol):
    """A signed-in file destination. Folders and names are relative to the connection's own folder.

    Everything is written into a temporary folder and published by one rename; a finished delivery is
    therefore complete or absent. All methods raise ConnectorError.
    """

    def begin(self, temporary: str) -> None:
        """Make the temporary folder, parents included; an existing one is left as it is."""

    def take_over(self, earlier: str, temporary: str, keep: Mapping[str, int]) -> frozenset[str]:
        """Rename an earlier attempt's folder to ours and delete what is not in ``keep`` (name to size in bytes).

        Returns the names kept; empty when there is no such folder any more (ours is then made afresh).
        """

    def open(self, temporary: str, name: str) -> RemoteFile:
        """Start a new file; an unfinished one of the same name is replaced."""

    def publish(self, temporary: str, final: str, files: Mapping[str, int]) -> None:
        """Make the temporary folder the final one; never overwrites. ``files`` maps names to sizes in bytes.

        May be called again after an answer was lost: what is published already, with these sizes, is done.
        The last name in ``files`` is published last where the service cannot rename a folder.
        """

    def discard(self, temporary: str) -> None:
        """Delete the temporary folder and what is in it; one that is gone already is fine."""


@dataclass(frozen=True, kw_only=True)
class FileIdentity:
    """What tells one state of a remote file from another: ``size`` in bytes, ``modified`` in seconds since 1970."""

    size: int
    modified: int


class RemoteSource(Protocol):
    """A signed-in place that files are read from.

    Paths are relative to the folder one signs in to, ``in/scores.csv``. All methods raise ConnectorError; what is
    wrong with the named file alone is FileUnusable, with the code ``file_missing`` where there is none.
    """

    def stat(self, path: str) -> FileIdentity:
        """Size and time of a file; a folder or device is FileUnusable."""

    def read(self, path: str, *, most: int) -> bytes:
        """A whole small file; FileUnusable with the code ``file_too_large`` if it has more than ``most`` bytes."""

    def stream(self, path: str) -> Iterator[bytes]:
        """The file's blocks in order, read ahead, in memory that does not grow with it.

        Ends with TryLater, code ``file_changed``, if there are other bytes than the file had when it was opened.
        """
