"""Settings > Permissions as administrators see it: the list, the panes and dialogs, and what they refuse."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections.models import Access, Connection
from connections_portal import groups, people, roles
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from exports.models import Export
from tests.factories import make_connection
from tests.fixtures import make_person
from tests.portal.test_people_operations import DAILY, GOOD
from tests.runs.helpers import make_export

pytestmark = pytest.mark.django_db

Clients = Callable[[User | None], Client]
HTMX = {"HX-Request": "true", "HX-Current-URL": "https://testserver/settings/permissions/"}
PEOPLE = "permissions:people"


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.fixture
def team(admin: User, contributor: User) -> Group:
    return groups.add_group(name="Campaign team", members=[contributor], actor=admin)


@pytest.fixture
def shared(admin: User, team: Group) -> Connection:
    return make_connection(actor=admin, access=Access.SPECIFIC, groups=[team])


@pytest.fixture
def export(shared: Connection, contributor: User, customer_data: Any) -> Export:
    return make_export(shared, actor=contributor, schedule=DAILY)


def text_of(answer: Any) -> str:
    return html.unescape(" ".join(answer.content.decode().split()))


def names(client: Client, **asked: str) -> list[str]:
    shown = text_of(client.get(reverse(PEOPLE), asked))
    return re.findall(r'class="name clip-2"[^>]* title="([^"]*)"', shown)


def hidden(answer: Any, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', answer.content.decode())
    assert found, name
    return found[1]


def url(name: str, *args: int) -> str:
    return reverse(f"permissions:{name}", args=args)


# ---- the list


def test_search_filter_and_every_order(
    client: Client, contributor: User, outsider: User, viewer: User, support: User, nobody: User, team: Group
) -> None:
    User.objects.filter(pk=outsider.pk).update(is_active=False, last_login=timezone.now())
    User.objects.create_superuser("root", password=GOOD)
    everybody = ["Ana Weber", "Ben Okafor", "Lena Hofmann", "nora", "root", "Sami Support", "Tomas Ribeiro"]
    assert names(client) == everybody
    assert names(client, sort="-name") == everybody[::-1]
    assert names(client, sort="username")[:2] == ["Ana Weber", "Ben Okafor"]
    assert names(client, sort="role")[:3] == ["Lena Hofmann", "root", "Ana Weber"]
    assert names(client, sort="-role")[0] == "nora"
    assert names(client, sort="groups")[0] == names(client, sort="-groups")[0] == "Ana Weber"
    assert names(client, sort="-signed_in")[:2] == ["Ben Okafor", "Lena Hofmann"]
    assert names(client, sort="signed_in")[:2] == ["Lena Hofmann", "Ben Okafor"], (
        "never stands last either way"
    )
    assert names(client, sort="-status")[0] == "Ben Okafor"
    assert names(client, sort="nonsense") == everybody
    assert names(client, q="WEB ana") == ["Ana Weber"]
    assert names(client, q="tomas") == ["Tomas Ribeiro"]
    assert names(client, role="Administrator") == ["Lena Hofmann", "root"]
    assert names(client, role="none") == ["nora"]
    assert names(client, status="inactive") == ["Ben Okafor"]
    assert names(client, group=str(team.pk)) == ["Ana Weber"]
    assert names(client, group="999999") == names(client, group="x") == everybody
    assert "Nobody matches your search" in text_of(client.get(reverse(PEOPLE), {"q": "zzz"}))


def test_superusers_and_support_are_shown_as_what_they_are(
    client: Client, support: User, contributor: User
) -> None:
    root = User.objects.create_superuser("root", password=GOOD)
    rows = text_of(client.get(reverse(PEOPLE))).split("<tr>")
    of = {
        key: next(row for row in rows if f"/{key.pk}/access/" in row) for key in (root, support, contributor)
    }
    assert "Superuser" in of[root]
    assert 'data-command="edit"' not in of[root]
    assert 'data-command="remove"' not in of[root]
    assert ">Support<" in of[support]
    assert 'data-command="remove"' in of[support]
    assert "Superuser" not in of[contributor]
    for name in ("edit", "remove", "deactivate"):
        answer = client.post(url(name, root.pk), {"seen": "", "role": "Viewer"})
        assert "changed by superusers" in text_of(answer), name
    assert client.post(url("password", root.pk), {"how": "make"}).status_code == 403
    assert User.objects.get(pk=root.pk).check_password(GOOD)


def test_pages_and_the_table_alone(client: Client, admin: User) -> None:
    for number in range(30):
        make_person(f"person{number:02}", Role.VIEWER)
    first = text_of(client.get(reverse(PEOPLE)))
    assert "1–25 of 31" in first
    second = client.get(reverse(PEOPLE), {"page": "2"}, headers={"HX-Request": "true"})
    assert "26–31 of 31" in text_of(second)
    assert "<html" not in second.content.decode()


# ---- adding


def typed(**more: Any) -> dict[str, Any]:
    return {"username": "tomas", "first_name": "Tomas", "role": "Contributor", "how": "make"} | more


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_a_password_that_is_made_is_shown_once(client: Client, team: Group, headers: dict[str, str]) -> None:
    answer = client.post(url("add"), typed(groups=[team.pk]), headers=headers)
    assert answer.status_code == 200
    found = re.search(r"<code>([a-z2-9-]{23})</code>", answer.content.decode())
    assert found
    person = User.objects.get(username="tomas")
    assert person.check_password(found[1])
    assert person.must_change_password
    assert list(groups.groups().filter(user=person)) == [team]
    assert ("HX-Trigger" in answer) == bool(headers)
    for page in (
        reverse(PEOPLE),
        url("edit", person.pk),
        url("password", person.pk),
        url("access", person.pk),
    ):
        assert found[1] not in client.get(page).content.decode()
    assert found[1] not in str(AuditEntry.objects.values_list("details", flat=True))
    again = client.post(url("add"), typed(), headers=headers)
    assert (again.status_code, "is there already" in text_of(again)) == (422, True)


def test_a_password_that_is_typed_is_never_shown(client: Client) -> None:
    wrong = client.post(url("add"), typed(how="type", password="short", email="nowhere"))
    assert wrong.status_code == 422
    shown = text_of(wrong)
    assert "at least 10 characters" in shown
    assert "valid email" in shown
    assert 'value="Tomas"' in shown
    assert 'value="nowhere"' in shown
    assert "short" not in re.sub("too short", "", shown)
    right = client.post(url("add"), typed(how="type", password=GOOD))
    assert (right.status_code, right["Location"]) == (303, reverse(PEOPLE))
    assert User.objects.get(username="tomas").check_password(GOOD)
    assert GOOD not in text_of(client.get(right["Location"]))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"username": ""}, "This field is required"),
        ({"username": "a b"}, "valid username"),
        ({"username": "LENA"}, "is there already"),
        ({"first_name": "A\u202ena"}, "cannot be seen"),
        ({"role": ""}, "Choose a role"),
        ({"role": "Chief"}, "valid choice"),
        ({"groups": ["999999"]}, "was removed meanwhile"),
        ({"groups": ["x"]}, "Choose groups from the list"),
        ({"how": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(client: Client, wrong: dict[str, Any], says: str) -> None:
    answer = client.post(url("add"), typed() | wrong)
    assert answer.status_code == 422
    assert says in text_of(answer)
    assert User.objects.count() == 1


def test_all_that_is_wrong_is_said_at_once(client: Client) -> None:
    answer = client.post(
        url("add"), {"username": "a b", "email": "nowhere", "how": "type", "password": "short"}
    )
    shown = text_of(answer)
    for says in ("valid username", "valid email", "Choose a role", "at least 10 characters"):
        assert says in shown, says


def test_a_role_is_no_group_to_tick(client: Client) -> None:
    role = Group.objects.get(name=Role.ADMINISTRATOR)
    answer = client.post(url("add"), typed(role="Viewer", groups=[role.pk]))
    assert answer.status_code == 422
    assert f'value="{role.pk}"' not in client.get(url("add")).content.decode().split("id_groups")[-1]
    assert User.objects.count() == 1


# ---- editing


def edited(answer: Any, **more: Any) -> dict[str, Any]:
    base = {"mark": hidden(answer, "mark"), "first_name": "Ana", "last_name": "Weber", "email": ""}
    return base | {"role": "Contributor"} | more


def test_what_would_stop_is_shown_before_it_is_saved(
    client: Client, contributor: User, team: Group, export: Export
) -> None:
    page = url("edit", contributor.pk)
    form = edited(client.get(page), role="Viewer", groups=[team.pk])
    asked = client.post(page, form)
    assert asked.status_code == 422
    shown = text_of(asked)
    assert "1 export will stop running by schedule until somebody else with the right takes over." in shown
    assert reverse("exports:detail", args=[export.uuid]) in shown
    assert "Save anyway" in shown
    assert roles.role_of(User.objects.get(pk=contributor.pk)) is Role.CONTRIBUTOR
    saved = client.post(page, form | {"seen": hidden(asked, "seen")})
    assert saved.status_code == 303
    assert roles.role_of(User.objects.get(pk=contributor.pk)) is Role.VIEWER


def test_two_who_edit_one_person(client: Client, contributor: User, admin: User) -> None:
    page = url("edit", contributor.pk)
    form = edited(client.get(page), first_name="Anna")
    people.change_person(person=contributor, last_name="Weber-Lind", actor=admin)
    stale = client.post(page, form)
    assert stale.status_code == 409
    assert "Weber-Lind" in text_of(stale)
    assert 'value="Anna"' in text_of(stale)
    assert client.post(page, form | {"mark": hidden(stale, "mark")}).status_code == 303
    assert str(User.objects.get(pk=contributor.pk)) == "Anna Weber"


def test_pressed_twice_acts_once(client: Client, contributor: User) -> None:
    page = url("edit", contributor.pk)
    form = edited(client.get(page), first_name="Anna")
    assert [client.post(page, form).status_code for _time in range(2)] == [303, 303]
    assert AuditEntry.objects.filter(action="person.changed").count() == 1


def test_whoever_gives_their_role_away_goes_home(client: Client, admin: User) -> None:
    page = url("edit", admin.pk)
    form = {"mark": hidden(client.get(page), "mark"), "first_name": "Lena", "last_name": "Hofmann"}
    last = client.post(page, form | {"role": "Viewer"})
    assert (last.status_code, "Nobody would be an administrator" in text_of(last)) == (422, True)
    make_person("otto", Role.ADMINISTRATOR)
    gone = client.post(page, form | {"role": "Viewer"})
    assert (gone.status_code, gone["Location"]) == (303, "/")
    assert client.get(reverse(PEOPLE)).status_code == 403


def test_a_new_password_for_somebody_and_for_oneself(client: Client, admin: User, contributor: User) -> None:
    answer = client.post(url("password", contributor.pk), {"how": "type", "password": GOOD})
    assert answer.status_code == 303
    assert User.objects.get(pk=contributor.pk).must_change_password
    own = client.post(url("password", admin.pk), {"how": "type", "password": GOOD})
    assert (own.status_code, own["Location"]) == (303, reverse("password_change"))
    assert not User.objects.get(pk=admin.pk).check_password(GOOD)


# ---- keeping out and removing


@pytest.mark.parametrize("name", ["deactivate", "remove"])
def test_the_dialog_tells_what_stops(client: Client, name: str, contributor: User, export: Export) -> None:
    page = url(name, contributor.pk)
    asked = client.get(page)
    assert "1 export will stop running by schedule until somebody else with the right takes over." in text_of(
        asked
    )
    unseen = client.post(page, {"seen": ""})
    assert unseen.status_code == 422
    assert User.objects.get(pk=contributor.pk).is_active
    done = client.post(page, {"seen": hidden(asked, "seen")}, headers=HTMX)
    assert done.status_code in (200, 204)
    assert "listChanged" in done["HX-Trigger"]
    assert not User.objects.filter(pk=contributor.pk, is_active=True).exists()
    if name == "remove":
        again = client.post(page, {"seen": ""}, follow=True)
        assert "removed already" in text_of(again)
    else:
        assert client.post(url("activate", contributor.pk)).status_code == 303
        assert User.objects.get(pk=contributor.pk).is_active


@pytest.mark.parametrize("name", ["deactivate", "remove"])
def test_the_last_administrator_and_oneself(client: Client, name: str, admin: User) -> None:
    page = url(name, admin.pk)
    assert "This is you." in text_of(client.get(page))
    last = client.post(page, {"seen": ""})
    assert (last.status_code, "Nobody would be an administrator" in text_of(last)) == (422, True)
    assert client.get(reverse(PEOPLE)).status_code == 200
    make_person("otto", Role.ADMINISTRATOR)
    gone = client.post(page, {"seen": ""})
    assert (gone.status_code, gone["Location"]) == (303, reverse("sign_in"))
    assert client.get(reverse(PEOPLE)).status_code == 302


def test_several_at_once(
    client: Client, admin: User, contributor: User, viewer: User, export: Export
) -> None:
    root = User.objects.create_superuser("root", password=GOOD)
    ticked = {"selected": [str(p.pk) for p in (admin, contributor, viewer, root)] + ["x", "9" * 40]}
    page = url("bulk_remove")
    asked = client.post(page, ticked)
    shown = text_of(asked)
    assert "Remove people (2)" in shown
    assert "1 export will stop" in shown
    assert "This is you." in shown
    assert "on the command line only" in shown
    assert User.objects.count() == 4
    unseen = client.post(page, ticked | {"confirmed": "1", "seen": "x"})
    assert unseen.status_code == 409
    assert User.objects.count() == 4
    client.post(page, ticked | {"confirmed": "1", "seen": hidden(asked, "seen")})
    assert set(User.objects.all()) == {admin, root}
    assert AuditEntry.objects.filter(action="person.removed").count() == 2
    assert client.post(page, {}).status_code == 422


def test_several_administrators_leave_one(client: Client, admin: User) -> None:
    others = [make_person(name, Role.ADMINISTRATOR) for name in ("otto", "olga")]
    ticked = {"selected": [str(person.pk) for person in others], "confirmed": "1", "seen": ""}
    assert client.post(url("bulk_deactivate"), ticked).status_code == 303
    assert list(roles.administrators()) == [admin]
