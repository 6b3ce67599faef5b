"""The folder of a connection is edited while something of a run lies in it: nothing there is lost from sight."""

import pytest
from django.utils import timezone

from connections import connectors
from connections.models import Connection
from connections.operations.drafts import keep_draft, verified_digest
from connections.operations.edit import Agreement, edit_connection
from connections_portal.models import AuditEntry, RunState
from connections_portal.ticking import tick
from exports.models import TemporaryFolder
from exports.operations.leftovers import tidy
from exports.operations.run import cancel_run
from tests.runs.helpers import (
    EVENTS,
    FOLDER,
    LOYAL,
    Delivery,
    carried_elsewhere,
    carry,
    carry_again,
    folders,
    lose_worker,
    start,
    write_events,
)
from tests.runs.test_leftovers import cut, later, left_at

pytestmark = pytest.mark.both_databases

ELSEWHERE = "elsewhere"


def edited(delivery: Delivery, **settings: str) -> None:
    """*Save* of an edit of these settings, verified."""
    connection = Connection.objects.get(pk=delivery.connection.pk)
    connector = connectors.get("sftp")
    assert connector is not None
    cleaned = connector.clean(connection.settings | settings)
    draft = keep_draft(
        draft=None,
        type_key="sftp",
        connection=connection,
        cleaned=cleaned,
        secrets={},
        form={},
        actor=delivery.admin,
    )
    draft.verified_digest, draft.verified_at = verified_digest(draft), timezone.now()
    draft.save()
    edit_connection(
        connection=connection,
        version=connection.version,
        draft=draft,
        name=connection.name,
        settings=cleaned,
        agreement=Agreement(ticked=False, wording_hash=""),
        actor=delivery.admin,
    )


def test_what_was_left_is_deleted_where_it_lies(delivery: Delivery) -> None:
    export, run = cut(delivery)
    [left] = left_at(delivery, export)
    cancel_run(run=run, actor=delivery.admin)
    same = delivery.server.files / ELSEWHERE / export.folder_name / left
    same.mkdir(parents=True)  # of that name in the new folder: not ours
    edited(delivery, export_folder=ELSEWHERE)
    later()
    assert tick()["leftovers"] == 1
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert left_at(delivery, export) == []
    assert same.is_dir()
    assert not TemporaryFolder.objects.exists()
    entry = AuditEntry.objects.get(action="connection.tidied")
    assert entry.details["deleted"] == [f"{export.folder_name}/{left}"]


def test_a_run_on_its_way_to_the_new_folder_does_not_take_it_for_deleted(delivery: Delivery) -> None:
    export, run = cut(delivery)
    cancel_run(run=run, actor=delivery.admin)
    edited(delivery, export_folder=ELSEWHERE)
    assert carry(start(delivery.export(name="Other"))) == "successful"
    assert len(left_at(delivery, export)) == TemporaryFolder.objects.count() == 1


def test_folders_in_two_places_go_one_place_after_the_other(delivery: Delivery) -> None:
    export, run = cut(delivery)
    [noted] = TemporaryFolder.objects.all()
    cancel_run(run=run, actor=delivery.admin)
    there = delivery.server.files / ELSEWHERE / noted.path
    there.mkdir(parents=True)
    place = noted.place | {"export_folder": ELSEWHERE}
    run.folders.create(
        connection=noted.connection, target_digest=noted.target_digest, place=place, path=noted.path
    )
    later()
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert (left_at(delivery, export), there.is_dir()) == ([], True)
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert not there.is_dir()
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"


def test_where_somebody_else_signs_in_nothing_is_touched(delivery: Delivery) -> None:
    """The folder of another account is another one; its path says nothing here."""
    export, run = cut(delivery)
    cancel_run(run=run, actor=delivery.admin)
    edited(delivery, username="somebody")
    later()
    assert tick()["leftovers"] == 0
    assert tidy(connection_id=delivery.connection.pk) == "nothing to do"
    assert len(left_at(delivery, export)) == TemporaryFolder.objects.count() == 1


def test_the_next_attempt_starts_over_there_and_does_not_forget_what_lies_here(delivery: Delivery) -> None:
    export, run = cut(delivery)
    edited(delivery, export_folder=ELSEWHERE)
    assert carry_again(run) == "successful"
    assert folders(delivery.server.files / ELSEWHERE / export.folder_name) == [run.final_folder.split("/")[1]]
    assert run.read == run.sent == 60_000
    [noted] = TemporaryFolder.objects.all()
    assert [noted.path] == [f"{export.folder_name}/{name}" for name in left_at(delivery, export)]
    later()
    assert tidy(connection_id=delivery.connection.pk) == "tidied"
    assert left_at(delivery, export) == []


def test_nor_does_it_count_what_was_done_here(delivery: Delivery) -> None:
    """A finished item's file lies in the old folder: it is sent again."""
    write_events(delivery.data)
    export = delivery.export(LOYAL, EVENTS)
    delivery.box.faults.cut_after = delivery.box.seen.bytes_written + 1_000_000
    run = start(export)
    assert carry(run) == "retry"
    delivery.box.faults.cut_after = None
    assert sorted(run.tasks.values_list("state", flat=True)) == ["done", "waiting"]
    edited(delivery, export_folder=ELSEWHERE)
    assert carry_again(run) == "successful"
    published = delivery.server.files / ELSEWHERE / run.final_folder
    assert sorted(path.name for path in published.iterdir()) == ["events_1.csv", "loyal_1.csv", "model.json"]


def test_a_run_whose_rename_had_no_answer_is_found_published(delivery: Delivery) -> None:
    delivery.box.faults.lose_rename_answer = True
    run = start(delivery.export())
    assert carry(run) == "publishing later"
    published = folders(delivery.at_server / run.final_folder.split("/")[0])
    edited(delivery, export_folder=ELSEWHERE)
    lose_worker(run)
    assert carry(run) == "successful"
    assert (run.state, run.code) == (RunState.SUCCESSFUL, "")
    assert folders(delivery.at_server / run.final_folder.split("/")[0]) == published
    assert not TemporaryFolder.objects.exists()


def test_one_whose_files_wait_for_their_name_gets_it_where_they_lie(delivery: Delivery) -> None:
    delivery.box.faults.hold_rename = True
    run = start(delivery.export())
    with carried_elsewhere(run, delivery) as worker:
        delivery.box.faults.read_only = True
        delivery.box.release()
        assert worker.result(20) == "publishing later"
    delivery.box.faults.read_only = False
    edited(delivery, export_folder=ELSEWHERE)
    lose_worker(run)
    assert carry(run) == "successful"
    assert (delivery.server.files / FOLDER / run.final_folder / "model.json").is_file()
