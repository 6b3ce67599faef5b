"""An invented portal of any size for ``pages``: connections, grants, exports with items, schedules and runs."""

import itertools
import random
from collections.abc import Iterator
from datetime import time, timedelta

from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from connections.connectors.sftp import Sftp
from connections.models import (
    Access,
    Connection,
    ConnectionGroupObjectPermission,
    ConnectionUserObjectPermission,
    Consent,
    State,
)
from connections.permissions import USE
from connections_portal import roles
from connections_portal.models import RunState, Trigger, User
from connections_portal.names import name_key
from connections_portal.roles import Role
from exports.models import Export, ExportItem, ExportRun, ExportSchedule, ItemKind, ScheduleKind

RUNS = 5
CONTRIBUTORS = 20
BATCH = 2_000
PLACES = (
    "Harbour",
    "Lindenau",
    "Oosterveen",
    "São Brás",
    "Nowa Dąbrowa",
    "Castle Hill",
    "Řehlovice",
    "Sandvika",
)
USES = ("newsletter", "loyalty", "store opening", "win-back", "survey", "print mailing")
STATES = (State.READY, State.READY, State.READY, State.NEEDS_ATTENTION, State.NOT_VERIFIED, State.PAUSED)
ENDS = (RunState.SUCCESSFUL, RunState.SUCCESSFUL, RunState.WARNINGS, RunState.FAILED, RunState.CANCELED)


def people() -> dict[str, User]:
    """An administrator and a contributor, and more contributors in a group for others to be shared with."""
    team = Group.objects.create(name="Campaign team")
    made = {}
    for number in range(CONTRIBUTORS):
        user = User.objects.create(
            username=f"person{number}", first_name=f"Person {number}", last_name="Weber"
        )
        roles.assign(user=user, role=Role.CONTRIBUTOR)
        user.groups.add(team)
        made["contributor"] = user
    made["contributor"].groups.remove(team)
    made["administrator"] = User.objects.create(username="lena", first_name="Lena", last_name="Hofmann")
    roles.assign(user=made["administrator"], role=Role.ADMINISTRATOR)
    return made


