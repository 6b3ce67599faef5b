"""What a run could not delete at the destination is deleted later, by itself, and nothing else is."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db.models import F
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.models import Connection, State
from connections.operations.remove import impact_of, remove_connection
from connections_portal.models import AuditEntry, RunState, Trigger
from connections_portal.ticking import tick
from exports.models import Export, ExportRun, TemporaryFolder
from exports.operations.leftovers import ATTEMPTS, tidy
from exports.operations.places import place
from exports.operations.remove import remove_export
from exports.operations.run import cancel_run
from exports.tasks import tidy as message
from tests.runs.helpers import (
    EVENTS,
    Delivery,
    carried_elsewhere,
    carry,
    carry_again,
    folders,
    start,
    write_events,
)

pytestmark = pytest.mark.both_databases


def cut(delivery: Delivery) -> tuple[Export, ExportRun]:
    """An export whose run was cut off in mid-file and waits for its next attempt; its folder is at the server."""
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.cut_after = delivery.box.seen.bytes_written + 1_000_000
    run = start(export)
    assert carry(run) == "retry"
    delivery.box.faults.cut_after = None
    assert len(left_at(delivery, export)) == 1
    return export, run


def left_at(delivery: Delivery, export: Export) -> list[str]:
    return [
        name for name in folders(delivery.at_server / export.folder_name) if name.startswith(".incoming-")
    ]


def later(minutes: int = 2) -> None:
    """Time goes by: runs ended longer ago, folders are due."""
    ago = dt.timedelta(minutes=minutes)
    ExportRun.objects.exclude(finished_at=None).update(finished_at=F("finished_at") - ago)
    TemporaryFolder.objects.update(not_before=F("not_before") - ago)


def waiting() -> list[list[int]]:
    ready = DBTaskResult.objects.filter(task_path=message.module_path, status=TaskResultStatus.READY)
    return [queued.args_kwargs["args"] for queued in ready]


def used_for_tidying() -> int:
    return AuditEntry.objects.filter(action="secret.used", details__purpose="tidy").count()


def canceled(delivery: Delivery, run: ExportRun) -> None:
    cancel_run(run=run, actor=delivery.admin)


def removed(delivery: Delivery, run: ExportRun) -> None:
    remove_export(export=run.export, actor=delivery.admin)


def refused(delivery: Delivery, run: ExportRun) -> None:
    Export.objects.update(responsible=None)
    ExportRun.objects.update(not_before=timezone.now())
    assert carry(run) == "refused"


def given_up(delivery: Delivery, run: ExportRun) -> None:
    ExportRun.objects.update(max_attempts=2)
    run.refresh_from_db()
    delivery.box.faults.cut_after = delivery.box.seen.bytes_written + 1_000_000
    assert carry_again(run) == "failed"
    delivery.box.faults.cut_after = None


@pytest.mark.parametrize("end", [canceled, removed, refused, given_up])
def test_however_a_run_ends_its_folder_goes(
    delivery: Delivery, end: Callable[[Delivery, ExportRun], None]
) -> None:
    export, run = cut(delivery)
    end(delivery, run)
    [left] = left_at(delivery, export)
    assert tick()["leftovers"] == 0 or end is removed  # its worker may be about to do it
    later()
    tick()
    assert waiting() == [[delivery.connection.pk]]
    assert tick()["leftovers"] == 0  # one message is enough
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert left_at(delivery, export) == []
    assert not TemporaryFolder.objects.exists()

    assert used_for_tidying() == 1
    entry = AuditEntry.objects.get(action="connection.tidied")
    assert (entry.object_uuid, entry.actor_id) == (delivery.connection.uuid, None)
    assert entry.details == {
        "deleted": [f"{export.folder_name}/{left}"],
        "left": [],
        "given_up": 0,
        "code": "",
    }
    DBTaskResult.objects.all().delete()
    later()
    assert tick()["leftovers"] == 0


def test_only_what_was_noted_is_deleted(delivery: Delivery) -> None:
    export, run = cut(delivery)
    other = delivery.export(name="Other")
    assert carry(start(other)) == "successful"
    foreign = delivery.at_server / export.folder_name / ".incoming-somebody"
    foreign.mkdir()
    (foreign / "theirs.csv").write_text("theirs")
    before = delivery.delivered(other)
    canceled(delivery, run)
    later()
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert delivery.delivered(other) == before
    assert left_at(delivery, export) == [foreign.name]
    assert (foreign / "theirs.csv").read_text() == "theirs"


def test_the_folder_of_a_run_under_way_is_no_leftover(delivery: Delivery) -> None:
    export, run = cut(delivery)
    later()
    assert tick()["leftovers"] == 0
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
    assert carry(start(delivery.export(name="Other"))) == "successful"
    assert len(left_at(delivery, export)) == 1
    assert carry_again(run) == "successful"
    assert not TemporaryFolder.objects.exists()


def test_the_next_run_over_the_connection_does_it_on_its_way(delivery: Delivery) -> None:
    export, run = cut(delivery)
    removed(delivery, run)
    assert carry(start(delivery.export(name="Other"))) == "successful"
    assert left_at(delivery, export) == []
    assert not TemporaryFolder.objects.exists()
    assert used_for_tidying() == 0


@pytest.mark.parametrize("fault", ["acknowledged short", "file gone meanwhile", "nothing selected any more"])
def test_a_final_failure_deletes_while_the_line_is_open(
    delivery: Delivery, settings: Settings, fault: str
) -> None:
    settings.RUN_MAX_ATTEMPTS = 1
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    if fault == "acknowledged short":
        delivery.box.faults.store_only = 10
    elif fault == "nothing selected any more":
        (delivery.data / "tables" / "events.parquet").unlink()
    else:
        delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    if fault == "file gone meanwhile":
        with carried_elsewhere(run, delivery) as worker:
            (delivery.at_server / run.temporary_folder / "events_1.csv").unlink()
            delivery.box.release()
            assert worker.result(20) == "failed"
    else:
        assert carry(run) == "failed"
    assert left_at(delivery, export) == []
    assert not TemporaryFolder.objects.exists()


def test_a_paused_connection_is_left_alone_until_it_is_resumed(delivery: Delivery) -> None:
    export, run = cut(delivery)
    canceled(delivery, run)
    later()
    Connection.objects.update(state=State.PAUSED)
    assert tick()["leftovers"] == 0
    assert tidy(connection_id=delivery.connection.pk) == "not now"
    assert used_for_tidying() == 0
    Connection.objects.update(state=State.READY)
    assert tick()["leftovers"] == 1
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert left_at(delivery, export) == []


def test_where_the_connection_leads_elsewhere_nothing_is_touched(delivery: Delivery) -> None:
    """The same path there would be somebody else's."""
    export, run = cut(delivery)
    canceled(delivery, run)
    later()
    TemporaryFolder.objects.update(target_digest="0" * 64)
    assert tick()["leftovers"] == 0
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
    assert used_for_tidying() == 0
    assert len(left_at(delivery, export)) == 1


