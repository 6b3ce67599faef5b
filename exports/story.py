"""What a run's page tells: progress per item, rows accounted for, attempts and files, as plain lines for templates."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections_portal.models import RunState
from connections_portal.templatetags.portal import byte_size, duration, number, relative
from exports.csv_files import MODEL
from exports.models import ExportAttempt, ExportFile, ExportRun, ExportTask, ItemKind, TaskState
from exports.payload import NO_PROFILE
from exports.sources import label_of
from exports.status import translated, who_helps

PUBLISHED = (RunState.SUCCESSFUL, RunState.WARNINGS)


@dataclass(frozen=True, kw_only=True)
class TaskLine:
    """Progress of one item. ``kind`` is that of an icon (ok, run, bad, idle); the bar is absent without ``maximum``."""

    label: str
    kind: str
    state: str
    amount: str
    note: str
    value: int
    maximum: int | None
    done: bool


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
class FileLine:
    """One file, complete at the destination only when ``published``."""

    id: int
    name: str
    facts: str
    sha256: str
    published: bool


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Rows of the run; the reasons are ``(number, words)``, largest first."""

    run: ExportRun
    left_out: list[tuple[int, str]]
    line: str


def task_lines(run: ExportRun, tasks: Iterable[ExportTask], now: datetime) -> list[TaskLine]:
    """One line per item, in order."""
    return [_task_line(run, task, now) for task in tasks]


def _task_line(run: ExportRun, task: ExportTask, now: datetime) -> TaskLine:
    running = run.is_active and task.state == TaskState.RUNNING
    stopped = not run.is_active and task.state in (TaskState.RUNNING, TaskState.WAITING)
    if run.state == RunState.CANCELED and task.state == TaskState.FAILED:
        stopped = True  # nothing failed: somebody ended it
    kind = {TaskState.DONE.value: "ok", TaskState.FAILED.value: "bad"}.get(
        task.state, "run" if running else "idle"
    )
    if stopped:
        kind = "idle"
    return TaskLine(
        label=label_of(task.source),
        kind=kind,
        state=_("Not finished") if stopped else task.get_state_display(),
        amount=_amount(task),
        note=_task_note(task, running, now),
        value=min(task.read, task.selected or 0) if task.state != TaskState.DONE else task.selected or 1,
        maximum=(task.selected or 1) if task.state == TaskState.DONE else task.selected or None,
        done=task.state == TaskState.DONE,
    )


def _amount(task: ExportTask) -> str:
    """*31,500 of 52,840 members*."""
    total = task.selected if task.selected is not None else None
    words = {"read": number(task.read), "all": number(total)}
    if total is None:
        return ""
    if task.kind == ItemKind.SEGMENT:
        return ngettext("%(read)s of %(all)s member", "%(read)s of %(all)s members", total) % words
    return ngettext("%(read)s of %(all)s row", "%(read)s of %(all)s rows", total) % words


