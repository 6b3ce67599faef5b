"""Runs that must not start, or not now: rights, consent, pause, one at a time, room."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections import connectors, consent
from connections.models import Connection, State
from connections_portal.models import AuditEntry, RunState, User, WhoActs
from exports.models import Export, ExportRun
from exports.operations.run import CannotRun
from tests.runs.helpers import Delivery, carry, connect, start


def detached(delivery: Delivery) -> None:
    Export.objects.update(connection=None)


def paused(delivery: Delivery) -> None:
    Connection.objects.update(state=State.PAUSED)


def not_verified(delivery: Delivery) -> None:
    Connection.objects.update(state=State.NOT_VERIFIED)


def consent_for_another_target(delivery: Delivery) -> None:
    connector = connectors.get("sftp")
    assert connector is not None
    other = Connection.objects.get(pk=delivery.connection.pk)
    other.target_digest = "0" * 64
    given = consent.give(
        connection=other, person=delivery.admin, shown=consent.wording(connector, "elsewhere")
    )
    Connection.objects.update(consent=given)


def consent_gone(delivery: Delivery) -> None:
    Connection.objects.update(consent=None, state=State.PAUSED)


def type_gone(delivery: Delivery) -> None:
    Connection.objects.update(type_key="retired")


def target_changed(delivery: Delivery) -> None:
    Connection.objects.update(epoch=2)


@pytest.mark.parametrize(
    ("change", "code", "who"),
    [
        (detached, "no_connection", WhoActs.EDITOR),
        (paused, "paused", WhoActs.ADMINISTRATOR),
        (not_verified, "not_verified", WhoActs.ADMINISTRATOR),
        (consent_for_another_target, "no_consent", WhoActs.ADMINISTRATOR),
        (consent_gone, "paused", WhoActs.ADMINISTRATOR),
        (type_gone, "unknown_type", WhoActs.ADMINISTRATOR),
        (target_changed, "connection_changed", WhoActs.EDITOR),
    ],
)
def test_a_queued_run_fails_before_any_secret_is_read(
    delivery: Delivery, change: Callable[[Delivery], None], code: str, who: WhoActs
) -> None:
    run = start(delivery.export())
    change(delivery)
    assert carry(run) == "refused"
    assert (run.state, run.code, run.who_acts, run.attempt) == (RunState.FAILED, code, who, 0)
    assert run.cause
    assert run.remedy
    assert not AuditEntry.objects.filter(action="secret.used").exists()
    assert delivery.box.seen.requests == []
    ended = AuditEntry.objects.get(action="export.run_finished")
    assert (ended.details["state"], ended.details["code"]) == ("failed", code)


def test_a_refusal_that_cannot_be_recorded_does_not_happen(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed run and its entry in the audit are one transaction."""
    run = start(delivery.export())
    paused(delivery)

    def busy(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr("connections_portal.audit.record", busy)
        with pytest.raises(OperationalError):
            carry(run)
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.QUEUED, "")
    assert carry(run) == "refused"
    assert AuditEntry.objects.filter(action="export.run_finished").count() == 1


def test_a_run_of_another_connection_does_not_start(delivery: Delivery, admin: User) -> None:
    """The number that grows with changes may be the same by chance."""
    run = start(delivery.export())
    other = connect(delivery.server, actor=admin, name="Other")
    Export.objects.update(connection=other)
    assert other.epoch == run.connection_epoch
    assert carry(run) == "refused"
    assert run.code == "connection_changed"


def test_a_second_run_of_the_same_export_is_refused(delivery: Delivery) -> None:
    export = delivery.export()
    run = start(export)
    with pytest.raises(CannotRun, match="under way already"):
        start(export)
    assert ExportRun.objects.get() == run
    assert DBTaskResult.objects.count() == 1
    carry(run)
    start(export)


def test_an_export_without_connection_does_not_start(delivery: Delivery) -> None:
    export = delivery.export()
    Export.objects.update(connection=None)
    with pytest.raises(CannotRun, match="connection"):
        start(export)
    assert not ExportRun.objects.exists()


def test_a_run_waits_for_its_time(delivery: Delivery) -> None:
    run = start(delivery.export())
    ExportRun.objects.update(not_before=timezone.now() + dt.timedelta(minutes=1))
    assert carry(run) == "not due"
    assert run.state == RunState.QUEUED


def test_no_more_runs_at_once_than_the_connection_allows(delivery: Delivery) -> None:
    Connection.objects.update(max_parallel=1)
    first = start(delivery.export(name="First"))
    second = start(delivery.export(name="Second"))
    third = start(delivery.export(name="Third"))
    # somebody else carries the first one
    ExportRun.objects.filter(pk=first.pk).update(
        state=RunState.RUNNING,
        attempt=1,
        lease_token=first.uuid,
        lease_until=timezone.now() + dt.timedelta(minutes=1),
    )
    assert carry(second) == "busy"
    assert (second.state, second.attempt) == (RunState.QUEUED, 0)
    # its worker is lost: that one is no reason to wait
    ExportRun.objects.filter(pk=first.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    DBTaskResult.objects.all().delete()
    assert carry(second) == "successful"
    # a slot is free again: the next one in line is woken
    assert [message.args_kwargs["args"] for message in DBTaskResult.objects.all()] == [[third.pk]]


def test_a_run_that_waits_for_its_next_attempt_makes_room(delivery: Delivery) -> None:
    Connection.objects.update(max_parallel=1)
    first = start(delivery.export(name="First"))
    second = start(delivery.export(name="Second"))
    delivery.box.faults.store_only = 1
    DBTaskResult.objects.all().delete()
    assert carry(first) == "retry"
    due = [message.args_kwargs["args"] for message in DBTaskResult.objects.all().ready()]
    assert due == [[second.pk]]


def test_without_room_on_the_disk_nothing_is_claimed(delivery: Delivery, settings: Settings) -> None:
    run = start(delivery.export())
    settings.MIN_FREE_BYTES = 2**62
    assert carry(run) == "no space"
    assert (run.state, run.attempt, run.cause) == (RunState.QUEUED, 0, "")
    settings.MIN_FREE_BYTES = 0
    assert carry(run) == "successful"