def test_a_connection_without_room_is_not_bothered(delivery: Delivery) -> None:
    export, run = cut(delivery)
    canceled(delivery, run)
    later()
    Connection.objects.update(max_parallel=1)
    delivery.box.faults.hold_rename = True
    other = start(delivery.export(name="Other"))
    TemporaryFolder.objects.update(not_before=timezone.now() + dt.timedelta(minutes=1), attempts=0)
    run_elsewhere = carried_elsewhere(other, delivery)
    # what was left behind is deleted on the way of a run: make it reappear, to see that only room is missing
    with run_elsewhere as worker:
        TemporaryFolder.objects.create(
            connection=delivery.connection,
            target_digest=delivery.connection.target_digest,
            place=place(delivery.connection),
            path=f"{export.folder_name}/.incoming-00000000-00000000",
        )
        assert tick()["leftovers"] == 0
        assert tidy(connection_id=delivery.connection.pk) == "not now"
        delivery.box.release()
        assert worker.result(20) == "successful"
    assert tick()["leftovers"] == 1


def test_it_is_tried_five_times_and_changes_nothing_else(delivery: Delivery) -> None:
    export, run = cut(delivery)
    canceled(delivery, run)
    later()
    delivery.box.faults.refuse_sign_in = True
    pauses = []
    for _try in range(ATTEMPTS):
        tick()
        assert tidy(connection_id=delivery.connection.pk) == "left"
        assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
        folder = TemporaryFolder.objects.get()
        pauses.append(round((folder.not_before - timezone.now()).total_seconds() / 60))
        DBTaskResult.objects.all().delete()
        later(minutes=pauses[-1] + 1)
    assert pauses == [1, 4, 16, 64, 256]
    assert tick()["leftovers"] == 0
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
    told = AuditEntry.objects.filter(action="connection.tidied").order_by("id")
    assert [(entry.details["code"], entry.details["given_up"]) for entry in told] == [
        ("sign_in_refused", 0)
    ] * 4 + [("sign_in_refused", 1)]
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert Connection.objects.get(pk=delivery.connection.pk).state == State.READY
    # a run that comes by still does it
    delivery.box.faults.refuse_sign_in = False
    assert carry(start(delivery.export(name="Other"))) == "successful"
    assert left_at(delivery, export) == []


