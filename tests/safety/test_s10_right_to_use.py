"""S10: the right to use a connection is role and grant together, whatever else a person was given.

Every operation asks for it itself, whatever the pages before it did: see the tables.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from guardian.shortcuts import get_objects_for_user

from connections.models import Access, Connection, State
from connections.permissions import can_use
from connections.sharing import set_grants
from connections_portal import roles
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import AuditEntry, RunState, Trigger, User
from connections_portal.roles import Role
from exports.models import Export, ExportRun, ExportSchedule, ScheduleKind
from exports.operations.connection import attach_connection, detach_connection
from exports.operations.duplicate import duplicate_export
from exports.operations.edit import Timing, create_export, edit_export
from exports.operations.remove import remove_export
from exports.operations.rename import rename_export
from exports.operations.responsible import take_over_export
from exports.operations.run import CannotRun, cancel_run, enqueue_run
from exports.operations.schedule import set_schedule
from tests.factories import make_connection
from tests.fixtures import make_person
from tests.runs.helpers import LOYAL, ORDERS, make_export, start

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


def test_the_right_is_what_guardian_says(admin: User, contributor: User) -> None:
    crew, strangers = (Group.objects.create(name=name) for name in ("Crew", "Strangers"))
    contributor.groups.add(crew)
    other = make_person("other", Role.CONTRIBUTOR)
    for number, (access, people, groups) in enumerate(
        (
            (Access.SPECIFIC, [contributor], []),
            (Access.SPECIFIC, [contributor, other], [crew]),
            (Access.SPECIFIC, [other], []),
            (Access.SPECIFIC, [], [crew, strangers]),
            (Access.SPECIFIC, [], [strangers]),
            (Access.CONTRIBUTORS, [], []),
            (Access.ADMINISTRATORS, [], []),
        )
    ):
        set_grants(make_connection(actor=admin, name=f"Connection {number}"), access, people, groups)
    for person, number in ((contributor, 4), (other, 3)):
        asked = get_objects_for_user(person, "use_connection", Connection, accept_global_perms=False)
        assert list(Connection.objects.usable_by(person)) == list(asked)
        assert len(asked) == number


def test_enrichments_need_no_grant_and_open_nothing_for_exports(
    admin: User, contributor: User, viewer: User, support: User, nobody: User
) -> None:
    importing = make_connection(actor=admin, type_key="sftp_custom_import")
    people = [admin, contributor, viewer, support, nobody]
    for access in (Access.ADMINISTRATORS, Access.SPECIFIC, Access.CONTRIBUTORS):
        set_grants(importing, access, people, [])
        assert [can_use(p, importing, "enrichment") for p in people] == [True, True, False, False, False]
        assert not any(can_use(person, importing) for person in people)


def test_a_grant_for_exports_opens_nothing_for_enrichments(connection: Connection, contributor: User) -> None:
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    assert can_use(contributor, connection)
    assert not can_use(contributor, connection, "enrichment")


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


DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6), zone="Europe/Berlin")
Operation = Callable[[Export, User], object]


def save(export: Export, actor: User, **changes: Any) -> Export:
    values: dict[str, Any] = {
        "version": export.version,
        "name": export.name,
        "connection": export.connection,
        "options": export.options,
        "items": [ORDERS],
        "schedule": Timing(),
    }
    return edit_export(export=export, actor=actor, **values | changes)


def connection_of_another(export: Export) -> Connection:
    """The connection of the detached export's type that nobody was given."""
    return Connection.objects.get(name="Hidden")


OPERATIONS: dict[str, Operation] = {
    "save": save,
    "duplicate": lambda export, actor: duplicate_export(export=export, actor=actor),
    "rename": lambda export, actor: rename_export(
        export=export, version=export.version, name="Taken", actor=actor
    ),
    "schedule": lambda export, actor: set_schedule(export=export, schedule=DAILY, actor=actor),
    "run": lambda export, actor: enqueue_run(export=export, actor=actor, trigger=Trigger.PERSON),
    "run from the command line": lambda export, actor: enqueue_run(
        export=export, actor=actor, trigger=Trigger.COMMAND
    ),
    "cancel": lambda export, actor: cancel_run(run=export.runs.get(), actor=actor),
    "detach": lambda export, actor: detach_connection(export=export, actor=actor),
    "take over": lambda export, actor: take_over_export(export=export, version=export.version, actor=actor),
    "remove": lambda export, actor: remove_export(export=export, actor=actor),
}
# what can still be done to an export that has no connection
DETACHED: dict[str, Operation] = {
    name: OPERATIONS[name] for name in ("save", "rename", "schedule", "remove", "duplicate")
} | {
    "attach": lambda export, actor: attach_connection(
        export=export, connection=connection_of_another(export), actor=actor
    )
}
NEEDS_NO_RUN = {"run", "run from the command line"}


@pytest.fixture(
    params=["contributor without it", "viewer with a grant", "support with a grant", "no role", "gone", "all"]
)
def somebody(
    request: pytest.FixtureRequest, connection: Connection, contributor: User, outsider: User
) -> User:
    """Who may not use the connection, although some were given something that looks like it."""
    person = {
        "contributor without it": lambda: outsider,
        "viewer with a grant": lambda: make_person("vera", Role.VIEWER),
        "support with a grant": lambda: make_person("sol", Role.SUPPORT),
        "no role": lambda: make_person("noel", None),
        "gone": lambda: make_person("gone", Role.CONTRIBUTOR),
        "all": lambda: outsider,
    }[request.param]()
    without = request.param in ("contributor without it", "all")
    set_grants(connection, Access.SPECIFIC, [contributor] if without else [contributor, person], [])
    if request.param == "gone":
        person.is_active = False
        person.save()
    if request.param == "all":
        everywhere(person)
    return User.objects.get(pk=person.pk)


