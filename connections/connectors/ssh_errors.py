"""What asyncssh and servers say, as one of the three kinds of error. Sentences name no host, account or folder."""

import asyncssh

from connections.connectors.base import N_
from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater

# The line is gone; whatever was asked has no answer.
LINE_CUT = (
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    ConnectionError,
    EOFError,
)
MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
FORBIDDEN = (
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPWriteProtect,
    asyncssh.SFTPCannotDelete,
)
FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)


def translate(error: BaseException) -> ConnectorError:
    """The error to raise for what asyncssh or the system raised.

    What is not anticipated here is a fault of ours and is raised again as it is.
    """
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, TimeoutError):
        return silent()
    if isinstance(error, LINE_CUT):
        return TryLater(
            N_("The server closed the connection."),
            code="line_cut",
            detail=str(error),
            remedy=N_(
                "It is tried again. If it stays, ask whoever runs the server about its limits and its log."
            ),
        )
    if isinstance(error, asyncssh.SFTPError):
        return _of_sftp(error)
    if isinstance(error, asyncssh.PermissionDenied):
        return sign_in_refused(str(error))
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return NeedsAttention(
            N_("The server and this portal have no encryption method in common."),
            code="no_common_method",
            detail=str(error),
            remedy=N_("The server's software is too old; whoever runs it should update it."),
        )
    if isinstance(error, asyncssh.DisconnectError | asyncssh.ChannelOpenError):
        return TryLater(
            N_("The server ended the connection with an error."),
            code="server_ended",
            detail=str(error),
            remedy=N_("It is tried again. If it stays, ask whoever runs the server to look at its log."),
        )
    if isinstance(error, OSError):
        return TryLater(
            N_("The connection to the server failed."), code="line_cut", detail=error.strerror or str(error)
        )
    raise error


def _of_sftp(error: asyncssh.SFTPError) -> ConnectorError:
    if isinstance(error, MISSING):
        return NeedsAttention(
            N_("The folder is not on the server."),
            code="folder_missing",
            detail=str(error),
            remedy=N_("Check the export folder, and whether it was renamed or deleted on the server."),
        )
    if isinstance(error, FORBIDDEN):
        return NeedsAttention(
            N_("The server does not let this user write to the folder."),
            code="folder_not_writable",
            detail=str(error),
            remedy=N_("Ask whoever runs the server for the right to write there, or choose another folder."),
        )
    if isinstance(error, FULL):
        return no_space(str(error))
    return TryLater(
        N_("The server could not do what was asked."),
        code="server_failure",
        detail=str(error),
        remedy=N_("It is tried again. If it stays, ask whether the server has space left, or a quota."),
    )


def silent() -> TryLater:
    """The server said nothing for too long."""
    return TryLater(
        N_("The server stopped answering."),
        code="server_silent",
        remedy=N_("Try again in a moment. If it stays, ask whoever runs the server."),
    )


def exchange_cut(detail: str) -> TryLater:
    """The server hung up while keys were exchanged; OpenSSH does so when it has no key of a kind we ask for."""
    return TryLater(
        N_("The server closed the connection while encryption was agreed on."),
        code="exchange_cut",
        detail=detail,
        remedy=N_(
            "It is tried again. If it stays, the server's software is too old; whoever runs it should update it."
        ),
    )


def not_ssh(words: str) -> NeedsAttention:
    """Something answers which is no SSH server; ``words`` is what it said."""
    ftp = words.startswith("220")
    return NeedsAttention(
        N_("What answers at this port is not an SFTP server."),
        code="not_ssh",
        detail=words,
        remedy=N_("This looks like FTP. SFTP is another service, usually at port 22.")
        if ftp
        else N_("Check the port; SFTP is usually at port 22."),
    )


def sign_in_refused(detail: str) -> NeedsAttention:
    """User name, password or key are not accepted."""
    return NeedsAttention(
        N_("The server refused the sign-in."),
        code="sign_in_refused",
        detail=detail,
        remedy=N_("Check the user name, and the password or key, with whoever runs the server."),
    )


def no_space(detail: str) -> NeedsAttention:
    """Disk or quota at the server is full."""
    return NeedsAttention(
        N_("The server has no space left for the files."),
        code="no_space",
        detail=detail,
        remedy=N_("Make room on the server, or ask for a larger quota."),
    )
