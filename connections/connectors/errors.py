"""What can go wrong at the other side, drawn once.

    ConnectorError
    ├── RemoteRejected     the service refused this piece of data; the run counts it and goes on
    ├── NeedsAttention     the administrator must act: sign-in refused, folder missing, key changed
    │   ├── IdentityChanged    the server shows another key than the trusted one
    │   └── FileUnusable       not the connection but a file that somebody named is wrong
    └── TryLater           nobody must act: silence, cut line, busy server; the run is tried again
    InvalidSettings        what was typed cannot be right; one message per field

Three kinds, because three different parties act on them. Every one carries two texts: ``cause`` is a fixed
sentence that anybody who may view an export may read and names no host, account, folder or secret;
``detail`` is for people who may edit the connection and may quote the service (at most 300 characters).
"""

from collections.abc import Mapping

DETAIL_LIMIT = 300


class ConnectorError(Exception):
    """An anticipated failure at the service.

    ``code`` is a short fixed word for filters and tests (``sign_in_refused``), ``remedy`` one sentence that
    says what to do about it.
    """

    def __init__(self, cause: str, *, code: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.code = code
        self.detail = printable(detail)
        self.remedy = remedy


class RemoteRejected(ConnectorError):
    """The service looked at this piece of data and refused it.

    ``said`` are its own words without what differs from one request to the next, so that equal ones can be counted.
    """

    def __init__(self, cause: str, *, code: str, detail: str = "", remedy: str = "", said: str = "") -> None:
        super().__init__(cause, code=code, detail=detail, remedy=remedy)
        self.said = printable(said)


class NeedsAttention(ConnectorError):
    """Nothing will change until an administrator changes the connection or the service's side of it."""


class IdentityChanged(NeedsAttention):
    """The server's key is not the one that was trusted; nothing was sent to it."""


class FileUnusable(NeedsAttention):
    """The file that was named is missing, too long or not to be read; other files may be fine.

    Whoever named it acts, and the connection needs no attention.
    """


class TryLater(ConnectorError):
    """A passing trouble. ``after`` is the number of seconds the service asked to wait, if it said so."""

    def __init__(
        self, cause: str, *, code: str, detail: str = "", remedy: str = "", after: float | None = None
    ) -> None:
        super().__init__(cause, code=code, detail=detail, remedy=remedy)
        self.after = after


class InvalidSettings(Exception):
    """What was typed cannot be right; ``errors`` maps a field's key to one sentence.

    ``cleaned`` holds the settings that are right, so that secrets typed beside a wrong one can be kept.
    """

    def __init__(self, errors: Mapping[str, str], cleaned: Mapping[str, str] | None = None) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = dict(errors)
        self.cleaned = dict(cleaned or {})


def printable(text: str) -> str:
    """Cut a service's words to 300 characters and replace everything that does not print by a space."""
    return "".join(c if c.isprintable() else " " for c in text)[:DETAIL_LIMIT].strip()