def fill(exports: int, known: dict[str, User]) -> None:
    """Add what is missing up to so many exports and a tenth as many connections.

    The contributor may use half of the connections: those shared with specific people.
    """
    chance = random.Random(exports)
    first = Connection.objects.count()
    _connections(range(first, exports // 10), known, chance)
    _exports(range(Export.objects.count(), exports), known["administrator"], chance)


def _connections(numbers: range, known: dict[str, User], chance: random.Random) -> None:
    now = timezone.now()
    made = []
    for number in numbers:
        name = f"{chance.choice(PLACES)} {chance.choice(USES)} {number:05d}"
        typed = {
            "auth_method": "password",
            "username": "portal",
            "hostname": f"files{number}.example.com",
            "export_folder": f"in/{number}",
        }
        connection = Connection(
            name=name,
            name_key=name_key(name),
            type_key=Sftp.key,
            settings=Sftp.clean(typed),
            target_digest=f"{number:064d}",
            state=STATES[number % len(STATES)],
            verified_at=now,
            verified_by=known["administrator"],
            access=(Access.SPECIFIC, Access.ADMINISTRATORS, Access.SPECIFIC, Access.CONTRIBUTORS)[number % 4],
            created_by=known["administrator"],
            updated_by=known["administrator"],
        )
        made.append(connection)
    consents = [
        Consent(
            action=Consent.Action.GIVEN,
            person_id=known["administrator"].pk,
            person_label="Lena Hofmann",
            connection_uuid=connection.uuid,
            connection_name=connection.name,
            type_key=connection.type_key,
            target_label=Sftp.target_label(connection.settings),
            target_digest=connection.target_digest,
        )
        for connection in made
    ]
    for connection, consent in zip(made, Consent.objects.bulk_create(consents, BATCH), strict=True):
        connection.consent = consent
    _grants(Connection.objects.bulk_create(made, BATCH), known["contributor"], chance)


def _grants(connections: list[Connection], contributor: User, chance: random.Random) -> None:
    use = Permission.objects.get(codename=USE, content_type__app_label="connections")
    others = list(User.objects.filter(groups__name="Campaign team"))
    team = Group.objects.get(name="Campaign team")
    everybody = Group.objects.get(name=Role.CONTRIBUTOR)
    specific = [connection for connection in connections if connection.access == Access.SPECIFIC]
    ConnectionUserObjectPermission.objects.bulk_create(
        (
            ConnectionUserObjectPermission(content_object=connection, permission=use, user=person)
            for connection in specific
            for person in (contributor, *chance.sample(others, 3))
        ),
        BATCH,
    )
    ConnectionGroupObjectPermission.objects.bulk_create(
        (
            ConnectionGroupObjectPermission(content_object=connection, permission=use, group=team)
            for connection in specific
            if connection.pk % 3 == 0
        ),
        BATCH,
    )
    ConnectionGroupObjectPermission.objects.bulk_create(
        (
            ConnectionGroupObjectPermission(content_object=connection, permission=use, group=everybody)
            for connection in connections
            if connection.access == Access.CONTRIBUTORS
        ),
        BATCH,
    )


def _exports(numbers: range, person: User, chance: random.Random) -> None:
    connections = list(Connection.objects.only("pk", "uuid", "name", "type_key"))
    for some in _batches(numbers):
        made = []
        for number in some:
            name = f"{chance.choice(USES).capitalize()} {chance.choice(PLACES)} {number:06d}"
            made.append(
                Export(
                    name=name,
                    name_key=name_key(name),
                    connection=None if number % 20 == 0 else chance.choice(connections),
                    type_key=Sftp.key,
                    folder_name=f"export-{number}",
                    responsible=person,
                    created_by=person,
                    updated_by=person,
                )
            )
        _belongings(Export.objects.bulk_create(made), chance)


def _belongings(exports: list[Export], chance: random.Random) -> None:
    ExportItem.objects.bulk_create(
        ExportItem(export=export, position=position, kind=kind, source=f"{kind}-{position}", fields=["email"])
        for export in exports
        for position, kind in enumerate((ItemKind.SEGMENT, ItemKind.SEGMENT, ItemKind.TABLE))
    )
    ExportSchedule.objects.bulk_create(_schedule(export, chance) for export in exports)
    run = [export for export in exports if export.connection is not None and export.pk % 10]
    ExportRun.objects.bulk_create(_run(export, back, chance) for back in range(RUNS, 0, -1) for export in run)
    ExportRun.objects.bulk_create(_waiting_run(export) for export in run if export.pk % 50 == 1)


def _schedule(export: Export, chance: random.Random) -> ExportSchedule:
    kind = chance.choice(list(ScheduleKind))
    runs = kind != ScheduleKind.MANUAL and export.connection is not None
    return ExportSchedule(
        export=export,
        kind=kind,
        local_time=None if kind == ScheduleKind.MANUAL else time(chance.randrange(24), 30),
        weekdays=[0, 3] if kind == ScheduleKind.WEEK else [],
        days=[1, 31] if kind == ScheduleKind.MONTH else [],
        next_at=timezone.now() + timedelta(minutes=chance.randrange(1, 40_000)) if runs else None,
    )


def _run(export: Export, back: int, chance: random.Random) -> ExportRun:
    began = timezone.now() - timedelta(days=back, minutes=chance.randrange(1_000))
    run = _waiting_run(export)
    run.state = chance.choice(ENDS)
    run.started_at, run.finished_at = began, began + timedelta(minutes=3)
    run.attempt = 1
    run.selected = run.read = chance.randrange(1, 100_000)
    run.rejected = run.read // 1_000 if run.state == RunState.WARNINGS else 0
    run.sent = run.read - run.rejected
    return run


def _waiting_run(export: Export) -> ExportRun:
    assert export.connection is not None
    return ExportRun(
        export=export,
        trigger=Trigger.SCHEDULE,
        not_before=timezone.now(),
        connection_uuid=export.connection.uuid,
        connection_type=export.connection.type_key,
        connection_name=export.connection.name,
        connection_epoch=1,
    )


def _batches(numbers: range) -> Iterator[list[int]]:
    waiting = iter(numbers)
    while some := list(itertools.islice(waiting, BATCH)):
        yield some
