"""S11: manual runs need the actor's right, scheduled runs and retries that of the responsible person."""

from collections.abc import Callable

import pytest

from connections.models import Access, Connection
from connections.sharing import set_grants
from connections_portal import roles
from connections_portal.models import AuditEntry, RunState, Trigger, User, WhoActs
from connections_portal.roles import Role
from exports.models import Export, ExportRun
from exports.operations.run import CannotRun
from tests.runs.helpers import Delivery, carry, carry_again, start, tree

pytestmark = pytest.mark.both_databases


@pytest.fixture
def export(delivery: Delivery, contributor: User) -> Export:
    """An export that a contributor is responsible for, on a connection shared with them."""
    set_grants(delivery.connection, Access.SPECIFIC, [contributor], [])
    return delivery.export(actor=contributor)


def grant_taken(person: User, connection: Connection) -> None:
    set_grants(connection, Access.ADMINISTRATORS, [], [])


def role_lost(person: User, connection: Connection) -> None:
    roles.assign(user=person, role=Role.VIEWER)


def person_left(person: User, connection: Connection) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)


def person_deleted(person: User, connection: Connection) -> None:
    person.delete()


LOSSES = [grant_taken, role_lost, person_left, person_deleted]
Loss = Callable[[User, Connection], None]


def assert_refused(run: ExportRun, delivery: Delivery, *, secrets_read: int) -> None:
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, "no_right", WhoActs.ADMINISTRATOR)
    assert AuditEntry.objects.filter(action="secret.used").count() == secrets_read
    assert len(delivery.box.seen.requests) == secrets_read


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("trigger", [Trigger.PERSON, Trigger.SCHEDULE])
def test_a_right_lost_before_the_run_starts(
    delivery: Delivery, export: Export, contributor: User, loss: Loss, trigger: Trigger
) -> None:
    run = start(export, actor=contributor, trigger=trigger)
    loss(contributor, delivery.connection)
    assert carry(run) == "refused"
    assert_refused(run, delivery, secrets_read=0)
    assert tree(delivery.server.files) == {}


def test_a_right_lost_before_the_retry(delivery: Delivery, export: Export, contributor: User) -> None:
    run = start(export, actor=contributor)
    delivery.box.faults.store_only = 1
    assert carry(run) == "retry"
    grant_taken(contributor, delivery.connection)
    assert carry_again(run) == "refused"
    assert_refused(run, delivery, secrets_read=1)


def test_the_retry_of_a_run_by_hand_needs_the_responsible_persons_right(
    delivery: Delivery, export: Export, contributor: User
) -> None:
    """Whoever pressed the button is not asked again: the first attempt was theirs, the rest is the export's."""
    run = start(export, actor=delivery.admin)
    delivery.box.faults.store_only = 1
    assert carry(run) == "retry"
    grant_taken(contributor, delivery.connection)
    assert carry_again(run) == "refused"
    assert_refused(run, delivery, secrets_read=1)


def test_a_run_by_hand_needs_the_actors_right_and_not_the_owners(
    delivery: Delivery, export: Export, contributor: User, outsider: User
) -> None:
    with pytest.raises(CannotRun):
        start(export, actor=outsider)
    assert not ExportRun.objects.exists()
    # the person responsible has lost theirs; an administrator may still run it, the schedule may not
    grant_taken(contributor, delivery.connection)
    assert carry(start(export, actor=delivery.admin)) == "successful"
    scheduled = start(export, actor=contributor, trigger=Trigger.SCHEDULE)
    assert carry(scheduled) == "refused"


def test_a_scheduled_run_needs_no_actor(delivery: Delivery, export: Export) -> None:
    assert carry(start(export, trigger=Trigger.SCHEDULE)) == "successful"
