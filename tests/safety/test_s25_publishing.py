"""S25: the step to publishing is fenced and stores what is there; who finds it finishes it, and never overwrites."""

import pytest

from connections.operations.attempts import PUBLISH_ATTEMPTS
from connections_portal.models import RunState, WhoActs
from connections_portal.ticking import tick
from exports.models import ExportAttempt, ExportRun
from tests.runs.helpers import (
    LOYAL,
    ORDERS,
    Delivery,
    carried_elsewhere,
    carry,
    folders,
    lose_worker,
    start,
    tree,
)

pytestmark = pytest.mark.both_databases


def final_name(run: ExportRun) -> str:
    return run.final_folder.rpartition("/")[2]


def test_what_is_published_is_written_down_before_the_rename(delivery: Delivery) -> None:
    export = delivery.export(LOYAL, ORDERS)
    delivery.box.faults.hold_rename = True
    run = start(export)
    with carried_elsewhere(run, delivery):
        assert run.state == RunState.PUBLISHING
        there = tree(delivery.server.files / "exports" / run.temporary_folder)
        assert dict(run.manifest["files"]) == {name: len(content) for name, content in there.items()}
        assert run.manifest["files"][-1][0] == "model.json"
        # the temporary name belongs to the token, the final one to the run
        assert run.lease_token is not None
        assert run.temporary_folder.endswith(f".incoming-{run.uuid.hex[:8]}-{run.lease_token.hex[:8]}")
        assert final_name(run).endswith(run.uuid.hex[:8])
    run.refresh_from_db()
    assert run.state == RunState.SUCCESSFUL


def test_whoever_finds_it_publishing_renames_and_sends_nothing(delivery: Delivery) -> None:
    """The first worker is frozen just before the rename; the second finishes; the first then changes nothing."""
    export = delivery.export(LOYAL, ORDERS)
    delivery.box.faults.hold_rename = True
    run = start(export)
    with carried_elsewhere(run, delivery) as frozen:
        written = delivery.box.seen.bytes_written
        lose_worker(run)
        delivery.box.faults.hold_rename = False
        assert carry(run, worker="second") == "successful"
        published = tree(delivery.at_server / export.folder_name)
        finished = run.finished_at
        delivery.box.release()
        assert frozen.result(20) == "lost"
    run.refresh_from_db()
    assert (run.state, run.finished_at, run.worker) == (RunState.SUCCESSFUL, finished, "second")
    assert run.publish_attempt == 1
    assert delivery.box.seen.bytes_written == written
    assert folders(delivery.at_server / export.folder_name) == [final_name(run)]
    assert tree(delivery.at_server / export.folder_name) == published


def test_a_refused_publication_is_tried_later_and_uploads_nothing_again(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.hold_rename = True
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        delivery.box.faults.read_only = True
        delivery.box.release()
        assert worker.result(20) == "publishing later"
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.PUBLISHING, "folder_not_writable")
    assert carry(run) == "not due"
    written = delivery.box.seen.bytes_written
    delivery.box.faults.read_only = False
    lose_worker(run)
    assert carry(run) == "successful"
    assert delivery.box.seen.bytes_written == written
    assert folders(delivery.at_server / export.folder_name) == [final_name(run)]
    assert run.cause == ""


def test_a_server_that_renames_no_folders_gets_the_files_one_by_one(delivery: Delivery) -> None:
    export = delivery.export(LOYAL, ORDERS)
    delivery.box.faults.refuse_folder_rename = True
    run = start(export)
    assert carry(run) == "successful"
    assert set(tree(delivery.at_server / run.final_folder)) == {"loyal_1.csv", "orders_1.csv", "model.json"}
    assert delivery.box.seen.renamed[-1] == "model.json"
    assert folders(delivery.at_server / export.folder_name) == [final_name(run)]


def test_what_is_there_already_is_never_overwritten(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.hold_rename = True
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        foreign = delivery.at_server / run.final_folder
        foreign.mkdir()
        (foreign / "loyal_1.csv").write_text("somebody else's")
        delivery.box.release()
        assert worker.result(20) == "publishing later"
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.PUBLISHING, "already_there")
    assert (foreign / "loyal_1.csv").read_text() == "somebody else's"
    assert run.finished_at is None


def test_after_ten_times_it_failed_as_uploaded_and_not_published(delivery: Delivery) -> None:
    export = delivery.export()
    delivery.box.faults.lose_rename_answer = True
    run = start(export)
    assert carry(run) == "publishing later"
    # the files vanish from under the final name, so that looking again does not help
    for path in (delivery.at_server / run.final_folder).iterdir():
        path.unlink()
    (delivery.at_server / run.final_folder).rmdir()
    outcomes = []
    for _try in range(PUBLISH_ATTEMPTS - 1):
        lose_worker(run)
        outcomes.append(carry(run))
    assert outcomes == ["publishing later"] * (PUBLISH_ATTEMPTS - 2) + ["failed"]
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, "not_published", WhoActs.ADMINISTRATOR)
    assert "uploaded" in run.cause
    assert run.attempts.get().outcome == ExportAttempt.Outcome.FAILED


def test_workers_that_die_while_publishing_end_it_after_ten_times_too(delivery: Delivery) -> None:
    run = start(delivery.export())
    delivery.box.faults.lose_rename_answer = True
    carry(run)
    ExportRun.objects.filter(pk=run.pk).update(publish_attempt=PUBLISH_ATTEMPTS)
    lose_worker(run)
    assert tick()["leases"] == 1
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.FAILED, "not_published")


def test_a_worker_that_lost_its_run_does_not_publish(delivery: Delivery) -> None:
    """The fenced update comes before the rename: without the token there is none."""
    export = delivery.export(LOYAL, ORDERS)
    delivery.box.faults.hold_after = 0
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        ExportRun.objects.filter(pk=run.pk).update(lease_token=export.uuid)
        delivery.box.release()
        assert worker.result(20) == "lost"
    run.refresh_from_db()
    assert (run.state, run.lease_token) == (RunState.RUNNING, export.uuid)
    assert delivery.box.seen.renamed == []
    assert all(name.startswith(".incoming-") for name in folders(delivery.at_server / export.folder_name))