def _task_note(task: ExportTask, running: bool, now: datetime) -> str:
    parts = []
    if task.state == TaskState.DONE:
        if task.started_at and task.finished_at:
            parts.append(duration(task.finished_at - task.started_at))
    elif running and task.selected:
        parts.append(_("%(percent)d%%") % {"percent": min(100, 100 * task.read // task.selected)})
        if task.started_at:
            parts.append(_("for %(time)s") % {"time": duration(now - task.started_at)})
    if task.bytes_sent:
        parts.append(_("%(size)s written") % {"size": byte_size(task.bytes_sent)})
    return ", ".join(parts)


def done_phrase(tasks: Sequence[ExportTask]) -> str:
    """*1 of 2 done*."""
    finished = sum(task.state == TaskState.DONE for task in tasks)
    return _("%(done)d of %(all)d done") % {"done": finished, "all": len(tasks)}


def sums(run: ExportRun, tasks: Iterable[ExportTask]) -> Sums:
    """The four numbers and the sum written out: *55,810 read = 55,214 sent + 558 left out + 38 rejected*."""
    left_out: Counter[str] = Counter()
    for task in tasks:
        left_out.update(task.reasons)
    line = _("%(read)s read = %(sent)s sent + %(left_out)s left out + %(rejected)s rejected.") % {
        "read": number(run.read),
        "sent": number(run.sent),
        "left_out": number(run.left_out),
        "rejected": number(run.rejected),
    }
    return Sums(run=run, left_out=_reasons(left_out), line=line)


def _reasons(counted: Counter[str]) -> list[tuple[int, str]]:
    words = {NO_PROFILE: _("members without a profile")}
    return [(amount, words.get(reason, reason)) for reason, amount in counted.most_common() if amount]


def attempt_lines(
    run: ExportRun, attempts: Iterable[ExportAttempt], *, see_detail: bool, now: datetime
) -> list[AttemptLine]:
    """The attempts, newest first; ``see_detail`` for people who may edit the connection (rule S12)."""
    lines = [_attempt_line(run, attempt, see_detail, now) for attempt in attempts]
    if run.state == RunState.FAILED and not any(line.cause for line in lines):
        # refused before an attempt began: the run itself says why
        lines.insert(0, _refusal_line(run, see_detail))
    return lines


def _attempt_line(run: ExportRun, attempt: ExportAttempt, see_detail: bool, now: datetime) -> AttemptLine:
    outcome = attempt.outcome
    took = duration(attempt.ended_at - attempt.started_at) if attempt.ended_at else ""
    words: dict[str, Any] = {"number": attempt.number, "time": took}
    kind, title = {
        ExportAttempt.Outcome.RUNNING.value: ("run", _("Attempt %(number)d is running")),
        ExportAttempt.Outcome.DONE.value: ("ok", _("Attempt %(number)d succeeded after %(time)s")),
        ExportAttempt.Outcome.FAILED.value: ("bad", _("Attempt %(number)d failed after %(time)s")),
        ExportAttempt.Outcome.LOST.value: ("bad", _("Attempt %(number)d was cut off: its worker was lost")),
        ExportAttempt.Outcome.CANCELED.value: ("off", _("Attempt %(number)d was canceled after %(time)s")),
    }[outcome]
    note = ""
    if outcome == ExportAttempt.Outcome.RUNNING:
        note = _("For %(time)s") % {"time": duration(now - attempt.started_at)}
    remedy = translated(attempt.remedy)
    if attempt.next_at and run.is_retrying and attempt.number == run.attempt:
        remedy = f"{remedy} {_next_attempt(attempt.next_at, now)}".strip()
    elif run.state == RunState.FAILED and attempt.number == run.attempt:
        remedy = f"{remedy} {who_helps(run)}".strip()
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


def _refusal_line(run: ExportRun, see_detail: bool) -> AttemptLine:
    return AttemptLine(
        kind="bad",
        title=_("The run could not go on") if run.attempt else _("The run did not start"),
        note="",
        cause=translated(run.cause),
        remedy=f"{translated(run.remedy)} {who_helps(run)}".strip(),
        detail=run.detail if see_detail else "",
    )


def file_lines(run: ExportRun, tasks: Iterable[ExportTask]) -> list[FileLine]:
    """Every file written by the run (its ``tasks`` with their files)."""
    published = run.state in PUBLISHED
    lines = [_file_line(file, published) for task in tasks for file in task.files.all()]
    size = dict(run.manifest.get("files", ())).get(MODEL)
    if size is not None:
        facts = _("describes the files, %(size)s") % {"size": byte_size(size)}
        lines.append(FileLine(id=0, name=MODEL, facts=facts, sha256="", published=published))
    return lines


def _file_line(file: ExportFile, published: bool) -> FileLine:
    rows = ngettext("%(rows)s row", "%(rows)s rows", file.rows) % {"rows": number(file.rows)}
    return FileLine(
        id=file.pk,
        name=file.name,
        facts=f"{rows}, {byte_size(file.size)}",
        sha256=file.sha256,
        published=published,
    )


def run_duration(run: ExportRun, now: datetime) -> str:
    """How long the run took, or has taken so far."""
    if run.started_at is None:
        return ""
    if run.finished_at:
        return duration(run.finished_at - run.started_at)
    return _("%(time)s so far") % {"time": duration(now - run.started_at)}


def started_by(run: ExportRun) -> str:
    """The person, or what started the run."""
    return run.started_by_label or run.get_trigger_display()
