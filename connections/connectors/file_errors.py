"""What can be wrong where files are read. Sentences name no host, account, folder or file."""

from connections.connectors.base import N_
from connections.connectors.errors import FileUnusable, NeedsAttention, TryLater


def file_missing(detail: str = "") -> FileUnusable:
    """There is nothing of that name."""
    return FileUnusable(
        N_("The file is not on the server."),
        code="file_missing",
        detail=detail,
        remedy=N_(
            "Check folder and file name, upper and lower case too, and whether the file was brought there."
        ),
    )


def not_a_file(detail: str = "") -> FileUnusable:
    """A folder, or something else that is no file, has the name."""
    return FileUnusable(
        N_("What has this name on the server is not a file but a folder, or something else."),
        code="not_a_file",
        detail=detail,
        remedy=N_("Check folder and file name."),
    )


def file_not_readable(detail: str = "") -> FileUnusable:
    """The account has no right to the file."""
    return FileUnusable(
        N_("The server does not let the connection's user read this file."),
        code="file_not_readable",
        detail=detail,
        remedy=N_("Ask whoever runs the server for the right to read it, or name another file."),
    )


def file_too_large(detail: str = "") -> FileUnusable:
    """A file that is read whole is longer than it may be."""
    return FileUnusable(
        N_("The file is larger than it may be."),
        code="file_too_large",
        detail=detail,
        remedy=N_("Look at what the file should be; a description of a table is small."),
    )


def file_changed(detail: str = "") -> TryLater:
    """It was written to, cut off or replaced while it was read."""
    return TryLater(
        N_("The file changed while it was read."),
        code="file_changed",
        detail=detail,
        remedy=N_(
            "It is tried again. Have files written under another name and renamed once they are complete."
        ),
    )


def size_unknown(detail: str = "") -> NeedsAttention:
    """The server does not say how long files are, so that nobody could tell whether one is complete."""
    return NeedsAttention(
        N_(
            "The server does not tell the size of its files, so that it cannot be seen whether one is complete."
        ),
        code="size_unknown",
        detail=detail,
        remedy=N_("Ask whoever runs the server; this needs another server."),
    )


def folder_not_readable(detail: str = "") -> NeedsAttention:
    """The account may not list the folder that it signs in to."""
    return NeedsAttention(
        N_("The server does not let this user read the folder."),
        code="folder_not_readable",
        detail=detail,
        remedy=N_("Ask whoever runs the server for the right to read there."),
    )


def folder_missing(detail: str = "") -> NeedsAttention:
    """The folder that the account signs in to is gone."""
    return NeedsAttention(
        N_("The folder is not on the server."),
        code="folder_missing",
        detail=detail,
        remedy=N_("Ask whoever runs the server whether this user has a folder there."),
    )


def server_failure(detail: str = "") -> TryLater:
    """The server says that it could not, and not why."""
    return TryLater(
        N_("The server could not do what was asked."),
        code="server_failure",
        detail=detail,
        remedy=N_("It is tried again. If it stays, ask whoever runs the server to look at its log."),
    )
