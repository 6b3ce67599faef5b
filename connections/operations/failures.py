"""How an attempt of a run failed, in words for everybody and details for administrators."""

import errno
import logging
import traceback
import uuid
from dataclasses import dataclass

from connections import sealed
from connections.connectors.base import N_
from connections.connectors.errors import ConnectorError, FileUnusable, TryLater
from connections_portal import customer_data, redaction
from connections_portal.errors import OperationError
from connections_portal.models import Run, WhoActs

logger = logging.getLogger(__name__)

# until the next try with a key that is missing (rule S3)
KEY_SECONDS = 300.0


@dataclass(frozen=True)
class Failure:
    """How an attempt failed, in the fields of run and attempt, and whether trying again can help.

    ``uses_up`` is false where no number of attempts is too many: nothing was begun, and only an operator can help.
    """

    code: str
    cause: str
    who_acts: WhoActs
    remedy: str = ""
    detail: str = ""
    retry: bool = False
    after: float | None = None
    uses_up: bool = True

    def texts(self) -> dict[str, str]:
        """The columns that runs and attempts share; details were masked while the secrets were in use."""
        return {
            "code": self.code[:40],
            "cause": self.cause[:300],
            "remedy": self.remedy[:300],
            "detail": self.detail[:300],
        }


class Failed(Exception):
    """Carries a Failure out of the block in which the secrets were in use."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


def of_connector(error: ConnectorError) -> Failure:
    """What the connector reports; to be called while its secrets can still be masked."""
    return Failure(
        code=error.code,
        cause=error.cause,
        who_acts=WhoActs.EDITOR if isinstance(error, FileUnusable) else WhoActs.ADMINISTRATOR,
        remedy=error.remedy,
        detail=redaction.foreign(error.detail),
        retry=isinstance(error, TryLater),
        after=error.after if isinstance(error, TryLater) else None,
    )


def unexpected(run: Run, error: Exception) -> Failure:
    """Our fault: a neutral sentence with a reference number.

    The log gets the kind of error and where it happened, not its message: that may quote a line of customer data.
    """
    reference = uuid.uuid4().hex[:8]
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error(
        "run %s failed unexpectedly, reference %s: %s\n%s", run.pk, reference, type(error).__name__, frames
    )
    return Failure(
        "unexpected",
        N_("Something went wrong in the portal itself."),
        WhoActs.OPERATOR,
        f"Reference {reference}",
        retry=True,
    )


def of_portal(run: Run, error: Exception) -> Failure:
    """What went wrong before or beside the service: the Key Vault, the customer data, a stored secret, the connection's
    own row, or we ourselves.
    """
    match error:
        case ConnectorError():
            return of_connector(error)
        case customer_data.CustomerDataError():
            return Failure(
                "customer_data",
                N_("The customer data cannot be read just now."),
                WhoActs.OPERATOR,
                N_("Whoever operates the portal looks at CUSTOMER_DATA_URL."),
                error.message,
                retry=True,
            )
        case sealed.KeyUnknown():
            return Failure(
                "key_unknown",
                N_("A stored secret cannot be read just now."),
                WhoActs.OPERATOR,
                N_("Whoever operates the portal looks at CONNECTION_SECRET_KEYS."),
                error.message,
                retry=True,
                after=KEY_SECONDS,
                uses_up=False,
            )
        case sealed.SecretError():
            return Failure(
                "secret",
                N_("A stored secret cannot be used any more."),
                WhoActs.ADMINISTRATOR,
                N_("An administrator types it again."),
                error.message,
            )
        case OperationError():
            return Failure(
                "connection_unusable",
                N_("The connection cannot be used as it is stored."),
                WhoActs.ADMINISTRATOR,
                N_("An administrator looks at the connection."),
                error.message,
            )
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failure(
                "disk_full",
                N_("There is no room left on the portal's own disk."),
                WhoActs.OPERATOR,
                N_("Whoever operates the portal makes room under VAR_DIR."),
                retry=True,
            )
    return unexpected(run, error)
