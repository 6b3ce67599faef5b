"""Settings > Permissions > Groups: who is in them, what is shared with them, and what they refuse."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from connections.models import Connection
from connections_portal import groups
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export
from tests.portal.test_permissions_pages import client, export, hidden, shared, team, text_of, url

__all__ = ["client", "export", "shared", "team"]  # fixtures

pytestmark = pytest.mark.django_db


def test_groups_say_who_is_in_them_and_what_is_shared(
    client: Client, team: Group, shared: Connection
) -> None:
    shown = text_of(client.get(url("groups")))
    assert "Ana Weber" in shown
    assert shared.name in shown
    assert f"?group={team.pk}" in shown
    assert "Administrator</a>" not in shown, "roles are no groups"
    for sort in ("name", "-name", "members", "-members", "shared", "-shared", "x"):
        assert client.get(url("groups"), {"sort": sort}).status_code == 200
    assert "No group has this name" in text_of(client.get(url("groups"), {"q": "zzz"}))


def test_a_group_from_beginning_to_end(
    client: Client, contributor: User, outsider: User, team: Group, export: Export
) -> None:
    found = client.post(url("group_add"), {"action": "search", "name": "Loyalty", "q": "okafor"})
    assert "Ben Okafor" in text_of(found)
    assert 'value="Loyalty"' in text_of(found)
    assert groups.groups().count() == 1
    wrong = client.post(url("group_add"), {"name": "campaign TEAM", "members": [f"person:{outsider.pk}"]})
    assert (wrong.status_code, "already" in text_of(wrong)) == (422, True)
    assert f'value="person:{outsider.pk}" checked' in text_of(wrong)
    unknown = client.post(url("group_add"), {"name": "Loyalty", "members": ["person:999999"]})
    assert (unknown.status_code, "removed meanwhile" in text_of(unknown)) == (422, True)
    assert (
        client.post(url("group_add"), {"name": "Loyalty", "members": [f"person:{outsider.pk}"]}).status_code
        == 303
    )
    assert list(Group.objects.get(name="Loyalty").user_set.all()) == [outsider]

    page = url("group_edit", team.pk)
    form = {
        "mark": hidden(client.get(page), "mark"),
        "name": "Campaigns",
        "members": [f"person:{outsider.pk}"],
    }
    asked = client.post(page, form)
    assert (asked.status_code, "1 export will stop" in text_of(asked)) == (422, True)
    assert client.post(page, form | {"seen": hidden(asked, "seen")}).status_code == 303
    assert client.post(page, form | {"seen": ""}).status_code == 303, "pressed twice"
    assert list(Group.objects.get(name="Campaigns").user_set.all()) == [outsider]

    gone = url("group_remove", team.pk)
    assert "1 connection is shared with it." in text_of(client.get(gone))
    assert client.post(gone, {"seen": ""}).status_code == 303
    assert "removed already" in text_of(client.post(gone, follow=True))
    assert client.get(page).status_code == 404


def test_the_group_somebody_needs_is_asked_about(client: Client, team: Group, export: Export) -> None:
    asked = client.post(url("group_remove", team.pk), {"seen": ""})
    assert (asked.status_code, "1 export will stop" in text_of(asked)) == (422, True)
    assert Group.objects.filter(pk=team.pk).exists()
    done = client.post(url("group_remove", team.pk), {"seen": hidden(asked, "seen")})
    assert done.status_code == 303
    assert not Group.objects.filter(pk=team.pk).exists()


def test_roles_have_no_page_as_groups(client: Client) -> None:
    role = Group.objects.get(name=Role.VIEWER)
    for name in ("group_edit", "group_remove"):
        assert client.get(url(name, role.pk)).status_code == 404
    assert client.get(f"/settings/permissions/groups/{'9' * 40}/").status_code == 404
    assert client.get(f"/settings/permissions/{'9' * 40}/edit/").status_code == 404
