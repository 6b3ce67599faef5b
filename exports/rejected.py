"""Records that a service refused: grouped by cause for the page of a run, one by one for those who may edit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from connections_portal.spreadsheets import neutral
from exports.models import ExportRun, ExportTask, RejectedRow, Rejection
from exports.sources import label_of

SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Cause:
    """So many ``rows`` of an item were refused; ``words`` are the service's own, empty for who may not read them."""

    item: str
    code: str
    words: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The most frequent causes of a run, how many there are besides, and whether the records are still kept."""

    causes: Sequence[Cause]
    more: int
    kept: bool


def refused(run: ExportRun, tasks: Sequence[ExportTask], *, see_words: bool) -> Refused | None:
    """What the page of the run shows; None where nothing was refused."""
    if not run.rejected:
        return None
    names = {task.pk: label_of(task.source) for task in tasks}
    found = Rejection.objects.filter(task__in=names)
    total = found.count()
    return Refused(
        causes=[
            Cause(
                item=names[row.task_id],
                code=row.code.replace("_", " "),
                words=row.reason if see_words else "",
                rows=row.rows,
            )
            for row in found[:SHOWN]
        ],
        more=max(0, total - SHOWN),
        kept=RejectedRow.objects.filter(rejection__task__in=names).exists(),
    )


def rows(run: ExportRun) -> Iterator[tuple[str, str, str, str]]:
    """Customer ID, item, code and words of every refused record, with headings first; safe in a spreadsheet."""
    yield _("Customer ID"), _("Item"), _("Cause"), _("What the service says")
    found = RejectedRow.objects.filter(rejection__task__run=run).order_by("pk")
    values = found.values_list("key", "rejection__task__source", "rejection__code", "rejection__reason")
    for key, source, code, reason in values.iterator(chunk_size=2_000):
        yield neutral(key), neutral(source), neutral(code), neutral(reason)
