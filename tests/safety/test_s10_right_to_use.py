"""S10: the right to use a connection is role and grant together, whatever else a person was given."""

import pytest
from django.contrib.auth.models import Group, Permission

from connections.models import Access, Connection
from connections.permissions import can_use
from connections.sharing import set_grants
from connections_portal import roles
from connections_portal.errors import OperationError
from connections_portal.models import Trigger, User
from connections_portal.roles import Role
from exports.models import Export
from exports.operations.run import CannotRun, enqueue_run
from tests.factories import make_connection
from tests.fixtures import make_person
from tests.runs.helpers import make_export

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(actor=admin)


def everywhere(user: User) -> None:
    """The right for all connections at once, as the stock admin could give it."""
    user.user_permissions.add(Permission.objects.get(codename="use_connection"))


def test_role_and_grant(
    connection: Connection, admin: User, contributor: User, viewer: User, support: User, nobody: User
) -> None:
    people = [admin, contributor, viewer, support, nobody]
    assert [can_use(person, connection) for person in people] == [True, False, False, False, False]
    set_grants(connection, Access.SPECIFIC, people, [])
    assert [can_use(person, connection) for person in people] == [True, True, False, False, False]


def test_a_grant_is_for_one_connection(connection: Connection, admin: User, contributor: User) -> None:
    other = make_connection(actor=admin, name="Other")
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    assert list(Connection.objects.usable_by(contributor)) == [connection]
    assert not can_use(contributor, other)


def test_a_right_for_everything_is_no_grant(connection: Connection, contributor: User) -> None:
    everywhere(contributor)
    person = User.objects.get(pk=contributor.pk)
    assert person.has_perm("connections.use_connection")
    assert not can_use(person, connection)


def test_a_group_shares_with_its_contributors_only(
    connection: Connection, contributor: User, viewer: User
) -> None:
    group = Group.objects.create(name="Marketing")
    group.user_set.add(contributor, viewer)
    set_grants(connection, Access.SPECIFIC, [], [group])
    assert can_use(contributor, connection)
    assert not can_use(viewer, connection)
    group.user_set.remove(contributor)
    assert not can_use(User.objects.get(pk=contributor.pk), connection)


def test_a_former_contributors_grant_lies_idle(connection: Connection, contributor: User) -> None:
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    roles.assign(user=contributor, role=Role.VIEWER)
    assert not can_use(contributor, connection)
    roles.assign(user=contributor, role=Role.CONTRIBUTOR)
    assert can_use(contributor, connection)


def test_who_left_uses_nothing(connection: Connection, admin: User) -> None:
    gone = make_person("gone", Role.ADMINISTRATOR)
    assert can_use(gone, connection)
    gone.is_active = False
    gone.save()
    assert not can_use(gone, connection)


def test_saving_and_running_ask_for_it(connection: Connection, admin: User, outsider: User) -> None:
    with pytest.raises(OperationError) as refused:
        make_export(connection, actor=outsider)
    assert "connection" in refused.value.fields
    assert not Export.objects.exists()
    export = make_export(connection, actor=admin)
    for trigger in (Trigger.PERSON, Trigger.COMMAND):
        with pytest.raises(CannotRun):
            enqueue_run(export=export, actor=outsider, trigger=trigger)
        with pytest.raises(CannotRun):
            enqueue_run(export=export, actor=None, trigger=trigger)
    assert not export.runs.exists()
