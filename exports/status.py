"""How exports and their runs are spoken about: status, cause, and who can help. Fixed sentences for all who may view.

Status is always that of the export's own last run. What a service answered (``detail``) is not said here: it is for
people who may edit the connection (rule S12).
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils import formats
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext as _

from connections_portal.models import RunState, WhoActs
from connections_portal.templatetags.portal import duration, relative
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


@dataclass(frozen=True, kw_only=True)
class Status:
    """What ``_status.html`` shows: kind, words, a second line, and a bar when ``maximum`` is set."""

    kind: str
    text: str
    sub: str = ""
    value: int | None = None
    maximum: int | None = None


def of_export(export: Export, run: ExportRun | None, now: datetime) -> Status:
    """The export's status from its last run (None: it never ran)."""
    if export.connection_id is None:
        return Status(kind="off", text=_("Inactive"), sub=_("Waits for a connection"))
    if run is None:
        return Status(kind="idle", text=_("Not started"))
    return of_run(run, now)


def of_run(run: ExportRun, now: datetime) -> Status:
    """The run's status; what went wrong stands in the second line."""
    match run.state:
        case RunState.QUEUED if run.is_retrying:
            return Status(kind="warn", text=_("Failed (retrying)"), sub=retry_note(run, now))
        case RunState.QUEUED:
            return Status(kind="run", text=_("Queued"), sub=_("Starts as soon as a worker is free"))
        case RunState.RUNNING:
            return Status(
                kind="run",
                text=_("Processing"),
                sub=progress_note(run, now),
                value=min(run.read, run.selected or 0),
                maximum=run.selected or None,
            )
        case RunState.PUBLISHING:
            note = translated(run.cause) or _("The files get their final names")
            return Status(kind="run", text=_("Finishing"), sub=note)
        case RunState.SUCCESSFUL:
            return Status(kind="ok", text=_("Successful"))
        case RunState.WARNINGS:
            return Status(kind="warn", text=_("Completed with warnings"), sub=warning_note(run))
        case RunState.FAILED:
            return Status(
                kind="bad", text=_("Failed"), sub=f"{translated(run.cause)} {who_helps(run)}".strip()
            )
        case _other:
            return Status(kind="off", text=_("Canceled"))


def translated(text: str) -> str:
    """A stored sentence in the reader's language; the empty one stays empty."""
    return gettext(text) if text else ""


def who_helps(run: ExportRun) -> str:
    """Who can do something about a failed run, as a sentence."""
    return {
        WhoActs.ADMINISTRATOR.value: _("Ask an administrator."),
        WhoActs.EDITOR.value: _("Whoever may edit the export can help."),
        WhoActs.OPERATOR.value: _("Ask whoever operates the portal."),
    }.get(run.who_acts, "")


def retry_note(run: ExportRun, now: datetime) -> str:
    """*Attempt 2 of 3: in 4 minutes. The server did not answer.*"""
    attempt = _("Attempt %(next)d of %(all)d") % {"next": run.attempt + 1, "all": run.max_attempts}
    when = relative(run.not_before, now).lower() if run.not_before > now else _("as soon as a worker is free")
    return f"{attempt}: {when}. {translated(run.cause)}".strip()


def progress_note(run: ExportRun, now: datetime) -> str:
    """*64%, about 2 min left*; without a number of rows only that it goes on."""
    if not run.selected:
        return ""
    percent = min(100, 100 * run.read // run.selected)
    text = _("%(percent)d%%") % {"percent": percent}
    seconds = (now - run.started_at).total_seconds() if run.started_at else 0
    if 3 <= percent < 100 and seconds >= 5 and run.attempt <= 1:
        left = seconds * (100 - percent) / percent
        text = _("%(percent)s, about %(time)s left") % {"percent": text, "time": _rough(left)}
    return text


def _rough(seconds: float) -> str:
    return duration(max(5, 5 * round(seconds / 5))) if seconds < 60 else _("%d min") % round(seconds / 60)


def warning_note(run: ExportRun) -> str:
    """*41 of 77,131 rows rejected*, and those left out."""
    parts = []
    if run.rejected:
        parts.append(
            _("%(part)s of %(whole)s rows rejected") % {"part": _n(run.rejected), "whole": _n(run.read)}
        )
    if run.left_out:
        parts.append(
            _("%(part)s of %(whole)s rows left out") % {"part": _n(run.left_out), "whole": _n(run.read)}
        )
    return ", ".join(parts)


def _n(number: int) -> str:
    return formats.number_format(number, force_grouping=True)
