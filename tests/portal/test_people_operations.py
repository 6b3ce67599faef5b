"""Who may be added, changed, kept out and removed, and what becomes of what they answered for."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client
from django.urls import reverse

from connections.models import Access, Connection
from connections.permissions import can_use
from connections_portal import answering, groups, people, roles
from connections_portal.answering import Stops
from connections_portal.errors import NotAllowed, OperationError, Stale
from connections_portal.models import AuditEntry, User
from connections_portal.roles import LastAdministrator, Role
from exports.models import Export, ScheduleKind
from exports.operations.edit import Timing
from tests.factories import make_connection
from tests.fixtures import make_person
from tests.runs.helpers import make_export

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
GOOD = "wool carrot tractor 9"
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


def add(username: str = "tomas", **more: Any) -> User:
    values: dict[str, Any] = {"role": Role.VIEWER, "password": GOOD, "actor": None}
    return people.add_person(username=username, **values | more)


# ---- names


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("username", "", "cannot be blank"),
        ("username", "a b", "valid username"),
        ("username", "to\u200bmas", "valid username"),
        ("username", "<script>", "valid username"),
        ("username", "x" * 151, "at most 150"),
        ("username", "TOMAS", "is there already"),
        ("username", " tomas ", "is there already"),
        ("first_name", "A\u202ena", "cannot be seen"),
        ("last_name", "zero\u200bwidth", "cannot be seen"),
        ("first_name", "x" * 101, "101 characters"),
        ("email", "nowhere", "valid email"),
        ("email", "a\nb@example.com", "valid email"),
        ("email", "x" * 250 + "@example.com", "at most 254"),
        ("password", "short", "at least 10"),
        ("password", "tomas.ribeiro", "too similar"),
    ],
)
def test_what_cannot_be(field: str, typed: str, says: str) -> None:
    add("tomas")
    values = {"username": "tomas.ribeiro", "last_name": "Ribeiro"} | {field: typed}
    with pytest.raises(OperationError) as refused:
        add(**values)
    assert says in refused.value.fields[field].replace("\xa0", " ")
    assert list(refused.value.fields) == [field]
    assert User.objects.count() == 1
    assert AuditEntry.objects.filter(action="person.added").count() == 1


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(OperationError) as refused:
        add("a b", first_name="A\u202ena", email="nowhere", password="1234567890123")
    assert set(refused.value.fields) == {"username", "first_name", "email", "password"}


def test_a_user_name_in_another_case_is_the_same_in_any_language() -> None:
    add("ümit")
    with pytest.raises(OperationError, match="is there already"):
        add("ÜMIT")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "Enter a name"),
        ("Administrator", "is a role"),
        ("contributor", "is a role"),
        (" Viewer ", "is a role"),
        ("campaign TEAM", "already"),
        ("zero\u200bwidth", "cannot be seen"),
        ("line\nbreak", "cannot be seen"),
        ("x" * 101, "101 characters"),
    ],
)
def test_groups_that_cannot_be(name: str, says: str) -> None:
    present = groups.add_group(name="Campaign team", actor=None)
    other = groups.add_group(name="Loyalty", actor=None)
    for operation in (
        lambda: groups.add_group(name=name, actor=None),
        lambda: groups.change_group(group=other, name=name, members=[], actor=None),
    ):
        with pytest.raises(OperationError, match=says) as refused:
            operation()
        assert "name" in refused.value.fields
    assert set(groups.groups()) == {present, other}
    assert Group.objects.get(pk=other.pk).name == "Loyalty"


def test_a_role_is_no_group_of_anybodys_choosing(admin: User, viewer: User) -> None:
    role = Group.objects.get(name=Role.ADMINISTRATOR)
    with pytest.raises(OperationError, match="is a role"):
        people.change_person(person=viewer, groups=[role], actor=admin)
    with pytest.raises(OperationError, match="is a role"):
        add("otto", groups=[role])
    for operation in (
        lambda: groups.change_group(group=role, name="Chiefs", members=[], actor=admin),
        lambda: groups.remove_group(group=role, actor=admin),
    ):
        with pytest.raises(Stale):
            operation()
    assert list(roles.administrators()) == [admin]


# ---- who may


@pytest.mark.parametrize("who", ["contributor", "viewer", "support", "nobody"])
def test_only_administrators(who: str, admin: User, request: pytest.FixtureRequest) -> None:
    actor, team = request.getfixturevalue(who), Group.objects.create(name="Team")
    for operation in (
        lambda: add("otto", role=Role.ADMINISTRATOR, actor=actor),
        lambda: people.change_person(person=actor, role=Role.ADMINISTRATOR, actor=actor),
        lambda: people.set_password(person=admin, password=GOOD, actor=actor),
        lambda: people.deactivate_person(person=admin, actor=actor),
        lambda: people.activate_person(person=admin, actor=actor),
        lambda: people.remove_person(person=admin, actor=actor),
        lambda: groups.add_group(name="Mine", members=[actor], actor=actor),
        lambda: groups.change_group(group=team, name="Mine", members=[actor], actor=actor),
        lambda: groups.remove_group(group=team, actor=actor),
    ):
        with pytest.raises(NotAllowed):
            operation()
    assert not AuditEntry.objects.exists()


def test_a_role_that_was_taken_away_counts_no_more(admin: User) -> None:
    otto = make_person("otto", Role.ADMINISTRATOR)
    known = User.objects.get(pk=otto.pk)
    assert roles.is_administrator(known)
    people.change_person(person=otto, role=Role.VIEWER, actor=admin)
    with pytest.raises(NotAllowed):
        people.remove_person(person=admin, actor=known)


def test_a_superuser_is_changed_by_superusers_and_on_the_command_line(admin: User) -> None:
    root = User.objects.create_superuser("root", password=GOOD)
    for operation in (
        lambda actor: people.change_person(person=root, first_name="Rita", actor=actor),
        lambda actor: people.set_password(person=root, password="another good one 7", actor=actor),
        lambda actor: people.deactivate_person(person=root, actor=actor),
        lambda actor: people.remove_person(person=root, actor=actor),
    ):
        with pytest.raises(NotAllowed):
            operation(admin)
    people.change_person(person=root, first_name="Rita", actor=root)
    with pytest.raises(OperationError, match="whatever their role"):
        people.change_person(person=root, role=Role.VIEWER, actor=root)
    people.remove_person(person=root, actor=None)
    assert not User.objects.filter(username="root").exists()


# ---- the last administrator (S15)


def test_the_last_one_stays_whatever_they_press(admin: User, viewer: User) -> None:
    for operation in (
        lambda: people.remove_person(person=admin, actor=admin),
        lambda: people.deactivate_person(person=admin, actor=admin),
        lambda: people.change_person(person=admin, role=Role.CONTRIBUTOR, actor=admin),
        lambda: people.remove_person(person=admin, actor=None),
    ):
        with pytest.raises(LastAdministrator):
            operation()
    assert roles.role_of(User.objects.get(pk=admin.pk)) is Role.ADMINISTRATOR
    people.change_person(person=viewer, role=Role.ADMINISTRATOR, actor=admin)
    people.remove_person(person=admin, actor=admin)
    assert list(roles.administrators()) == [viewer]
    entry = AuditEntry.objects.get(action="person.removed")
    assert (entry.actor_label, entry.object_label) == ("Lena Hofmann", "Lena Hofmann")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("operation", [people.remove_person, people.deactivate_person])
def test_two_who_keep_each_other_out_at_the_same_moment(
    operation: Callable[..., None], admin: User, viewer: User
) -> None:
    """A third administrator stays, so it is the right of the second that is missing, not the last one's guard."""
    make_person("third", Role.ADMINISTRATOR)
    for number in range(3):
        pair = [make_person(f"{name}{number}", Role.ADMINISTRATOR) for name in ("one", "two")]
        together = Barrier(2)

        def act(both: list[User], together: Barrier = together) -> str:
            try:
                together.wait(10)
                operation(person=both[1], actor=both[0])
            except NotAllowed:
                return "refused"
            else:
                return "done"
            finally:
                database.close()

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(act, [pair, pair[::-1]])) == ["done", "refused"]
        assert roles.administrators().filter(pk__in=[p.pk for p in pair]).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_last_two_cannot_remove_each_other(admin: User) -> None:
    pair = [admin, make_person("otto", Role.ADMINISTRATOR)]
    together = Barrier(2)

    def act(both: list[User]) -> str:
        try:
            together.wait(10)
            people.remove_person(person=both[1], actor=both[0])
        except OperationError:
            return "refused"
        else:
            return "done"
        finally:
            database.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(act, [pair, pair[::-1]])) == ["done", "refused"]
    assert roles.administrators().count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_user_name_for_two_at_the_same_moment(admin: User) -> None:
    together = Barrier(2)

    def act(username: str) -> str:
        try:
            together.wait(10)
            add(username, actor=admin)
        except OperationError:
            return "refused"
        else:
            return "done"
        finally:
            database.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(act, ["tomas", "Tomas"])) == ["done", "refused"]


