"""How runs of every kind are spoken about: status, cause, who can help, attempts. Fixed sentences for all who may view.

What a service answered (``detail``) is handed out only where the caller says that the reader may edit the connection
(rule S12).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import formats
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from connections_portal.models import Attempt, Run, RunState, WhoActs
from connections_portal.templatetags.portal import duration, relative


@dataclass(frozen=True, kw_only=True)
class Status:
    """What ``_status.html`` shows: kind, words, a second line, and a bar when ``maximum`` is set."""

    kind: str
    text: str
    sub: str = ""
    value: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, kw_only=True)
class AttemptLine:
    """How one attempt went. ``detail`` is empty for people who may not edit the connection."""

    kind: str
    title: str
    note: str
    cause: str
    remedy: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What differs between kinds of runs: who helps where an editor can, and what happens while it is published."""

    editor_helps: str
    publishing: str


@dataclass(frozen=True, kw_only=True)
class HistoryLine:
    """One run in the table *History*, with the address of its page."""

    run: Run
    url: str
    status: Status
    started_by: str
    duration: str


@dataclass(frozen=True, kw_only=True)
class History:
    """The runs of what is called ``name``; ``sent_label`` is the word for rows that arrived."""

    name: str
    sent_label: str
    lines: Sequence[HistoryLine]


def of_run(run: Run, now: datetime, wording: Wording) -> Status:
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
            return Status(
                kind="run", text=_("Finishing"), sub=translated(run.cause) or gettext(wording.publishing)
            )
        case RunState.SUCCESSFUL:
            return Status(kind="ok", text=_("Successful"))
        case RunState.WARNINGS:
            return Status(kind="warn", text=_("Completed with warnings"), sub=warning_note(run))
        case RunState.FAILED:
            sub = f"{translated(run.cause)} {who_helps(run, wording)}".strip()
            return Status(kind="bad", text=_("Failed"), sub=sub)
        case _other:
            return Status(kind="off", text=_("Canceled"))


def translated(text: str) -> str:
    """A stored sentence in the reader's language; the empty one stays empty."""
    return gettext(text) if text else ""


def who_helps(run: Run, wording: Wording) -> str:
    """Who can do something about a failed run, as a sentence."""
    return {
        WhoActs.ADMINISTRATOR.value: _("Ask an administrator."),
        WhoActs.EDITOR.value: gettext(wording.editor_helps),
        WhoActs.OPERATOR.value: _("Ask whoever operates the portal."),
    }.get(run.who_acts, "")


def retry_note(run: Run, now: datetime) -> str:
    """*Attempt 2 of 3: in 4 minutes. The server did not answer.*"""
    attempt = _("Attempt %(next)d of %(all)d") % {"next": run.attempt + 1, "all": run.max_attempts}
    when = relative(run.not_before, now).lower() if run.not_before > now else _("as soon as a worker is free")
    return f"{attempt}: {when}. {translated(run.cause)}".strip()


def progress_note(run: Run, now: datetime) -> str:
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


def warning_note(run: Run) -> str:
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


def attempt_lines(
    run: Run, attempts: Iterable[Attempt], wording: Wording, *, see_detail: bool, now: datetime
) -> list[AttemptLine]:
    """The attempts, newest first; ``see_detail`` for people who may edit the connection (rule S12)."""
    lines = [_attempt_line(run, attempt, wording, see_detail, now) for attempt in attempts]
    if run.state == RunState.FAILED and not any(line.cause for line in lines):
        # refused before an attempt began: the run itself says why
        lines.insert(0, _refusal_line(run, wording, see_detail))
    return lines


def _attempt_line(
    run: Run, attempt: Attempt, wording: Wording, see_detail: bool, now: datetime
) -> AttemptLine:
    outcome = attempt.outcome
    took = duration(attempt.ended_at - attempt.started_at) if attempt.ended_at else ""
    words: dict[str, Any] = {"number": attempt.number, "time": took}
    kind, title = {
        Attempt.Outcome.RUNNING.value: ("run", _("Attempt %(number)d is running")),
        Attempt.Outcome.DONE.value: ("ok", _("Attempt %(number)d succeeded after %(time)s")),
        Attempt.Outcome.FAILED.value: ("bad", _("Attempt %(number)d failed after %(time)s")),
        Attempt.Outcome.LOST.value: ("bad", _("Attempt %(number)d was cut off: its worker was lost")),
        Attempt.Outcome.CANCELED.value: ("off", _("Attempt %(number)d was canceled after %(time)s")),
    }[outcome]
    note = ""
    if outcome == Attempt.Outcome.RUNNING:
        note = _("For %(time)s") % {"time": duration(now - attempt.started_at)}
    remedy = translated(attempt.remedy)
    if attempt.next_at and run.is_retrying and attempt.number == run.attempt:
        remedy = f"{remedy} {_next_attempt(attempt.next_at, now)}".strip()
    elif run.state == RunState.FAILED and attempt.number == run.attempt:
        remedy = f"{remedy} {who_helps(run, wording)}".strip()
    return AttemptLine(
        kind=kind,
        title=title % words,
        note=note,
        cause=translated(attempt.cause),
        remedy=remedy,
        detail=attempt.detail if see_detail else "",
    )


def _next_attempt(moment: datetime, now: datetime) -> str:
    if moment <= now + timedelta(seconds=1):
        return _("The next attempt starts as soon as a worker is free.")
    return _("Next attempt: %(when)s.") % {"when": relative(moment, now).lower()}


def _refusal_line(run: Run, wording: Wording, see_detail: bool) -> AttemptLine:
    return AttemptLine(
        kind="bad",
        title=_("The run could not go on") if run.attempt else _("The run did not start"),
        note="",
        cause=translated(run.cause),
        remedy=f"{translated(run.remedy)} {who_helps(run, wording)}".strip(),
        detail=run.detail if see_detail else "",
    )


def run_duration(run: Run, now: datetime) -> str:
    """How long the run took, or has taken so far."""
    if run.started_at is None:
        return ""
    if run.finished_at:
        return duration(run.finished_at - run.started_at)
    return _("%(time)s so far") % {"time": duration(now - run.started_at)}


def started_by(run: Run) -> str:
    """The person, or what started the run."""
    return run.started_by_label or run.get_trigger_display()


def history_line(
    run: Any, now: datetime, *, of_run: Callable[[Any, datetime], Status], url: Callable[[Any], str]
) -> HistoryLine:
    """How a run is listed; ``of_run`` words its status, ``url`` is its page."""
    return HistoryLine(
        run=run,
        url=url(run),
        status=of_run(run, now),
        started_by=started_by(run),
        duration=run_duration(run, now),
    )
