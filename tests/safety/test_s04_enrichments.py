"""S4: an import goes on only under the epoch that it began with, and whatever changes that stops it or waits for it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection as database
from django.db.models import F

from connections.models import Access, Connection
from connections.operations.create import current_wording
from connections.operations.edit import Agreement, edit_connection
from connections.operations.move import move_dependents
from connections.operations.pause import pause_connection, withdraw_consent
from connections.operations.remove import Decision, Decisions, impact_of, remove_connection
from connections.operations.stop import stop_everything
from connections.sharing import set_grants
from connections_portal import runs
from connections_portal.errors import FinishingRun
from connections_portal.models import RunState
from connections_portal.ticking import tick
from enrichments import tables
from enrichments.models import EnrichmentRun
from enrichments.operations.edit import edit_enrichment
from enrichments.operations.execute import execute_run
from tests.enrichments.bringing import FILE, Bringing, carry, claimed, lose_worker, shown
from tests.factories import make_connection, make_draft

pytestmark = pytest.mark.both_databases


def elsewhere(run: EnrichmentRun) -> str:
    try:
        return execute_run(run_id=run.pk, worker="elsewhere")
    finally:
        database.close()


def grow_epoch(bringing: Bringing) -> None:
    Connection.objects.filter(pk=bringing.connection.pk).update(epoch=F("epoch") + 1)


def beat(lease: runs.Lease) -> None:
    lease.beat()
    lease.check()


def progress(lease: runs.Lease) -> None:
    lease.write(RunState.RUNNING, read=1)


def publish(lease: runs.Lease) -> None:
    lease.write(RunState.RUNNING, state=RunState.PUBLISHING)


@pytest.mark.parametrize("write", [beat, progress, publish])
def test_every_write_asks_for_the_epoch(bringing: Bringing, write: Callable[[runs.Lease], None]) -> None:
    run = bringing.start(bringing.enrichment())
    lease = claimed(run)
    write(lease)
    EnrichmentRun.objects.filter(pk=run.pk).update(state=RunState.RUNNING, read=0)
    grow_epoch(bringing)
    with pytest.raises(runs.LeaseLost):
        write(lease)
    run.refresh_from_db()
    assert (run.state, run.read) == (RunState.RUNNING, 0)


def test_an_import_under_way_stops_and_shows_nothing(bringing: Bringing) -> None:
    bringing.put(FILE + "".join(f"x{n},1,a\r\n" for n in range(400_000)))
    run = bringing.start(bringing.enrichment())
    bringing.box.faults.hold_reading_after = 1_000_000
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(elsewhere, run)
        try:
            assert bringing.box.holding.wait(20)
            grow_epoch(bringing)
        finally:
            bringing.box.release()
        assert future.result(30) == "lost"
    assert shown("Scores") is None
    lose_worker(run)
    assert tick()["leases"] == 1
    assert carry(run) == "refused"
    assert (run.state, run.code) == (RunState.FAILED, "connection_changed")


def test_another_access_and_another_secret_leave_it_alone(bringing: Bringing) -> None:
    lease = claimed(bringing.start(bringing.enrichment()))
    set_grants(bringing.connection, Access.CONTRIBUTORS, [], [])
    bringing.connection.secrets.update(revision=F("revision") + 1)
    progress(lease)


# ---- what ends it


def pause(bringing: Bringing, connection: Connection) -> None:
    pause_connection(connection=connection, version=connection.version, actor=bringing.admin)


def withdraw(bringing: Bringing, connection: Connection) -> None:
    withdraw_consent(connection=connection, version=connection.version, actor=bringing.admin)


def lead_elsewhere(bringing: Bringing, connection: Connection) -> None:
    settings = {**connection.settings, "hostname": "files.example.org"}
    draft = make_draft(actor=bringing.admin, settings=settings, type_key=connection.type_key)
    draft.connection = connection
    draft.save()
    edit_connection(
        connection=connection,
        version=connection.version,
        draft=draft,
        name=connection.name,
        settings=draft.settings,
        agreement=Agreement(ticked=True, wording_hash=current_wording(draft.type_key, draft.settings).hash),
        actor=bringing.admin,
    )


def remove(bringing: Bringing, connection: Connection) -> None:
    choices = {"enrichments": Decisions(rest=Decision("deactivate"))}
    remove_connection(
        connection=connection, impact=impact_of(connection), choices=choices, actor=bringing.admin
    )


def move(bringing: Bringing, connection: Connection) -> None:
    target = make_connection(actor=bringing.admin, name="Others", type_key=connection.type_key)
    move_dependents(connection=connection, target=target, impact=impact_of(connection), actor=bringing.admin)


def give_another(bringing: Bringing, connection: Connection) -> None:
    enrichment = connection.enrichments.get()
    edit_enrichment(
        enrichment=enrichment,
        version=enrichment.version,
        name=enrichment.name,
        connection=make_connection(actor=bringing.admin, name="Others", type_key=connection.type_key),
        segment="",
        options=enrichment.options,
        actor=bringing.admin,
    )


def full(table: str, name: str) -> None:
    raise OSError(28, "No space left on device")


ENDS = [pause, withdraw, lead_elsewhere, remove, move, give_another]
End = Callable[[Bringing, Connection], None]


@pytest.mark.parametrize("end", ENDS)
def test_what_changes_where_it_reads_from_cancels_it(bringing: Bringing, end: End) -> None:
    run = bringing.start(bringing.enrichment())
    lease = claimed(run)
    end(bringing, Connection.objects.get(pk=bringing.connection.pk))
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    for write in (beat, progress, publish):
        with pytest.raises(runs.LeaseLost):
            write(lease)


@pytest.mark.parametrize("end", ENDS)
def test_while_it_publishes_they_wait(bringing: Bringing, monkeypatch: pytest.MonkeyPatch, end: End) -> None:
    run = bringing.start(bringing.enrichment())
    with monkeypatch.context() as patch:
        patch.setattr(tables, "publish", full)
        assert carry(run) == "publishing later"
    before = Connection.objects.get(pk=bringing.connection.pk)
    with pytest.raises(FinishingRun):
        end(bringing, before)
    after = Connection.objects.get(pk=before.pk)
    assert (after.epoch, after.state, after.settings) == (before.epoch, before.state, before.settings)
    lose_worker(run)
    assert carry(run) == "warnings"
    assert shown("Scores") is not None


def test_stop_everything_leaves_one_that_publishes_to_end(
    bringing: Bringing, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bringing.start(bringing.enrichment())
    waiting = bringing.start(bringing.enrichment(name="Others", table_name="Others"))
    with monkeypatch.context() as patch:
        patch.setattr(tables, "publish", full)
        assert carry(run) == "publishing later"
    told = stop_everything(connection=bringing.connection, actor=bringing.admin)
    assert (told.details["finishing"], told.details["runs"]) == (["Scores"], ["Others"])
    waiting.refresh_from_db()
    assert waiting.state == RunState.CANCELED
    lose_worker(run)
    assert carry(run) == "warnings"
