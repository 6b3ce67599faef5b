"""Temporary folders that a run could not delete itself, and deleting them later.

A folder is noted before it is made, and its row goes once it was seen gone. What belongs to no run under way is a
leftover: the next run over the connection deletes it on its way, and ``tick`` queues a clean-up of its own that opens
the connection for nothing else. Only folders that were noted are ever touched, and only in the place where they were
made, wherever the connection leads meanwhile.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from connections.connectors.errors import ConnectorError
from connections.connectors.files import FileDelivery
from connections.models import Connection
from connections.operations import refusals
from connections.operations.connector import open_connector
from connections_portal import audit, runs
from connections_portal.errors import OperationError
from connections_portal.models import ACTIVE_STATES, RunState
from connections_portal.runs import Lease
from exports.models import ExportRun, TemporaryFolder
from exports.operations import places

logger = logging.getLogger(__name__)

AT_ONCE = 5
# Where nothing more can be asked of the server.
LINE_GONE = ("line_cut", "server_ended", "server_silent")
# Five times within a day and a half, then only on the way of a run; after a month nobody knows of it any more.
ATTEMPTS = 5
PAUSE_SECONDS = 60
KEEP = dt.timedelta(days=30)

LEFT_BEHIND = Q(run__isnull=True) | ~Q(run__state__in=ACTIVE_STATES)


def _due() -> Q:
    """Left behind, and not by a run that ended just now: its worker may be deleting the folder itself."""
    ended = Q(run__isnull=True) | Q(run__finished_at__lte=runs.in_seconds(-settings.RUN_LEASE_SECONDS))
    return LEFT_BEHIND & ended & Q(not_before__lte=Now(), attempts__lt=ATTEMPTS)


def note(run: ExportRun, lease: Lease, path: str) -> None:
    """Write down, fenced, that the run is about to make this folder. Raises LeaseLost."""
    connection = run.export.connection
    assert connection is not None
    with transaction.atomic():
        # before the run, as everywhere: the row that points at it would lock it at the end
        Connection.objects.select_for_update().filter(pk=connection.pk).first()
        lease.write(RunState.RUNNING, temporary_folder=path)
        TemporaryFolder.objects.create(
            connection=connection,
            target_digest=connection.target_digest,
            place=places.place(connection),
            path=path,
            run=run,
        )


def _here(connection: Connection) -> Q:
    """What lies where a line over the connection leads."""
    return Q(connection=connection, target_digest=connection.target_digest, place=places.place(connection))


def of_run(run: ExportRun) -> QuerySet[TemporaryFolder]:
    """The run's folders, as far as they lie where its connection leads."""
    assert run.export.connection is not None
    return TemporaryFolder.objects.filter(_here(run.export.connection), run=run.pk)


def discard(folders: Iterable[TemporaryFolder], delivery: FileDelivery) -> None:
    """Delete these folders and forget them. Raises TryLater when the line is cut."""
    for folder in folders:
        if _discarded(folder, delivery):
            folder.delete()


def _discarded(folder: TemporaryFolder, delivery: FileDelivery) -> bool:
    """Whether the folder is gone; one that the server does not let go is no reason not to go on with others."""
    try:
        delivery.discard(folder.path)
    except ConnectorError as error:
        if error.code in LINE_GONE:
            raise
        return False
    return True


def discard_own(run: ExportRun, delivery: FileDelivery, temporary: str = "") -> None:
    """Delete what the run wrote, as well as the line still allows; the rest is left behind.

    ``temporary`` is the folder of this attempt where the run, or even the connection, may have been removed meanwhile.
    """
    assert run.export.connection is not None
    own = Q(run=run.pk) | Q(path=temporary)
    folders = list(TemporaryFolder.objects.filter(own, _here(run.export.connection)))
    try:
        discard(folders, delivery)
        if temporary and temporary not in (folder.path for folder in folders):
            delivery.discard(temporary)
    except ConnectorError:
        logger.info("run %s could not delete its temporary folder; that is tried again", run.pk)