def test_a_folder_that_the_server_keeps_is_no_reason_not_to_go_on(delivery: Delivery) -> None:
    export, run = cut(delivery)
    canceled(delivery, run)
    [noted] = TemporaryFolder.objects.all()
    stubborn = f"{export.folder_name}/.incoming-stubborn"
    (delivery.at_server / stubborn / "inner").mkdir(parents=True)  # a folder is not deleted as a file
    TemporaryFolder.objects.update(path=stubborn)
    run.folders.create(
        connection=noted.connection, target_digest=noted.target_digest, place=noted.place, path=noted.path
    )
    later()
    assert tidy(connection_id=delivery.connection.pk) == "left"
    assert left_at(delivery, export) == [".incoming-stubborn"]
    assert [folder.path for folder in TemporaryFolder.objects.all()] == [stubborn]
    # nor for a run not to deliver
    assert carry(start(delivery.export(name="Other"))) == "successful"
    assert left_at(delivery, export) == [".incoming-stubborn"]


def test_after_a_month_it_is_forgotten_on_record(delivery: Delivery) -> None:
    _export, run = cut(delivery)
    canceled(delivery, run)
    TemporaryFolder.objects.update(created_at=timezone.now() - dt.timedelta(days=31))
    assert tick()["pruned"] == 1
    assert not TemporaryFolder.objects.exists()
    entry = AuditEntry.objects.get(action="connection.tidied")
    assert (entry.details["deleted"], entry.details["given_up"]) == ([], 1)


def test_a_removed_connection_takes_its_notes_with_it(delivery: Delivery) -> None:
    """Its secrets are gone, so nobody can go there any more; a worker that is still there deletes its own."""
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        removed(delivery, run)
        connection = Connection.objects.get(pk=delivery.connection.pk)
        remove_connection(connection=connection, impact=impact_of(connection), actor=delivery.admin)
        assert not TemporaryFolder.objects.exists()
        delivery.box.release()
        assert worker.result(20) == "lost"
    assert left_at(delivery, export) == []
    assert tidy(connection_id=connection.pk) == "not now"


def test_the_message_of_a_killed_worker_is_closed(delivery: Delivery) -> None:
    message.enqueue(delivery.connection.pk)
    DBTaskResult.objects.update(
        status=TaskResultStatus.RUNNING, started_at=timezone.now() - dt.timedelta(minutes=59)
    )
    assert tick()["dead"] == 0
    DBTaskResult.objects.update(started_at=timezone.now() - dt.timedelta(minutes=61))
    assert tick()["dead"] == 1


def test_a_scheduled_run_is_no_different(delivery: Delivery) -> None:
    export, run = cut(delivery)
    ExportRun.objects.update(trigger=Trigger.SCHEDULE)
    canceled(delivery, run)
    later()
    assert tick()["leftovers"] == 1
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert left_at(delivery, export) == []