def everything() -> list[list[Any]]:
    """All that an operation could have changed."""
    tables = (Export, ExportSchedule, ExportRun, AuditEntry)
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operation_is_carried_out_without_the_right(
    connection: Connection, contributor: User, somebody: User, operation: str
) -> None:
    export = make_export(connection, actor=contributor)
    if operation not in NEEDS_NO_RUN:
        start(export)
    before = everything()
    with pytest.raises(CannotRun if operation in NEEDS_NO_RUN else NotAllowed):
        OPERATIONS[operation](export, somebody)
    assert everything() == before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_with_the_right_it_is(connection: Connection, admin: User, contributor: User, operation: str) -> None:
    """Else the test before would say nothing."""
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    export = make_export(connection, actor=admin)
    if operation == "take over":
        Export.objects.update(responsible=None)  # nothing is taken from somebody who has the right
    if operation not in NEEDS_NO_RUN:
        start(export)
    before = everything()
    OPERATIONS[operation](export, contributor)
    assert everything() != before


@pytest.mark.parametrize("operation", DETACHED)
def test_without_a_connection_it_needs_the_right_to_one_of_its_type(
    connection: Connection, contributor: User, somebody: User, operation: str
) -> None:
    export = make_export(connection, actor=contributor)
    export = detach_connection(export=export, actor=contributor)
    set_grants(connection, Access.ADMINISTRATORS, [], [])
    make_connection(actor=User.objects.get(username="lena"), name="Hidden")
    before = everything()
    with pytest.raises(NotAllowed):
        DETACHED[operation](export, somebody)
    assert everything() == before


def forbidden(connection: Connection) -> None:
    set_grants(connection, Access.ADMINISTRATORS, [], [])


def not_verified(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(state=State.NOT_VERIFIED)


def needs_attention(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(state=State.NEEDS_ATTENTION)


def paused(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(state=State.PAUSED)


@pytest.mark.parametrize("what", [forbidden, not_verified, needs_attention, paused])
@pytest.mark.parametrize("way", ["create", "duplicate", "move", "attach"])
def test_nothing_is_built_on_a_connection_that_is_not_theirs_or_not_ready(
    connection: Connection,
    admin: User,
    contributor: User,
    way: str,
    what: Callable[[Connection], None],
) -> None:
    """The person may change the export; it is the next connection that they may not choose."""
    other = make_connection(actor=admin, name="Other")
    for one in (connection, other):
        set_grants(one, Access.SPECIFIC, [contributor], [])
    export = make_export(connection, actor=contributor)
    on_other = make_export(other, actor=contributor, name="On the other one")
    loose = detach_connection(
        export=make_export(connection, actor=contributor, name="Loose"), actor=contributor
    )
    what(other)
    before = everything()
    ways: dict[str, Callable[[], object]] = {
        "create": lambda: create_export(
            name="New", connection=other, options={}, items=[LOYAL], schedule=Timing(), actor=contributor
        ),
        "duplicate": lambda: duplicate_export(export=on_other, actor=contributor),
        "move": lambda: save(export, contributor, connection=other),
        "attach": lambda: attach_connection(export=loose, connection=other, actor=contributor),
    }
    with pytest.raises(OperationError) as refused:
        ways[way]()
    # at the field where it is chosen; a duplicate has no form
    assert set(refused.value.fields) == ({"connection"} if way != "duplicate" else set())
    assert everything() == before


@pytest.mark.parametrize("command", ["run", "schedule", "detach", "remove"])
def test_a_command_for_several_leaves_out_what_is_not_theirs(
    connection: Connection,
    admin: User,
    outsider: User,
    client_of: Callable[[User | None], Client],
    command: str,
) -> None:
    mine = make_connection(actor=admin, name="Mine", access=Access.SPECIFIC, people=[outsider])
    theirs = make_export(connection, actor=admin)
    own = make_export(mine, actor=outsider, name="Own")
    before = Export.objects.filter(pk=theirs.pk).values().get()
    sent = {
        "selected": [str(theirs.uuid), str(own.uuid)],
        "confirmed": "1",
        "schedule": "day",
        "time": "06:00",
    }
    client_of(outsider).post(f"/data/exports/bulk/{command}/", sent | {"zone": "Europe/Berlin"})
    assert Export.objects.filter(pk=theirs.pk).values().get() == before
    assert not theirs.runs.exists()
    assert ExportSchedule.objects.get(export=theirs).kind == ScheduleKind.MANUAL
    refusal = AuditEntry.objects.get(outcome=AuditEntry.Outcome.REFUSED)
    assert (refusal.actor_id, refusal.object_uuid) == (outsider.pk, theirs.uuid)
    # and it was done to the other one
    now = Export.objects.filter(pk=own.pk).first()
    assert now is None or now.version > 1 or now.runs.filter(state=RunState.QUEUED).exists()
