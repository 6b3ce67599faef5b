"""Whatever is done to connections and to what is built on them, in whatever order: access, state and rows agree.

What people can do (share, unshare, detach, add, move, deactivate, activate, remove, restore …) is done at random, and
a model of its own says who may use what. After each step the portal is compared with it: nobody has access that nobody
gave them, every dependent is in one of its states, and nothing is left behind by what is gone.
"""

from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from connections.models import (
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionSecret,
    ConnectionUserObjectPermission,
    RemovedConnection,
    State,
)
from connections_portal.models import ACTIVE_STATES, RunState
from enrichments.models import Enrichment, EnrichmentRun
from exports.models import Export, ExportItem, ExportRun, ExportSchedule, ExportTask, ScheduleKind
from exports.permissions import with_edit_right
from tests.sequences.model import STEPS
from tests.sequences.portal import Portal

pytestmark = [pytest.mark.django_db]


def nobody_has_access_that_nobody_gave(portal: Portal) -> None:
    assert set(Connection.objects.values_list("uuid", flat=True)) == set(portal.model.connections)
    for who in ("ana", "ben"):
        person, usable = portal.person(who), set()
        for direction in ("export", "enrichment"):
            usable |= set(Connection.objects.usable_by(person, direction).values_list("uuid", flat=True))
        assert usable == {uuid for uuid in portal.model.connections if portal.model.may_use(who, uuid)}, who
        editable = with_edit_right(Export.objects.all(), person).values_list("uuid", "can_edit")  # type: ignore[misc]
        assert dict(editable) == {uuid: portal.model.may_edit(who, uuid) for uuid in portal.model.exports}, (
            who
        )


def what_runs_by_itself_has_somebody_who_may(portal: Portal) -> None:
    scheduled = Export.objects.filter(connection__isnull=False).exclude(schedule__kind=ScheduleKind.MANUAL)
    for export in scheduled.select_related("responsible", "connection"):
        assert export.responsible is not None
        assert export.connection is not None
        assert portal.model.may_use(export.responsible.username, export.connection.uuid), export


def every_dependent_has_its_state(portal: Portal) -> None:
    exports = Export.objects.select_related("connection", "schedule")
    found = {export.uuid: export.connection.uuid if export.connection else None for export in exports}
    assert found == portal.model.exports
    for export in exports:
        connected = export.connection
        runs = connected is not None and connected.state != State.PAUSED
        timed = export.schedule.kind != ScheduleKind.MANUAL
        assert (export.schedule.next_at is not None) == (runs and timed), export
        assert connected is None or connected.type_key == export.type_key
    enrichments = Enrichment.objects.select_related("connection")
    states = {e.uuid: (e.connection.uuid if e.connection else None, e.active) for e in enrichments}
    assert states == portal.model.enrichments
    assert not enrichments.filter(active=True, connection=None).exists()


def what_is_under_way_belongs_to_the_connection_as_it_is(portal: Portal) -> None:
    for run in ExportRun.objects.filter(state__in=ACTIVE_STATES).select_related("export__connection"):
        used = run.export.connection
        assert used is not None
        assert (run.connection_uuid, run.connection_epoch) == (used.uuid, used.epoch)
    under_way = EnrichmentRun.objects.filter(state__in=ACTIVE_STATES)
    for found in under_way.select_related("enrichment__connection"):
        assert found.enrichment.active
        read_from = found.enrichment.connection
        assert read_from is not None
        assert (found.connection_uuid, found.connection_epoch) == (read_from.uuid, read_from.epoch)
    assert not ExportTask.objects.filter(run__state=RunState.CANCELED, state="running").exists()


def nothing_is_left_behind(portal: Portal) -> None:
    assert set(RemovedConnection.objects.values_list("uuid", flat=True)) == set(portal.model.removed)
    exports, connections = Export.objects.values("pk"), Connection.objects.values("pk")
    of_exports: list[Any] = [ExportItem, ExportSchedule, ExportRun]
    assert not any(model.objects.exclude(export__in=exports).exists() for model in of_exports)
    assert ExportSchedule.objects.count() == ExportItem.objects.count() == len(portal.model.exports)
    assert not ExportTask.objects.exclude(run__in=ExportRun.objects.values("pk")).exists()
    assert not ConnectionSecret.objects.filter(draft=None).exclude(connection__in=connections).exists()
    for permission in (ConnectionUserObjectPermission, ConnectionGroupObjectPermission):
        assert not permission.objects.exclude(content_object__in=connections).exists()


TRUTHS = (
    nobody_has_access_that_nobody_gave,
    what_runs_by_itself_has_somebody_who_may,
    every_dependent_has_its_state,
    what_is_under_way_belongs_to_the_connection_as_it_is,
    nothing_is_left_behind,
)


@settings(
    max_examples=20,
    deadline=None,
    # the same sequences each time, so that a failure is one of the change at hand
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a sequence is short enough to be read as it is
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_no_sequence_breaks_anything(data: st.DataObject, no_tables: None) -> None:
    with transaction.atomic():
        portal = Portal()
        for _step in range(STEPS):
            portal.step(data)
            for truth in TRUTHS:
                truth(portal)
        transaction.set_rollback(True)


@pytest.fixture
def no_tables(settings: Settings, tmp_path: Path) -> None:
    settings.ENRICHMENTS_DIR = tmp_path / "enrichments"
