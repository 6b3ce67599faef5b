"""*Take over* is for what nobody answers for; the question before access is withdrawn says what will be."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection, State
from connections.sharing import set_grants
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from exports.models import Export, ScheduleKind
from exports.operations.edit import Timing
from exports.operations.responsible import take_over_export
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
Make = Callable[..., Export]
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


def url(name: str, thing: Export | Connection) -> str:
    return reverse(name, args=[thing.uuid])


def take_over(client: Client, export: Export) -> str:
    """The page after pressing the button of the page that shows the first version."""
    answer = client.post(url("exports:take_over", export), {"version": "1"}, follow=True)
    return answer.content.decode()


def withdraw(client: Client, connection: Connection, **more: Any) -> Any:
    sent = {"version": connection.version, "access": "administrators"} | more
    return client.post(url("connections:share", connection), sent)


def token(answer: Any) -> str:
    found = re.search(r'name="impact" value="([0-9a-f]{64})"', answer.content.decode())
    assert found
    return found[1]


# ---- taking over


def test_nothing_is_taken_from_somebody_with_the_right(
    export: Export, admin: User, contributor: User, client_of: Clients
) -> None:
    page = take_over(client_of(admin), export)
    assert "Ana Weber is responsible for this export and may use its connection." in page
    with pytest.raises(OperationError, match="Ana Weber is responsible"):
        take_over_export(export=export, version=1, actor=admin)
    export.refresh_from_db()
    assert (export.responsible, export.version) == (contributor, 1)
    assert not AuditEntry.objects.filter(action="export.taken_over").exists()


@pytest.mark.parametrize(
    ("schedule", "state", "goes_on"),
    [
        (DAILY, State.READY, True),
        (Timing(), State.READY, False),
        (DAILY, State.PAUSED, False),
    ],
    ids=["daily", "by hand", "paused"],
)
def test_a_schedule_goes_on_where_there_is_one(
    connection: Connection,
    make_export: Make,
    admin: User,
    client_of: Clients,
    schedule: Timing,
    state: State,
    goes_on: bool,
) -> None:
    export = make_export(schedule=schedule)
    connection.user_grants.all().delete()
    if state == State.PAUSED:
        client_of(admin).post(url("connections:pause", connection), {"version": connection.version})
    page = take_over(client_of(admin), export)
    assert "You are responsible for Loyalty mailing now." in page
    assert ("Its schedule goes on." in page) is goes_on


def test_pressed_twice_it_is_taken_over_once(
    connection: Connection, export: Export, admin: User, client_of: Clients
) -> None:
    connection.user_grants.all().delete()
    client = client_of(admin)
    take_over(client, export)
    page = take_over(client, export)
    assert "You are responsible for this export already." in page
    assert 'class="message-bar bad"' not in page
    assert AuditEntry.objects.filter(action="export.taken_over").count() == 1


# ---- withdrawing access


def test_what_runs_by_hand_only_does_not_keep_running(
    connection: Connection, export: Export, admin: User, client_of: Clients
) -> None:
    client = client_of(admin)
    answer = withdraw(client, connection)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "1 export stays and runs by hand only. Ana Weber can no longer change it." in page
    assert "keeps running" not in page
    # no schedule, no choice about it; somebody has to answer for it in any case
    assert 'name="afterwards"' not in page
    assert "From now on this is your responsibility." in page
    assert withdraw(client, connection, impact=token(answer), afterwards="off").status_code == 303
    export.refresh_from_db()
    assert export.responsible == admin


def test_both_kinds_are_counted_apart(
    connection: Connection, make_export: Make, admin: User, client_of: Clients
) -> None:
    for name in ("First", "Second"):
        make_export(name, schedule=DAILY)
    make_export("Third")
    page = withdraw(client_of(admin), connection).content.decode()
    assert "2 exports keep running. 1 export stays and runs by hand only." in page
    assert "Ana Weber can no longer change them." in page
    assert 'name="afterwards"' in page


def test_a_choice_changed_after_the_question_is_asked_about_anew(
    connection: Connection, make_export: Make, contributor: User, admin: User, client_of: Clients
) -> None:
    ben = make_person("ben2", Role.CONTRIBUTOR, first_name="Ben", last_name="Okafor")
    set_grants(connection, Access.SPECIFIC, [contributor, ben], [])
    export = make_export(schedule=DAILY)
    client = client_of(admin)
    first = withdraw(client, connection, access="specific", grantees=[f"person:{ben.pk}"])
    assert "Ana Weber can no longer change it." in first.content.decode()
    second = withdraw(client, connection, impact=token(first))
    page = second.content.decode()
    assert second.status_code == 422
    assert "Ana Weber and Ben Okafor can no longer change it." in page
    assert "This has changed since you looked." not in page
    # what somebody else changed is still told
    Export.objects.filter(pk=export.pk).update(version=7)
    third = withdraw(client, connection, impact=token(second))
    assert third.status_code == 409
    assert "This has changed since you looked." in third.content.decode()
    assert withdraw(client, connection, impact=token(third)).status_code == 303
