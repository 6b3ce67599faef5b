"""The base of every failure that an operation anticipates."""

from collections.abc import Mapping


class OperationError(Exception):
    """An operation refused to do what was asked; ``message`` is safe to show and already translated.

    ``fields`` maps form field names to messages where the refusal belongs to one; ``url`` is the page of what stands
    in the way, if there is one; ``status`` is the HTTP status of the answer (422 unless the page was stale: 409).
    """

    status = 422

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None, url: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})
        self.url = url


class NotAllowed(OperationError):
    """The person lacks the right; it may have been withdrawn since the page was made."""

    status = 403


class Stale(OperationError):
    """Somebody else changed the object since the page was made."""

    status = 409


class FinishingRun(OperationError):
    """A run is publishing; what would stop it has to wait a moment."""

    status = 409
