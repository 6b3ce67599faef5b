"""S4: a run goes on only under the epoch of its connection that it began with."""

from collections.abc import Callable

import pytest
from django.db.models import F

from connections.models import Access, Connection
from connections.sharing import set_grants
from connections_portal import runs
from connections_portal.models import RunState
from connections_portal.ticking import tick
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads
from tests.runs.helpers import (
    EVENTS,
    Delivery,
    carried_elsewhere,
    carry,
    claimed,
    folders,
    lose_worker,
    start,
    write_events,
)

pytestmark = pytest.mark.both_databases


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


def beat(lease: runs.Lease) -> None:
    lease.beat()
    lease.check()


def progress(lease: runs.Lease) -> None:
    lease.write(RunState.RUNNING, read=1)


def publish(lease: runs.Lease) -> None:
    lease.write(RunState.RUNNING, state=RunState.PUBLISHING)


@pytest.mark.parametrize("write", [beat, progress, publish])
def test_every_write_of_a_run_asks_for_the_epoch(
    delivery: Delivery, write: Callable[[runs.Lease], None]
) -> None:
    run = start(delivery.export())
    lease = claimed(run)
    grow_epoch(delivery)
    with pytest.raises(runs.LeaseLost):
        write(lease)
    run.refresh_from_db()
    assert (run.state, run.read) == (RunState.RUNNING, 0)


@pytest.mark.parametrize("write", [beat, progress, publish])
def test_under_the_same_epoch_every_write_is_carried_out(
    delivery: Delivery, write: Callable[[runs.Lease], None]
) -> None:
    write(claimed(start(delivery.export())))


def test_another_access_leaves_a_run_alone(delivery: Delivery) -> None:
    before = Connection.objects.get(pk=delivery.connection.pk).epoch
    set_grants(delivery.connection, Access.CONTRIBUTORS, [], [])
    assert Connection.objects.get(pk=delivery.connection.pk).epoch == before


def test_what_is_in_memory_of_a_vault_is_not_used_under_another_epoch(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    export = delivery.export()
    for expected in (1, 1):
        assert carry(start(export)) == "successful"
        assert len(reads(double)) == expected
    grow_epoch(delivery)
    export.refresh_from_db()
    assert carry(start(export)) == "successful"
    assert len(reads(double)) == 2