# ---- at once


def test_whoever_is_kept_out_is_out_at_once(admin: User, contributor: User, client_of: Clients) -> None:
    client, page = client_of(contributor), reverse("exports:list")
    others = client_of(admin)
    assert client.get(page).status_code == 200
    people.deactivate_person(person=contributor, actor=admin)
    assert client.get(page).status_code == 302
    people.activate_person(person=contributor, actor=admin)
    assert client.get(page).status_code == 302, "a session that was ended does not come back"
    assert others.get(page).status_code == 200, "nobody else is signed out"
    again = client_of(contributor)
    people.change_person(person=contributor, role=Role.SUPPORT, actor=admin)
    assert again.get(page).status_code == 403, "a role counts with the next request"
    people.remove_person(person=contributor, actor=admin)
    assert again.get(page).status_code == 302
    assert Session.objects.count() == 1


def test_nothing_changed_is_nothing_recorded(admin: User, contributor: User) -> None:
    people.change_person(person=contributor, first_name="Ana", role=Role.CONTRIBUTOR, groups=[], actor=admin)
    people.activate_person(person=contributor, actor=admin)
    team = groups.add_group(name="Team", members=[contributor], actor=admin)
    groups.change_group(group=team, name="Team", members=[contributor], actor=admin)
    assert {entry.action for entry in AuditEntry.objects.all()} == {"group.added"}


