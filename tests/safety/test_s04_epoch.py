"""S4: a run goes on only under the epoch of its connection that it began with."""

import pytest
from django.db.models import F

from connections.models import Access, Connection
from connections.sharing import set_grants
from connections_portal import runs
from connections_portal.models import RunState
from exports.models import ExportRun
from exports.operations.execute import STILL
from exports.operations.tick import tick
from tests.runs.helpers import (
    EVENTS,
    Delivery,
    carried_elsewhere,
    carry,
    folders,
    lose_worker,
    start,
    write_events,
)


def grow_epoch(delivery: Delivery) -> None:
    Connection.objects.filter(pk=delivery.connection.pk).update(epoch=F("epoch") + 1)


def test_a_run_under_way_stops_and_publishes_nothing(delivery: Delivery) -> None:
    write_events(delivery.data)
    export = delivery.export(EVENTS)
    delivery.box.faults.hold_after = 1_000_000
    run = start(export)
    with carried_elsewhere(run, delivery) as worker:
        grow_epoch(delivery)
        delivery.box.release()
        assert worker.result(20) == "lost"
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
    assert delivery.box.seen.renamed == []
    # the clock takes it back, and the claim says why it must not go on
    lose_worker(run)
    assert tick()["leases"] == 1
    assert carry(run) == "refused"
    assert (run.state, run.code) == (RunState.FAILED, "connection_changed")
    # what was written goes with the next run
    delivery.connection.refresh_from_db()
    following = start(export)
    assert carry(following) == "successful"
    assert folders(delivery.at_server / export.folder_name) == [following.final_folder.rpartition("/")[2]]


@pytest.mark.parametrize("write", ["heartbeat", "progress", "publishing"])
def test_every_write_of_a_run_asks_for_the_epoch(delivery: Delivery, write: str) -> None:
    run = start(delivery.export())
    _claimed, lease = runs.claim(
        ExportRun,
        run.pk,
        worker="test",
        slot_free=lambda run: True,
        refuses=lambda run: None,
        still=STILL,
    )
    assert lease is not None
    grow_epoch(delivery)
    with pytest.raises(runs.LeaseLost):
        if write == "heartbeat":
            lease.beat()
            lease.check()
        elif write == "progress":
            lease.write(RunState.RUNNING, read=1)
        else:
            lease.write(RunState.RUNNING, state=RunState.PUBLISHING)
    run.refresh_from_db()
    assert (run.state, run.read) == (RunState.RUNNING, 0)


def test_another_access_leaves_a_run_alone(delivery: Delivery) -> None:
    before = Connection.objects.get(pk=delivery.connection.pk).epoch
    set_grants(delivery.connection, Access.CONTRIBUTORS, [], [])
    assert Connection.objects.get(pk=delivery.connection.pk).epoch == before
