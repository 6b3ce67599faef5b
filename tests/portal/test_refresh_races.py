"""The system refresh and the same moment: other machines, somebody who begins one by hand, somebody who saves."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection as database
from django.db import transaction

from connections_portal import refresh
from connections_portal.models import Refresh, Trigger, User
from exports.models import ExportRun
from exports.operations.edit import lock, lock_connection
from tests.exports.test_schedules import utc
from tests.factories import make_connection
from tests.portal.test_refresh import SYSTEM, set_daily
from tests.runs.helpers import Delivery, make_export


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_two_machines_begin_one(admin: User) -> None:
    set_daily(admin, "06:00", now=utc(2026, 1, 1))

    def machine() -> int:
        try:
            return refresh.tick(now=utc(2026, 1, 1, 6))["refreshes"]
        finally:
            database.close()

    with ThreadPoolExecutor(2) as pool:
        begun = [future.result(30) for future in [pool.submit(machine), pool.submit(machine)]]
    assert sorted(begun) == [0, 1]
    assert Refresh.objects.count() == 1


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_due_while_somebody_begins_one_by_hand(admin: User) -> None:
    set_daily(admin, "06:00", now=utc(2026, 1, 1))

    def machine() -> int:
        try:
            return refresh.tick(now=utc(2026, 1, 1, 6))["refreshes"]
        finally:
            database.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            refresh.start(actor=admin, trigger=Trigger.PERSON, now=utc(2026, 1, 1, 6))
            ticking = pool.submit(machine)
            with pytest.raises(TimeoutError):
                ticking.result(1)  # it waits for the one that is not there yet
        assert ticking.result(30) == 0
    assert Refresh.objects.count() == 1
    assert refresh.stored().next_at == utc(2026, 1, 2, 6), "only moved on"


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_somebody_saves_an_export_with_another_connection_at_that_moment(
    delivery: Delivery, admin: User
) -> None:
    """Whoever saves has the new connection and then needs the export; a refresh needs both kinds, too."""
    moving = delivery.export(name="Moving", schedule=SYSTEM)
    other = make_connection(actor=admin, name="Other")
    make_export(other, actor=admin, name="On the other", schedule=SYSTEM)
    begun = refresh.start(actor=admin, trigger=Trigger.PERSON)

    def machine() -> int:
        try:
            return refresh.tick(now=begun.stage_at)["refresh_stages"]
        finally:
            database.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            lock_connection(other)
            ticking = pool.submit(machine)
            with pytest.raises(TimeoutError):
                ticking.result(1)  # it waits for the connection
            lock(moving)
        assert ticking.result(30) == 1
    assert ExportRun.objects.count() == 2
