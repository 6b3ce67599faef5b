"""Who answers for an export: shown, lost, taken over; what withdrawing access keeps and turns off."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection
from connections.operations.share import AccessWithdrawn, share_connection
from connections_portal import roles
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import AuditEntry, RunState, Trigger, User, WhoActs
from connections_portal.roles import Role
from exports.models import Export, ExportRun, ScheduleKind
from exports.operations.edit import Timing
from exports.operations.execute import execute_run
from exports.operations.refusals import of_run
from exports.operations.responsible import take_over_export
from exports.operations.run import enqueue_run
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


@pytest.fixture
def colleague(connection: Connection, contributor: User, admin: User) -> User:
    """Another contributor who may use the connection."""
    colleague = make_person("maja", Role.CONTRIBUTOR, first_name="Maja", last_name="Lind")
    shared(connection, [contributor, colleague], admin)
    return colleague


def shared(connection: Connection, people: list[User], actor: User, **more: Any) -> Connection:
    connection.refresh_from_db()
    access = Access.SPECIFIC if people else Access.ADMINISTRATORS
    return share_connection(
        connection=connection, version=connection.version, access=access, people=people, actor=actor, **more
    ).connection


def asked(connection: Connection, people: list[User], actor: User, **more: Any) -> AccessWithdrawn:
    with pytest.raises(AccessWithdrawn) as asks:
        shared(connection, people, actor, **more)
    return asks.value


def share_url(connection: Connection) -> str:
    return reverse("connections:share", args=[connection.uuid])


def form(connection: Connection, *people: User, **more: Any) -> dict[str, Any]:
    connection.refresh_from_db()
    return {
        "action": "save",
        "version": connection.version,
        "access": "specific" if people else "administrators",
        "grantees": [f"person:{person.pk}" for person in people],
    } | more


def token(page: str) -> str:
    found = re.search(r'name="impact" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


# ---- withdrawing access


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_the_first_answer_says_what_it_means_and_changes_nothing(
    connection: Connection,
    make_export: Callable[..., Export],
    admin: User,
    contributor: User,
    colleague: User,
    client_of: Clients,
    script: bool,
) -> None:
    make_export("First", schedule=DAILY)
    make_export("Second", actor=colleague, schedule=DAILY)
    client = client_of(admin)
    headers = {"HX-Request": "true"} if script else {}
    answer = client.post(share_url(connection), form(connection), headers=headers)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "2 exports keep running. Ana Weber and Maja Lind can no longer change them." in page
    assert "First" in page
    assert "Second" in page
    assert re.search(r'name="afterwards" value="keep"[^>]* checked', page)
    connection.refresh_from_db()
    assert (connection.access, connection.version) == (Access.SPECIFIC, 2)
    assert connection.user_grants.count() == 2
    second = form(connection, impact=token(page), afterwards="keep")
    assert client.post(share_url(connection), second).status_code == 303
    connection.refresh_from_db()
    assert (connection.access, connection.version, connection.epoch) == (Access.ADMINISTRATORS, 3, 1)
    for export in Export.objects.select_related("schedule"):
        assert (export.responsible, export.version) == (admin, 2)
        assert export.schedule.next_at is not None
    entry = AuditEntry.objects.filter(action="connection.shared").first()
    assert entry
    assert entry.details["lost"] == ["Ana Weber", "Maja Lind"]
    assert len(entry.details["kept_running"]) == 2


def test_only_what_loses_its_responsible_person_is_settled(
    connection: Connection,
    make_export: Callable[..., Export],
    admin: User,
    contributor: User,
    colleague: User,
) -> None:
    mine = make_export("Mine", schedule=DAILY)
    theirs = make_export("Theirs", actor=colleague, schedule=DAILY)
    refused = asked(connection, [colleague], admin)
    assert [w.sentences for w in refused.impact.withdrawals] == [
        ["2 exports keep running.", "Ana Weber can no longer change them."]
    ]
    assert [left.name for w in refused.impact.withdrawals for left in w.left] == ["Mine"]
    shared(connection, [colleague], admin, impact=refused.impact.token)
    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.responsible, theirs.responsible) == (admin, colleague)
    assert (mine.version, theirs.version) == (2, 1)


def test_schedules_turned_off(
    connection: Connection,
    make_export: Callable[..., Export],
    admin: User,
    contributor: User,
    colleague: User,
    client_of: Clients,
) -> None:
    mine = make_export("Mine", schedule=DAILY)
    by_hand = make_export("By hand")
    theirs = make_export("Theirs", actor=colleague, schedule=DAILY)
    client = client_of(admin)
    page = client.post(share_url(connection), form(connection, colleague)).content.decode()
    assert "Their responsible person loses the right: By hand, Mine" in page
    sent = form(connection, colleague, impact=token(page), afterwards="off")
    assert client.post(share_url(connection), sent).status_code == 303
    mine, by_hand, theirs = (Export.objects.get(pk=e.pk) for e in (mine, by_hand, theirs))
    assert (mine.schedule.kind, mine.schedule.next_at, mine.responsible) == ("manual", None, contributor)
    assert mine.schedule.local_time == dt.time(6, 0)
    assert (theirs.schedule.kind, theirs.responsible) == ("day", colleague)
    assert theirs.schedule.next_at is not None
    assert [export.version for export in (mine, by_hand, theirs)] == [2, 1, 1]
    entry = AuditEntry.objects.filter(action="connection.shared").first()
    assert entry
    assert entry.details["schedules_off"] == [str(mine.uuid)]


def test_nothing_in_use_needs_one_answer_only(
    connection: Connection, admin: User, contributor: User, outsider: User
) -> None:
    shared(connection, [], admin)
    shared(connection, [contributor], admin)
    assert connection.user_grants.count() == 1


def test_whoever_keeps_the_right_in_another_way_loses_nothing(
    connection: Connection, export: Export, admin: User, contributor: User
) -> None:
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(contributor)
    connection.refresh_from_db()
    share_connection(connection=connection, version=1, access=Access.SPECIFIC, groups=[team], actor=admin)
    assert AuditEntry.objects.get(action="connection.shared").details["lost"] == []
    export.refresh_from_db()
    assert export.responsible == contributor


def test_an_impact_that_is_another_one_now(
    connection: Connection,
    make_export: Callable[..., Export],
    admin: User,
    contributor: User,
    colleague: User,
    client_of: Clients,
) -> None:
    make_export("First", schedule=DAILY)
    client = client_of(admin)
    page = client.post(share_url(connection), form(connection)).content.decode()
    assert "1 export keeps running. Ana Weber and Maja Lind can no longer change it." in page
    make_export("Second", actor=colleague, schedule=DAILY)
    sent = form(connection, impact=token(page), afterwards="off")
    answer = client.post(share_url(connection), sent)
    fresh = answer.content.decode()
    assert answer.status_code == 409
    assert "2 exports keep running." in fresh
    assert token(fresh) != token(page)
    assert re.search(r'name="afterwards" value="off"[^>]* checked', fresh)
    assert re.search(r'name="access" value="administrators"[^>]* checked', fresh)
    connection.refresh_from_db()
    assert connection.access == Access.SPECIFIC
    # the token of other people is not the token of these: it is asked about them, and nothing has changed meanwhile
    other = client.post(share_url(connection), form(connection, colleague, impact=token(fresh)))
    assert other.status_code == 422
    assert "This has changed since you looked." not in other.content.decode()
    assert "Ana Weber can no longer change them." in other.content.decode()
    assert client.post(share_url(connection), sent | {"impact": token(fresh)}).status_code == 303
    assert not connection.user_grants.exists()


@pytest.mark.parametrize("impact", ["x", "\x00", "0" * 64, "9" * 5_000])
def test_an_impact_that_is_none(
    connection: Connection, export: Export, admin: User, client_of: Clients, impact: str
) -> None:
    answer = client_of(admin).post(share_url(connection), form(connection, impact=impact))
    assert answer.status_code == 422
    assert connection.user_grants.count() == 1


def test_runs_under_way_are_not_touched(
    connection: Connection, export: Export, make_run: Callable[..., ExportRun], admin: User
) -> None:
    run = make_run(export, RunState.RUNNING)
    shared(connection, [], admin, impact=asked(connection, [], admin).impact.token)
    token_before = run.lease_token
    run.refresh_from_db()
    assert (run.state, run.lease_token) == (RunState.RUNNING, token_before)


def test_many_people_are_named_in_short_and_in_full(
    connection: Connection, export: Export, admin: User, client_of: Clients
) -> None:
    people = [make_person(f"p{n}", Role.CONTRIBUTOR) for n in range(6)]
    shared(connection, people, admin, impact=asked(connection, people, admin).impact.token)
    page = client_of(admin).post(share_url(connection), form(connection)).content.decode()
    assert "p0, p1, p2 and 3 more can no longer change it." in page
    assert "p0, p1, p2, p3, p4, p5" in page


# ---- taking over


def lose(how: str, person: User, connection: Connection, admin: User) -> None:
    match how:
        case "grant":
            connection.user_grants.filter(user=person).delete()
        case "role":
            roles.assign(user=person, role=Role.VIEWER)
        case "left":
            User.objects.filter(pk=person.pk).update(is_active=False)
        case "deleted":
            person.delete()


LOSSES = ("grant", "role", "left", "deleted")
LOST = "The person responsible for the export may not use its connection any more."
LEFT = "The person responsible for the export has left."
SAYS = {
    "grant": "Ana Weber is responsible for this export and may not use its connection any more.",
    "role": "Ana Weber is responsible for this export and may not use its connection any more.",
    "left": "Ana Weber is responsible for this export and has left.",
    "deleted": "The person responsible for this export has left.",
}


@pytest.mark.parametrize("how", LOSSES)
def test_lost_and_taken_over(
    connection: Connection,
    export: Export,
    admin: User,
    contributor: User,
    colleague: User,
    outsider: User,
    viewer: User,
    client_of: Clients,
    how: str,
) -> None:
    page = reverse("exports:detail", args=[export.uuid])
    address = reverse("exports:take_over", args=[export.uuid])
    before = client_of(colleague).get(page).content.decode()
    assert "Ana Weber" in before
    assert "Last saved it" in before
    assert address not in before
    lose(how, contributor, connection, admin)
    run = enqueue_run(export=export, actor=None, trigger=Trigger.SCHEDULE)
    assert execute_run(run_id=run.pk, worker="test") == "refused"
    run.refresh_from_db()
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, "no_right", WhoActs.ADMINISTRATOR)
    assert run.cause == (LEFT if how in ("left", "deleted") else LOST)
    run_page = reverse("exports:run", args=[export.uuid, run.uuid])
    for person, offered in ((colleague, True), (admin, True), (outsider, False), (viewer, False)):
        for place in (page, run_page):
            seen = client_of(person).get(place).content.decode()
            assert SAYS[how] in seen
            assert (address in seen) is offered, (person, place)
    for person in (outsider, viewer):
        assert client_of(person).post(address, {"version": 1}).status_code == 403
    export.refresh_from_db()
    assert (export.responsible_id, export.version) == (None if how == "deleted" else contributor.pk, 1)
    assert client_of(colleague).post(address, {"version": 1}).status_code == 303
    export.refresh_from_db()
    assert (export.responsible, export.updated_by, export.version) == (colleague, colleague, 2)
    entry = AuditEntry.objects.get(action="export.taken_over")
    assert (entry.actor_id, entry.object_uuid) == (colleague.pk, export.uuid)
    assert entry.details == {"before": "" if how == "deleted" else "Ana Weber"}
    after = client_of(colleague).get(page).content.decode()
    assert "Maja Lind" in after
    assert address not in after
    assert address not in client_of(admin).get(run_page).content.decode()
    # and the schedule goes on by the new person's right
    again = enqueue_run(export=export, actor=None, trigger=Trigger.SCHEDULE)
    assert of_run(ExportRun.objects.get(pk=again.pk)) is None


def test_a_stale_page_takes_nothing_over(export: Export, admin: User, client_of: Clients) -> None:
    for version in ("", "7", "²", "-1"):
        address = reverse("exports:take_over", args=[export.uuid])
        answer = client_of(admin).post(address, {"version": version}, follow=True)
        assert "Ana Weber saved this export at" in answer.content.decode()
    with pytest.raises(Stale):
        take_over_export(export=export, version=2, actor=admin)
    assert Export.objects.get().responsible != admin


def test_the_operation_asks_for_the_right_itself(
    export: Export, contributor: User, outsider: User, viewer: User
) -> None:
    for person in (outsider, viewer):
        with pytest.raises(NotAllowed):
            take_over_export(export=export, version=1, actor=person)
    with pytest.raises(OperationError, match="responsible for this export already"):
        take_over_export(export=export, version=1, actor=contributor)
    Export.objects.update(connection=None)
    with pytest.raises(OperationError, match="waits for a connection"):
        take_over_export(export=export, version=1, actor=contributor)
    assert not AuditEntry.objects.filter(action="export.taken_over").exists()


def test_a_detached_export_speaks_of_its_connection_and_not_of_a_right(
    export: Export, admin: User, contributor: User, client_of: Clients
) -> None:
    Export.objects.update(connection=None)
    contributor.delete()
    page = client_of(admin).get(reverse("exports:detail", args=[export.uuid])).content.decode()
    assert "has left" not in page
    assert "Nobody" in page
