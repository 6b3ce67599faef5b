"""Send a run's items as files: select, encode, write, check, account for every row.

Everything goes into ``<export folder>/.incoming-<run>-<token>``; the step to *publishing* stores what is there, and
only then may the folder be renamed (rules S23, S25). Progress is written at most once a second, under the run's token.
"""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from connections.connectors.base import N_
from connections.connectors.errors import ConnectorError, TryLater
from connections.connectors.files import FileDelivery
from connections_portal.customer_data import CustomerDataError, Engine, Kind
from connections_portal.models import RunState
from connections_portal.runs import Lease, LeaseLost
from exports import payload
from exports.csv_files import (
    DELIMITERS,
    MODEL,
    CsvEncoder,
    Described,
    cdm_type,
    divide,
    file_name,
    model_json,
    split_rows,
    table_names,
)
from exports.models import ExportFile, ExportRun, ExportTask, TaskState
from exports.operations import leftovers, places

PROGRESS_SECONDS = 1.0


class Interrupted(Exception):
    """The attempt has to start over, and nobody did anything wrong."""

    def __init__(self, cause: str, *, code: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.code = code
        self.remedy = remedy


@dataclass
class Ahead:
    """What was read of an item before there was a line to send it over: its inputs, its counts, its first rows."""

    before: list[list[Any]] | None
    counts: payload.Counts
    batches: Iterator[Any]


def look_ahead(run: ExportRun, engine: Engine) -> Ahead | None:
    """Begin to read a single item while the line to the server is opened; None where there is more to it than that.

    Several items are counted first, and an attempt after another one may keep what that wrote. What cannot be read
    is told when its turn comes, and so is that the run was removed meanwhile, with its items.
    """
    tasks = list(run.tasks.all()[:2])
    if len(tasks) != 1 or run.temporary_folder:
        return None
    selection = selection_of(tasks[0])
    try:
        before = inputs(engine, tasks[0])
        counts = payload.count(engine, selection)
        batches = payload.stream(engine, selection)
        first = list(itertools.islice(batches, 1))
    except (payload.PayloadError, CustomerDataError):
        return None
    return Ahead(before, counts, itertools.chain(first, batches))


def selection_of(task: ExportTask) -> payload.Selection:
    """What the task is to send."""
    return payload.Selection(Kind(task.kind), task.source, tuple(task.fields))


def send(
    run: ExportRun, lease: Lease, delivery: FileDelivery, engine: Engine, ahead: Ahead | None = None
) -> None:
    """Write every item's files and ``model.json`` and take the step to *publishing*.

    ``ahead`` is what ``look_ahead`` gave for this attempt. Raises ConnectorError, PayloadError, CustomerDataError,
    Interrupted, and LeaseLost after deleting what it wrote if the run was canceled.
    """
    gzipped = run.options.get("compression") == "gzip"
    delimiter = DELIMITERS[run.options.get("delimiter", "comma")]
    tasks = list(run.tasks.prefetch_related("files"))
    names = table_names([task.source for task in tasks])
    temporary = _temporary_folder(run, lease)
    try:
        _prepare_folder(run, lease, delivery, engine, tasks, temporary)
        _count(run, lease, engine, tasks)
        for task, table in zip(tasks, names, strict=True):
            if task.state != TaskState.DONE:
                _Item(run, lease, delivery, engine, task, temporary, table, gzipped, delimiter).send(ahead)
        _to_publishing(run, lease, delivery, engine, temporary, names, delimiter)
    except (LeaseLost, CustomerDataError) as error:
        if isinstance(error, CustomerDataError) and not lease.is_lost():
            raise
        # canceled, or removed together with its export; a question may have been interrupted because of that
        state = ExportRun.objects.filter(pk=run.pk).values_list("state", flat=True).first()
        if state in (None, RunState.CANCELED):
            leftovers.discard_own(run, delivery, temporary)
        raise LeaseLost from None
    except Interrupted:
        # all that was written is worth nothing
        leftovers.discard_own(run, delivery)
        raise


def _count(run: ExportRun, lease: Lease, engine: Engine, tasks: list[ExportTask]) -> None:
    """Say how much there is before the first item begins; what cannot be read fails when its turn comes."""
    for task in tasks if len(tasks) > 1 else ():
        if task.state == TaskState.DONE:
            continue
        try:
            counts = payload.count(engine, selection_of(task))
        except (payload.PayloadError, CustomerDataError):
            continue
        write_task(lease, task, selected=counts.selected)
    write_totals(run, lease)


def _temporary_folder(run: ExportRun, lease: Lease) -> str:
    """Where this attempt writes."""
    return f"{run.export.folder_name}/.incoming-{run.uuid.hex[:8]}-{lease.token.hex[:8]}"


def _prepare_folder(
    run: ExportRun,
    lease: Lease,
    delivery: FileDelivery,
    engine: Engine,
    tasks: list[ExportTask],
    temporary: str,
) -> None:
    """Make the temporary folder; finished tasks of the attempt before are kept where nothing changed."""
    earlier = run.temporary_folder
    # before the folder exists: whoever comes next knows of it
    leftovers.note(run, lease, temporary)
    if not earlier:
        delivery.begin(temporary)
        return
    here = leftovers.of_run(run).exclude(path=temporary)
    done: list[ExportTask] = []
    kept: frozenset[str] = frozenset()
    if here.filter(path=earlier).exists():
        done = [task for task in tasks if task.state == TaskState.DONE]
        done = [task for task in done if inputs(engine, task) == task.identity]
        keep = {file.name: file.size for task in done for file in task.files.all()}
        kept = delivery.take_over(earlier, temporary, keep)
    else:
        # the attempt before wrote in another place: what lies there is deleted there, later
        delivery.begin(temporary)
    # with those of attempts that were lost before they took over
    leftovers.discard(here, delivery)
    for task in tasks:
        if task in done and {file.name for file in task.files.all()} <= kept:
            continue
        with transaction.atomic():
            write_task(lease, task, state=TaskState.WAITING, read=0, sent=0, left_out=0, bytes_sent=0)
            task.files.all().delete()


def inputs(engine: Engine, task: ExportTask) -> list[list[Any]] | None:
    """The identity of the task's inputs as stored; None when they cannot be read any more."""
    try:
        return [list(entry) for entry in engine.identity(Kind(task.kind), task.source)]
    except CustomerDataError:
        return None


def write_task(lease: Lease, task: ExportTask, **values: Any) -> None:
    """A fenced update of the task, after its run as everywhere; raises LeaseLost when that is not ours."""
    with transaction.atomic():
        lease.hold(RunState.RUNNING)
        ExportTask.objects.filter(pk=task.pk).update(**values)
    for name, value in values.items():
        setattr(task, name, value)


class _Item:
    """One segment or table on its way into files."""

    def __init__(
        self,
        run: ExportRun,
        lease: Lease,
        delivery: FileDelivery,
        engine: Engine,
        task: ExportTask,
        temporary: str,
        table: str,
        gzipped: bool,
        delimiter: str,
    ) -> None:
        self.run, self.lease, self.delivery, self.engine, self.task = run, lease, delivery, engine, task
        self.temporary, self.table, self.gzipped, self.delimiter = temporary, table, gzipped, delimiter
        self.selection = selection_of(task)
        self.rows = 0
        self.bytes = 0
        self.reported = 0.0

    def send(self, ahead: Ahead | None) -> None:
        """Select, write and check every file; then the task is done and accounts for every row."""
        if ahead is None:
            before = inputs(self.engine, self.task)
            counts = payload.count(self.engine, self.selection)
            ahead = Ahead(before, counts, payload.stream(self.engine, self.selection))
        before, counts = ahead.before, ahead.counts
        left_out = sum(counts.left_out.values())
        write_task(
            self.lease,
            self.task,
            state=TaskState.RUNNING,
            selected=counts.selected,
            started_at=timezone.now(),
            finished_at=None,
            reasons=counts.left_out,
            identity=before,
        )
        files = list(self._files(ahead.batches, split_rows(counts.sendable)))
        if before is None or inputs(self.engine, self.task) != before or self.rows != counts.sendable:
            raise Interrupted(
                N_("The customer data changed while it was read, so the files were thrown away."),
                code="inputs_changed",
                remedy=N_("Nothing to do: the run starts over."),
            )
        with transaction.atomic():
            write_task(
                self.lease,
                self.task,
                state=TaskState.DONE,
                read=self.rows + left_out,
                sent=self.rows,
                left_out=left_out,
                bytes_sent=self.bytes,
                finished_at=timezone.now(),
            )
            self.task.files.all().delete()
            ExportFile.objects.bulk_create(files)
            write_totals(self.run, self.lease)

    def _files(self, batches: Iterator[Any], shares: list[int]) -> Iterator[ExportFile]:
        """Write the files one after the other; each is yielded when the server has confirmed its size."""
        schema = None
        writing: _File | None = None
        current = -1
        for index, batch in divide(batches, shares):
            if index != current:
                if writing:
                    yield writing.close()
                writing, current, schema = _File(self, index + 1, batch.schema), index, batch.schema
            assert writing is not None
            writing.add(batch)
            self.rows += batch.num_rows
            self._report(writing)
        if writing is None:
            writing = _File(self, 1, schema or self._schema())
        yield writing.close()

    def _schema(self) -> Any:
        """The schema of a selection that has no rows."""
        return payload.schema(self.engine, self.selection)

    def _report(self, writing: "_File") -> None:
        """Progress, at most once a second; also notices that the run was canceled."""
        self.lease.check()
        if time.monotonic() - self.reported >= PROGRESS_SECONDS:
            self.reported = time.monotonic()
            write_task(
                self.lease,
                self.task,
                read=self.rows,
                sent=self.rows,
                bytes_sent=self.bytes + writing.encoder.size,
            )
            write_totals(self.run, self.lease)


class _File:
    """One file at the destination, open for writing."""

    def __init__(self, item: _Item, number: int, schema: Any) -> None:
        self.item = item
        self.name = file_name(item.table, number, gzipped=item.gzipped)
        self.encoder = CsvEncoder(
            schema,
            delimiter=item.delimiter,
            gzipped=item.gzipped,
            formulas_escaped=item.run.options.get("formulas") == "apostrophe",
        )
        self.remote = item.delivery.open(item.temporary, self.name)

    def add(self, batch: Any) -> None:
        """Encode and send one batch."""
        try:
            for piece in self.encoder.encode(batch):
                self.remote.write(piece)
        except ConnectorError:
            self.remote.abort()
            raise

    def close(self) -> ExportFile:
        """Send the rest, and compare the size that the server reports with what was sent."""
        try:
            for piece in self.encoder.finish():
                self.remote.write(piece)
            size = self.remote.finish()
        except ConnectorError:
            self.remote.abort()
            raise
        check_size(self.encoder.size, size)
        self.item.bytes += size
        return ExportFile(
            task=self.item.task, name=self.name, rows=self.encoder.rows, size=size, sha256=self.encoder.sha256
        )


def check_size(sent: int, reported: int) -> None:
    """Raise TryLater when the server says that a file it acknowledged is shorter or longer than what was sent."""
    if sent != reported:
        raise TryLater(
            N_("The server acknowledged a file and then reported another size for it."),
            code="size_differs",
            detail=f"sent {sent} bytes, reported {reported}",
        )


def write_totals(run: ExportRun, lease: Lease) -> None:
    """Put the sums of the tasks on the run."""
    names = ("read", "sent", "rejected", "left_out", "bytes_sent")
    tasks = list(run.tasks.values("selected", *names))
    totals = {name: sum(task[name] for task in tasks) for name in names}
    selected = [task["selected"] for task in tasks]
    # unknown until every item is counted: a part of it would look like the whole
    lease.write(RunState.RUNNING, selected=None if None in selected else sum(selected), **totals)


def _to_publishing(
    run: ExportRun,
    lease: Lease,
    delivery: FileDelivery,
    engine: Engine,
    temporary: str,
    names: list[str],
    delimiter: str,
) -> None:
    """Write ``model.json`` last, then store folders, names and sizes with the step to *publishing*, fenced."""
    tasks = list(run.tasks.prefetch_related("files"))
    described = [
        Described(
            table,
            [(column.name, cdm_type(column.words)) for column in payload.columns(engine, selection_of(task))],
            [(file.name, file.rows) for file in task.files.all()],
        )
        for task, table in zip(tasks, names, strict=True)
    ]
    at = timezone.now()
    connection = run.export.connection
    assert connection is not None
    model = model_json(run.export.name, described, delimiter=delimiter, modified=f"{at:%Y-%m-%dT%H:%M:%SZ}")
    data = json.dumps(model, ensure_ascii=False, indent=1).encode()
    remote = delivery.open(temporary, MODEL)
    remote.write(data)
    check_size(len(data), remote.finish())
    files = {file.name: file.size for task in tasks for file in task.files.all()} | {MODEL: len(data)}
    write_totals(run, lease)
    lease.write(
        RunState.RUNNING,
        state=RunState.PUBLISHING,
        final_folder=f"{run.export.folder_name}/{at:%Y%m%d-%H%M%SZ}-{run.uuid.hex[:8]}",
        # pairs, not an object: PostgreSQL keeps no order of names, and the last file marks completeness
        manifest={"files": list(files.items()), "place": places.place(connection)},
        heartbeat_at=Now(),
    )
