"""What a run's page tells: progress per item, rows accounted for and files, as plain lines for templates."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from connections.types import target_names
from connections_portal.models import RunState
from connections_portal.templatetags.portal import byte_size, duration, number
from exports.csv_files import MODEL
from exports.models import ExportFile, ExportRun, ExportTask, ItemKind, TaskState
from exports.payload import NO_PROFILE
from exports.sources import label_of

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
    return Sums(run=run, left_out=_reasons(left_out, target_names(run.connection_type)), line=line)


def _reasons(counted: Counter[str], targets: Mapping[str, str]) -> list[tuple[int, str]]:
    return [(amount, _reason(reason, targets)) for reason, amount in counted.most_common() if amount]


def _reason(reason: str, targets: Mapping[str, str]) -> str:
    """Why rows were left out, in words; ``no:email`` and ``bad:email`` are ``records``' own."""
    kind, _colon, target = reason.partition(":")
    named = {"name": targets.get(target, target)}
    if kind == "no":
        return _("without %(name)s") % named
    if kind == "bad":
        return _("with something else than a valid %(name)s") % named
    return _("members without a profile") if reason == NO_PROFILE else reason


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
