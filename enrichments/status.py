"""How enrichments and their runs are spoken about. *State* says whether it runs, *Status* how its last run went."""

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from connections.connectors.base import N_
from connections_portal import run_words
from connections_portal.models import RunState
from connections_portal.run_words import Status, Wording
from connections_portal.templatetags.portal import byte_size, number
from enrichments.models import Enrichment, EnrichmentRun

# The states by which the list can be filtered, most pressing first: this is also their order when sorted.
STATUSES = (
    ("failed", gettext_lazy("Failed")),
    ("warnings", gettext_lazy("Completed with warnings")),
    ("processing", gettext_lazy("Processing")),
    ("canceled", gettext_lazy("Canceled")),
    ("not_started", gettext_lazy("Not started")),
    ("successful", gettext_lazy("Successful")),
)
STATES = (
    ("active", gettext_lazy("Active")),
    ("inactive", gettext_lazy("Inactive")),
    ("waiting", gettext_lazy("Waits for a connection")),
)
WORDING = Wording(
    editor_helps=N_("Whoever may edit the enrichment can help."),
    publishing=N_("The output table gets its new content"),
)


def state_of(enrichment: Enrichment) -> Status:
    """*Active* or *Inactive*, and what an inactive one waits for."""
    if enrichment.active:
        return Status(kind="ok", text=_("Active"))
    waits = enrichment.needs_connection and enrichment.connection_id is None
    return Status(kind="off", text=_("Inactive"), sub=_("Waits for a connection") if waits else "")


def of_enrichment(run: EnrichmentRun | None, now: datetime) -> Status:
    """The enrichment's status from its last run (None: it never ran)."""
    return of_run(run, now) if run else Status(kind="idle", text=_("Not started"))


def of_run(run: EnrichmentRun, now: datetime) -> Status:
    """The run's status; what went wrong stands in the second line.

    How many rows the file has is not known before its end: while it is read, the line says how far it came.
    """
    if run.state == RunState.RUNNING:
        return Status(kind="run", text=_("Processing"), sub=reading(run))
    return run_words.of_run(run, now, WORDING)


def reading(run: EnrichmentRun) -> str:
    """*12,000 rows read, 1.4 MB*; empty before the first."""
    if not run.read:
        return _("%(size)s read") % {"size": byte_size(run.bytes_sent)} if run.bytes_sent else ""
    rows = ngettext("%(rows)s row read", "%(rows)s rows read", run.read) % {"rows": number(run.read)}
    return f"{rows}, {byte_size(run.bytes_sent)}"