def discard_on_the_way(run: ExportRun, delivery: FileDelivery) -> None:
    """Delete what earlier runs left behind over the same connection. Raises TryLater when the line is cut."""
    connection = run.export.connection
    if connection is not None:
        discard(TemporaryFolder.objects.filter(LEFT_BEHIND, _here(connection))[:AT_ONCE], delivery)


def _within_reach(**which: Any) -> list[TemporaryFolder]:
    """Folders that are due, at the target of their connection and in a place that its account can still go to."""
    due = TemporaryFolder.objects.filter(_due(), target_digest=F("connection__target_digest"), **which)
    folders = due.select_related("connection__consent")
    return [folder for folder in folders if places.is_open(folder.connection, folder.place)]


def connections_to_tidy() -> list[int]:
    """Ids of usable connections with room for one more session at which a clean-up is due."""
    connections = {folder.connection_id: folder.connection for folder in _within_reach()}
    return [connection.pk for connection in connections.values() if _can_tidy(connection)]


def _can_tidy(connection: Connection) -> bool:
    return refusals.of_connection(connection) is None and refusals.has_room(connection)


def tidy(*, connection_id: int) -> str:
    """Delete what is left behind at the connection, at most five folders in one place. Returns what came of it.

    The portal does this by itself: the use of the secrets and what was deleted are recorded. A failure changes nothing
    but the time of the next try.
    """
    connection = Connection.objects.select_related("consent").filter(pk=connection_id).first()
    if connection is None or not _can_tidy(connection):
        return "not now"
    folders = _take(connection)
    if not folders:
        return "nothing to do"
    there = places.at(folders[0].connection, folders[0].place)
    gone: list[TemporaryFolder] = []
    code = ""
    try:
        with (
            open_connector(there, purpose="tidy", actor=None) as connector,
            connector.deliver() as delivery,
        ):
            for folder in folders:
                # paused, withdrawn or led elsewhere meanwhile (rule S4)
                if not Connection.objects.filter(pk=there.pk, epoch=there.epoch).exists():
                    break
                if _discarded(folder, delivery):
                    gone.append(folder)
    except ConnectorError as error:
        code = error.code
    except OperationError as error:
        code = type(error).__name__
    kept = [folder for folder in folders if folder not in gone]
    with transaction.atomic():
        TemporaryFolder.objects.filter(pk__in=[folder.pk for folder in gone]).delete()
        given_up = sum(folder.attempts + 1 >= ATTEMPTS for folder in kept)
        _record(connection, gone=gone, kept=kept, given_up=given_up, code=code)
    return "left" if kept else "tidied"


def _record(
    connection: Connection,
    *,
    gone: Sequence[TemporaryFolder],
    kept: Sequence[TemporaryFolder],
    given_up: int,
    code: str = "",
) -> None:
    audit.record(
        "connection.tidied",
        actor=None,
        target=connection,
        deleted=[folder.path for folder in gone],
        left=[folder.path for folder in kept],
        given_up=given_up,
        code=code,
    )


def _take(connection: Connection) -> list[TemporaryFolder]:
    """Folders that are due, all in one place, taken so that nobody else takes them before the next try."""
    taken: list[TemporaryFolder] = []
    due = _within_reach(connection=connection)
    for folder in [folder for folder in due if folder.place == due[0].place][:AT_ONCE]:
        pause = PAUSE_SECONDS * 4**folder.attempts
        taken_now = TemporaryFolder.objects.filter(pk=folder.pk, attempts=folder.attempts).update(
            attempts=folder.attempts + 1, not_before=runs.in_seconds(pause)
        )
        if taken_now:
            taken.append(folder)
    return taken


def forget_old() -> int:
    """Forget folders that were left behind a month ago, and record that; returns how many."""
    old = TemporaryFolder.objects.filter(LEFT_BEHIND, created_at__lt=timezone.now() - KEEP)
    by_connection: dict[Connection, list[TemporaryFolder]] = {}
    for folder in old.select_related("connection"):
        by_connection.setdefault(folder.connection, []).append(folder)
    for connection, folders in by_connection.items():
        with transaction.atomic():
            TemporaryFolder.objects.filter(pk__in=[folder.pk for folder in folders]).delete()
            _record(connection, gone=[], kept=folders, given_up=len(folders))
    return sum(map(len, by_connection.values()))
