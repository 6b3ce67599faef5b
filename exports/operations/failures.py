"""How an attempt of an export failed: what the selection itself can do wrong, besides what every run can."""

from connections.connectors.base import N_
from connections.operations import failures
from connections.operations.failures import Failure
from connections_portal.models import WhoActs
from exports.models import ExportRun
from exports.operations.deliver import Interrupted
from exports.payload import PayloadError


def of_portal(run: ExportRun, error: Exception) -> Failure:
    """What went wrong on this side; see ``connections.operations.failures``."""
    match error:
        case PayloadError():
            return Failure(
                "payload",
                error.message,
                WhoActs.EDITOR,
                N_("Edit the export: untick what is gone, or bring it back."),
            )
        case Interrupted():
            return Failure(error.code, error.cause, WhoActs.OPERATOR, error.remedy, retry=True)
    return failures.of_portal(run, error)
