"""What asyncssh and servers say, as one of the three kinds of error. Sentences name no host, account or folder."""

import asyncssh

from connections.connectors import network_errors
from connections.connectors.base import N_
from connections.connectors.errors import ConnectorError, IdentityChanged, NeedsAttention, TryLater

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
        return line_cut(str(error))
    if isinstance(error, asyncssh.SFTPError):
        return _of_sftp(error)
    if isinstance(error, asyncssh.PermissionDenied):
        return sign_in_refused(str(error))
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return no_common_method(str(error))
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


def line_cut(detail: str = "") -> TryLater:
    """The line ended while something was under way."""
    return TryLater(
        N_("The server closed the connection."),
        code="line_cut",
        detail=detail,
        remedy=N_(
            "It is tried again. If it stays, ask whoever runs the server about its limits and its log."
        ),
    )


def garbled(kind: str) -> ConnectorError:
    """What was received follows no rule of SSH; ``kind`` names the error that it led to."""
    return TryLater(
        N_("The server's answer cannot be understood."),
        code="garbled",
        detail=kind,
        remedy=N_("Check host and port. If they are right, ask whoever runs the server to look at its log."),
    )


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


def no_common_method(detail: str = "") -> NeedsAttention:
    """Client and server know no cipher or key exchange that both accept."""
    return NeedsAttention(
        N_("The server and this portal have no encryption method in common."),
        code="no_common_method",
        detail=detail,
        remedy=N_("The server's software is too old; whoever runs it should update it."),
    )


def silent() -> TryLater:
    """The server said nothing for too long."""
    return TryLater(
        N_("The server stopped answering."),
        code="server_silent",
        remedy=N_("Try again in a moment. If it stays, ask whoever runs the server."),
    )


def exchange_cut(detail: str = "") -> TryLater:
    """The server hung up while keys were exchanged; OpenSSH does so when it has no key of a kind we ask for."""
    return TryLater(
        N_("The server closed the connection while encryption was agreed on."),
        code="exchange_cut",
        detail=detail,
        remedy=N_(
            "It is tried again. If it stays, the server's software is too old; whoever runs it should update it."
        ),
    )


def not_ssh(words: str = "") -> NeedsAttention:
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


def sign_in_refused(detail: str = "") -> NeedsAttention:
    """User name, password or key are not accepted."""
    return NeedsAttention(
        N_("The server refused the sign-in."),
        code="sign_in_refused",
        detail=detail,
        remedy=N_("Check the user name, and the password or key, with whoever runs the server."),
    )


def no_space(detail: str = "") -> NeedsAttention:
    """Disk or quota at the server is full."""
    return NeedsAttention(
        N_("The server has no space left for the files."),
        code="no_space",
        detail=detail,
        remedy=N_("Make room on the server, or ask for a larger quota."),
    )


def key_unusable(remedy: str = "") -> NeedsAttention:
    """The stored private key cannot be opened; ``remedy`` says why."""
    return NeedsAttention(N_("The private key cannot be used."), code="key_unusable", remedy=remedy)


def no_sftp(detail: str = "") -> NeedsAttention:
    """Signed in, and the server starts no SFTP."""
    return NeedsAttention(
        N_("The server lets this user in, but not to transfer files."),
        code="no_sftp",
        detail=detail,
        remedy=N_("Ask whoever runs the server to allow SFTP for this user."),
    )


def folder_is_file(detail: str = "") -> NeedsAttention:
    """A file has the name of a folder that is needed."""
    return NeedsAttention(
        N_("Where the folder should be, there is a file."),
        code="folder_is_file",
        detail=detail,
        remedy=N_("Choose another export folder, or move the file away."),
    )


def short_test_file(detail: str = "") -> NeedsAttention:
    """The server confirmed more than it kept."""
    return NeedsAttention(
        N_("The server confirmed the test file and then did not have all of it."),
        code="file_incomplete",
        detail=detail,
        remedy=N_("Ask whoever runs the server about its space, quota and log."),
    )


def upload_short() -> NeedsAttention:
    """Files of a run have another size than what was sent."""
    return NeedsAttention(
        N_("The uploaded files are not complete on the server; they were not published."),
        code="file_incomplete",
        remedy=N_("Ask whoever runs the server about its space and quota, then run the export again."),
    )


def files_gone() -> NeedsAttention:
    """What a run uploaded is not there any more."""
    return NeedsAttention(
        N_("The uploaded files are not on the server any more."),
        code="files_gone",
        remedy=N_("Run the export again, and find out what deletes files there."),
    )


def in_the_way() -> NeedsAttention:
    """Something else has the final name."""
    return NeedsAttention(
        N_("A file of the same name and another size is there already; nothing was overwritten."),
        code="already_there",
        remedy=N_("Look at the folder on the server, and run the export again."),
    )


def too_many_files() -> NeedsAttention:
    """A folder of the portal's own holds what the portal did not write."""
    return NeedsAttention(
        N_("The folder on the server holds more files than the portal ever writes."),
        code="too_many_files",
        remedy=N_("Move away what is not the portal's."),
    )


def identity_changed(detail: str = "") -> IdentityChanged:
    """The server shows another key than the trusted one."""
    return IdentityChanged(
        N_("The server's key is not the trusted one. Nothing was sent."),
        code="identity_changed",
        detail=detail,
        remedy=N_("Ask whoever runs the server whether its key was changed, then trust the new one."),
    )


def sign_in_failures() -> dict[str, tuple[ConnectorError, ...]]:
    """What each step up to the sign-in may end with; see ``Connector.failures``."""
    ended = translate(asyncssh.DisconnectError(0, ""))
    return {
        "name": (
            network_errors.name_unknown(),
            network_errors.name_no_answer(),
            network_errors.address_refused(),
        ),
        "reach": (network_errors.connection_refused(), network_errors.no_answer()),
        "identity": (not_ssh(), no_common_method(), exchange_cut(), garbled(""), silent()),
        "sign_in": (sign_in_refused(), key_unusable(), no_sftp(), line_cut(), ended),
    }


def failures() -> dict[str, tuple[ConnectorError, ...]]:
    """What each step of trying to write may end with, and what only a run may; see ``Connector.failures``."""
    missing, forbidden = translate(MISSING[0]("")), translate(FORBIDDEN[0](""))
    failed = translate(asyncssh.SFTPFailure(""))
    return sign_in_failures() | {
        "folder": (missing, forbidden, folder_is_file(), failed),
        "test_file": (forbidden, no_space(), short_test_file(), failed),
        "": (
            identity_changed(),
            line_cut(),
            no_space(),
            upload_short(),
            files_gone(),
            in_the_way(),
            too_many_files(),
        ),
    }
