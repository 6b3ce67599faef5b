"""S15: one function, with a lock, sees to it that somebody administers the portal."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection as database

from connections_portal import roles
from connections_portal.models import User
from connections_portal.roles import LastAdministrator, Role
from tests.fixtures import make_person

pytestmark = pytest.mark.both_databases


@pytest.mark.django_db
def test_the_last_one_cannot_be_given_another_role(admin: User, contributor: User) -> None:
    with pytest.raises(LastAdministrator):
        roles.assign(user=admin, role=Role.VIEWER)
    again = User.objects.get(pk=admin.pk)
    assert roles.role_of(again) is Role.ADMINISTRATOR
    assert not again.is_staff
    roles.assign(user=contributor, role=Role.ADMINISTRATOR)
    roles.assign(user=again, role=Role.VIEWER)
    assert roles.role_of(User.objects.get(pk=admin.pk)) is Role.VIEWER


@pytest.mark.django_db
def test_nor_taken_away_in_any_other_manner(admin: User) -> None:
    with pytest.raises(LastAdministrator), roles.keeping_an_administrator():
        User.objects.filter(pk=admin.pk).update(is_active=False)
    with pytest.raises(LastAdministrator), roles.keeping_an_administrator():
        admin.groups.clear()
    assert list(roles.administrators()) == [admin]


@pytest.mark.django_db
def test_who_has_left_does_not_count_and_a_superuser_does(admin: User) -> None:
    left = make_person("left", Role.ADMINISTRATOR)
    User.objects.filter(pk=left.pk).update(is_active=False)
    with pytest.raises(LastAdministrator):
        roles.assign(user=admin, role=Role.SUPPORT)
    User.objects.create_superuser("root", password="correct horse battery staple")
    roles.assign(user=admin, role=Role.SUPPORT)
    assert [person.username for person in roles.administrators()] == ["root"]


@pytest.mark.django_db
def test_a_portal_that_has_none_yet_can_be_set_up(viewer: User) -> None:
    roles.assign(user=viewer, role=Role.CONTRIBUTOR)
    assert not roles.administrators().exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_take_the_role_from_each_other(admin: User) -> None:
    """Each of them, looking alone, would see the other one left."""
    people = [admin, make_person("otto", Role.ADMINISTRATOR)]
    for _round in range(5):
        together = Barrier(2)

        def demote(person: User, together: Barrier = together) -> str:
            try:
                together.wait(10)
                roles.assign(user=User.objects.get(pk=person.pk), role=Role.VIEWER)
            except LastAdministrator:
                return "refused"
            else:
                return "done"
            finally:
                database.close()

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(demote, people)) == ["done", "refused"]
        assert roles.administrators().count() == 1
        for person in people:
            roles.assign(user=User.objects.get(pk=person.pk), role=Role.ADMINISTRATOR)
