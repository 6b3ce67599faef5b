"""How exports and their runs are spoken about: status, cause, and who can help. Fixed sentences for all who may view.

Status is always that of the export's own last run. What a service answered (``detail``) is not said here: it is for
people who may edit the connection (rule S12).
"""

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from connections.connectors.base import N_
from connections_portal import run_words
from connections_portal.run_words import Status, Wording
from exports.models import Export, ExportRun

# The states by which the list can be filtered, most pressing first: this is also their order when sorted.
FILTERS = (
    ("failed", gettext_lazy("Failed")),
    ("warnings", gettext_lazy("Completed with warnings")),
    ("processing", gettext_lazy("Processing")),
    ("canceled", gettext_lazy("Canceled")),
    ("inactive", gettext_lazy("Inactive")),
    ("not_started", gettext_lazy("Not started")),
    ("successful", gettext_lazy("Successful")),
)
WORDING = Wording(
    editor_helps=N_("Whoever may edit the export can help."),
    publishing=N_("The files get their final names"),
)


def of_export(export: Export, run: ExportRun | None, now: datetime) -> Status:
    """The export's status from its last run (None: it never ran)."""
    if export.connection_id is None:
        return Status(kind="off", text=_("Inactive"), sub=_("Waits for a connection"))
    if run is None:
        return Status(kind="idle", text=_("Not started"))
    return of_run(run, now)


def of_run(run: ExportRun, now: datetime) -> Status:
    """The run's status; what went wrong stands in the second line."""
    return run_words.of_run(run, now, WORDING)