def test_a_page_that_shows_another_person_is_stale(admin: User, contributor: User) -> None:
    mark = people.mark_of(contributor)
    people.change_person(person=contributor, last_name="Weber-Lind", mark=mark, actor=admin)
    with pytest.raises(Stale):
        people.change_person(person=contributor, role=Role.VIEWER, mark=mark, actor=admin)
    team = groups.add_group(name="Team", actor=admin)
    shown = groups.mark_of(team)
    groups.change_group(group=team, name="Team", members=[contributor], mark=shown, actor=admin)
    with pytest.raises(Stale):
        groups.change_group(group=team, name="Teams", members=[], mark=shown, actor=admin)


# ---- what they answered for


@pytest.fixture
def team(admin: User, contributor: User) -> Group:
    return groups.add_group(name="Campaign team", members=[contributor], actor=admin)


@pytest.fixture
def shared(admin: User, team: Group) -> Connection:
    return make_connection(actor=admin, access=Access.SPECIFIC, groups=[team])


@pytest.fixture
def export(shared: Connection, contributor: User, customer_data: Any) -> Export:
    return make_export(shared, actor=contributor, schedule=DAILY)


def ways(contributor: User, team: Group, admin: User) -> list[Callable[[str | None], object]]:
    return [
        lambda seen: people.change_person(person=contributor, role=Role.VIEWER, seen=seen, actor=admin),
        lambda seen: people.change_person(person=contributor, groups=[], seen=seen, actor=admin),
        lambda seen: people.deactivate_person(person=contributor, seen=seen, actor=admin),
        lambda seen: groups.change_group(
            group=team, name="Campaign team", members=[], seen=seen, actor=admin
        ),
        lambda seen: groups.remove_group(group=team, seen=seen, actor=admin),
        lambda seen: people.remove_person(person=contributor, seen=seen, actor=admin),
    ]


@pytest.mark.parametrize("way", range(6))
def test_what_would_stop_is_told_first(
    way: int, export: Export, shared: Connection, contributor: User, team: Group, admin: User
) -> None:
    act = ways(contributor, team, admin)[way]
    before = AuditEntry.objects.count()
    with pytest.raises(Stops) as refused:
        act("")
    assert refused.value.status == 422
    assert [kind.sentence for kind in refused.value.stopping] == [
        "1 export will stop running by schedule until somebody else with the right takes over."
    ]
    assert can_use(User.objects.get(pk=contributor.pk), shared), "nothing was saved"
    assert AuditEntry.objects.count() == before
    second = make_export(shared, actor=contributor, name="Made meanwhile")  # to be run by hand
    with pytest.raises(Stops) as again:
        act(refused.value.token)
    assert again.value.status == 409
    assert {item.name for item in again.value.stopping[0].items} == {export.name, second.name}
    assert again.value.stopping[0].sentence.endswith(
        "1 export can still be run by hand by others with the right."
    )
    act(again.value.token)
    assert answering.running([contributor.pk]) == []
    assert AuditEntry.objects.count() > before


def test_what_goes_on_by_another_way_is_not_told(
    export: Export, shared: Connection, contributor: User, team: Group, admin: User
) -> None:
    other = groups.add_group(name="Loyalty", members=[contributor], actor=admin)
    shared.group_grants.create(permission=shared.group_grants.get().permission, group=other)
    groups.remove_group(group=team, seen="", actor=admin)
    assert can_use(User.objects.get(pk=contributor.pk), shared)


def test_what_has_stopped_already_is_not_told_again(
    export: Export, contributor: User, team: Group, admin: User
) -> None:
    people.change_person(person=contributor, role=Role.VIEWER, actor=admin)
    people.deactivate_person(person=contributor, seen="", actor=admin)


def test_removing_keeps_the_names_in_history(
    export: Export, shared: Connection, contributor: User, admin: User
) -> None:
    number, made = contributor.pk, AuditEntry.objects.get(action="export.created")
    people.remove_person(person=contributor, actor=admin)
    again = AuditEntry.objects.get(pk=made.pk)
    assert (again.actor_id, again.actor_label) == (number, "Ana Weber")
    fresh = Export.objects.get(pk=export.pk)
    assert fresh.responsible is None
    assert fresh.connection == shared
    assert not shared.user_grants.exists()
    newcomer = add("ana", role=Role.CONTRIBUTOR)
    assert newcomer.pk != number, "whoever gets the user name is somebody else"
    assert not can_use(newcomer, shared)
