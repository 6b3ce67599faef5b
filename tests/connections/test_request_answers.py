"""The answers to requests for access: what administrators may share, what they say, and what happens meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from connections.models import Access, AccessRequest, Connection, State
from connections.operations.pause import pause_connection
from connections.operations.requests import decline_request, grant_access, request_access
from connections.permissions import can_use
from connections.sharing import set_grants
from connections_portal import roles
from connections_portal.errors import NotAllowed, OperationError
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from tests.connections.asking import ALL, HTMX, LIST, REASON, audited, decline_url, grant_url, text
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]


@pytest.fixture
def connection(admin: User) -> Connection:
    return make_connection(actor=admin)


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_granting_shares_the_connection(
    admin: User,
    outsider: User,
    client_of: Clients,
    asked: AccessRequest,
    connection: Connection,
    script: bool,
) -> None:
    client = client_of(admin)
    page = text(client.get(ALL))
    assert "Ben Okafor" in page
    assert REASON in page
    assert 'Requests <span class="count">1</span>' in page
    dialog = text(client.get(grant_url(asked), headers=HTMX))
    assert "Newsletter, SFTP EU, sftp://files.example.com" in dialog
    headers = HTMX | {"HX-Current-URL": f"http://testserver{ALL}"} if script else {}
    form = {"connection": str(connection.uuid), "answer": "Please use the\r\nfolder autumn."}
    answer = client.post(grant_url(asked), form, headers=headers)
    if script:
        assert "listChanged" in answer["HX-Trigger"]
    else:
        assert (answer.status_code, answer["Location"]) == (303, ALL)
    assert can_use(outsider, connection)
    connection.refresh_from_db()
    assert (connection.access, connection.updated_by) == (Access.SPECIFIC, admin)
    now = AccessRequest.objects.get()
    assert (now.state, now.connection_uuid, now.answered_by_label) == (
        "granted",
        connection.uuid,
        "Lena Hofmann",
    )
    assert audited("connection.shared").details["gained"] == ["Ben Okafor"]
    assert audited("access.granted").details["connection"] == connection.name
    page = text(client_of(outsider).get(LIST))
    assert "Lena Hofmann shared Newsletter, SFTP EU" in page
    assert "Please use the<br>folder autumn." in page
    assert "No open requests" in text(client.get(ALL))


def test_who_can_use_it_already_keeps_that(
    admin: User,
    contributor: User,
    outsider: User,
    client_of: Clients,
    asked: AccessRequest,
    connection: Connection,
) -> None:
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(make_person("maja", Role.CONTRIBUTOR))
    idle = make_person("left", Role.CONTRIBUTOR)
    set_grants(connection, Access.SPECIFIC, [contributor, idle], [team])
    Connection.objects.update(access=Access.SPECIFIC)
    roles.assign(user=idle, role=Role.VIEWER)
    assert client_of(admin).post(grant_url(asked), {"connection": str(connection.uuid)}).status_code == 303
    assert {grant.user for grant in connection.user_grants.all()} == {contributor, idle, outsider}
    assert [grant.group for grant in connection.group_grants.all()] == [team]
    assert audited("connection.shared").details["lost"] == []


def test_what_they_can_use_already_is_not_shared_again(
    admin: User, client_of: Clients, asked: AccessRequest, connection: Connection
) -> None:
    set_grants(connection, Access.CONTRIBUTORS, [], [])
    Connection.objects.update(access=Access.CONTRIBUTORS)
    client = client_of(admin)
    assert "they can use it already" in text(client.get(grant_url(asked)))
    assert client.post(grant_url(asked), {"connection": str(connection.uuid)}).status_code == 303
    assert Connection.objects.get().version == 1
    assert Connection.objects.get().access == Access.CONTRIBUTORS
    assert not AuditEntry.objects.filter(action="connection.shared").exists()
    assert AccessRequest.objects.get().state == "granted"


def test_only_ready_ones_of_the_type_can_be_shared(
    admin: User, outsider: User, client_of: Clients, asked: AccessRequest, connection: Connection
) -> None:
    other = make_connection(actor=admin, name="Of a type that is gone")
    Connection.objects.filter(pk=other.pk).update(type_key="fax")
    paused = make_connection(actor=admin, name="Paused")
    pause_connection(connection=paused, version=paused.version, actor=admin)
    broken = make_connection(actor=admin, name="Broken")
    Connection.objects.filter(pk=broken.pk).update(state=State.NEEDS_ATTENTION)
    client = client_of(admin)
    page = text(client.get(grant_url(asked)))
    for unfit in (other, paused, broken):
        assert unfit.name not in page
        answer = client.post(grant_url(asked), {"connection": str(unfit.uuid), "answer": "kept"})
        assert answer.status_code == 422
        assert "Choose a connection from the list." in text(answer)
        assert "kept" in text(answer)
        assert not can_use(outsider, unfit)
    assert AccessRequest.objects.get().state == "open"


def test_what_is_not_offered_cannot_be_shared_in_another_way(
    admin: User, outsider: User, asked: AccessRequest, connection: Connection
) -> None:
    """It was ready while the page was made."""
    pause_connection(connection=connection, version=connection.version, actor=admin)
    with pytest.raises(OperationError) as refused:
        grant_access(request=asked, connection=connection, actor=admin)
    assert "connection" in refused.value.fields
    assert not connection.user_grants.exists()
    assert AccessRequest.objects.get().state == "open"


@pytest.mark.parametrize("who", ["contributor", "viewer", "support"])
def test_only_administrators_answer(
    who: str, request: pytest.FixtureRequest, asked: AccessRequest, connection: Connection
) -> None:
    actor = request.getfixturevalue(who)
    with pytest.raises(NotAllowed):
        grant_access(request=asked, connection=connection, actor=actor)
    with pytest.raises(NotAllowed):
        decline_request(request=asked, answer="No.", actor=actor)
    assert AccessRequest.objects.get().state == "open"


def test_without_any_the_way_to_set_one_up(admin: User, client_of: Clients, asked: AccessRequest) -> None:
    page = text(client_of(admin).get(grant_url(asked)))
    assert "There is no SFTP connection that is ready." in page
    assert f'href="{reverse("connections:set_up", args=["sftp"])}?answers={asked.uuid}"' in page
    assert ">Share<" not in page
    assert client_of(admin).post(grant_url(asked), {"connection": ""}).status_code == 422


def test_removed_in_the_meantime(
    admin: User,
    client_of: Clients,
    asked: AccessRequest,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the page that lists it and the lock: another administrator removed it."""
    from connections.operations import requests as operations

    real = operations.grant_access

    def late(**values: Any) -> AccessRequest:
        Connection.objects.all().delete()
        return real(**values)

    monkeypatch.setattr("connections.views.requests.grant_access", late)
    answer = client_of(admin).post(grant_url(asked), {"connection": str(connection.uuid), "answer": "kept"})
    assert answer.status_code == 422
    assert "The connection was removed meanwhile." in text(answer)
    assert "kept" in text(answer)
    assert AccessRequest.objects.get().state == "open"


@pytest.mark.parametrize("how", ["role", "left"])
def test_who_is_no_contributor_any_more_is_given_nothing(
    admin: User, outsider: User, client_of: Clients, asked: AccessRequest, connection: Connection, how: str
) -> None:
    if how == "role":
        roles.assign(user=outsider, role=Role.VIEWER)
    else:
        User.objects.filter(pk=outsider.pk).update(is_active=False)
    client = client_of(admin)
    assert "No longer a contributor" in text(client.get(ALL))
    assert "is no contributor any more" in text(client.get(grant_url(asked)))
    answer = client.post(grant_url(asked), {"connection": str(connection.uuid)})
    assert answer.status_code == 422
    assert "is no contributor any more" in text(answer)
    assert not connection.user_grants.exists()
    assert client.post(decline_url(asked), {"answer": "You are a viewer now."}).status_code == 303
    assert AccessRequest.objects.get().state == "declined"


@pytest.mark.parametrize("script", [False, True], ids=["plain", "htmx"])
def test_declining_needs_a_word(
    admin: User, outsider: User, client_of: Clients, asked: AccessRequest, script: bool
) -> None:
    client, headers = client_of(admin), HTMX if script else {}
    answer = client.post(decline_url(asked), {"answer": " \n "}, headers=headers)
    assert answer.status_code == 422
    assert "Say a word about why." in text(answer)
    answer = client.post(decline_url(asked), {"answer": "Use the print shop's."}, headers=headers)
    assert answer.status_code == (204 if script else 303)
    entry = audited("access.declined")
    assert (entry.actor_id, entry.details["person"]) == (admin.pk, "Ben Okafor")
    page = text(client_of(outsider).get(LIST))
    assert "Lena Hofmann declined it" in page
    assert "Use the print shop's." in page


@pytest.mark.parametrize("mine", ["grant", "decline"])
@pytest.mark.parametrize("theirs", ["grant", "decline", "withdraw"])
def test_answered_by_somebody_else_meanwhile(
    admin: User,
    outsider: User,
    client_of: Clients,
    asked: AccessRequest,
    connection: Connection,
    mine: str,
    theirs: str,
) -> None:
    other = make_person("otto", Role.ADMINISTRATOR, first_name="Otto", last_name="Maier")
    answers = {
        "grant": (grant_url(asked), {"connection": str(connection.uuid)}),
        "decline": (decline_url(asked), {"answer": "Not now."}),
    }
    if theirs == "withdraw":
        client_of(outsider).post(reverse("requests:withdraw", args=[asked.uuid]))
    else:
        client_of(other).post(*answers[theirs])
    address, form = answers[mine]
    answer = client_of(admin).post(address, form)
    assert answer.status_code == 409
    said = {
        "grant": "Otto Maier shared Newsletter, SFTP EU (Today",
        "decline": "Otto Maier declined it (Today",
        "withdraw": "Ben Okafor withdrew it (Today",
    }
    assert said[theirs] in text(answer)
    assert AuditEntry.objects.filter(action__in=["access.granted", "access.declined"]).count() == (
        theirs != "withdraw"
    )
    assert said[theirs] in text(client_of(admin).get(address))
    assert can_use(outsider, connection) == (theirs == "grant")


def test_pressed_twice_it_is_answered_once(
    admin: User, client_of: Clients, asked: AccessRequest, connection: Connection
) -> None:
    for _press in range(2):
        answer = client_of(admin).post(grant_url(asked), {"connection": str(connection.uuid)})
        assert (answer.status_code, answer["Location"]) == (303, ALL)
    assert AuditEntry.objects.filter(action="access.granted").count() == 1


def test_a_person_who_is_removed_takes_the_request_along(
    admin: User, outsider: User, client_of: Clients, asked: AccessRequest
) -> None:
    outsider.delete()
    assert client_of(admin).get(ALL).status_code == 200
    assert client_of(admin).get(grant_url(asked)).status_code == 404


# ---- the list ----


def test_the_list_is_searched_filtered_and_ordered(
    admin: User, contributor: User, outsider: User, client_of: Clients, asked: AccessRequest
) -> None:
    mine = request_access(type_key="sftp", reason="Invoices for the print shop", actor=contributor)
    client = client_of(admin)

    def people(query: str) -> list[str]:
        page = text(client.get(f"{ALL}?{query}"))
        found = sorted(
            (page.find(f'<span class="name">{name}'), name) for name in ("Ana Weber", "Ben Okafor")
        )
        return [name for place, name in found if place >= 0]

    assert people("") == ["Ana Weber", "Ben Okafor"]
    assert people("sort=asked") == ["Ben Okafor", "Ana Weber"]
    assert people("sort=-person") == ["Ben Okafor", "Ana Weber"]
    assert people("sort=type") == ["Ana Weber", "Ben Okafor"]
    assert people("sort=nonsense&status=nonsense") == ["Ana Weber", "Ben Okafor"]
    assert people("q=AUTUMN") == ["Ben Okafor"]
    assert people("q=weber+sftp") == ["Ana Weber"]
    assert people("q=zzz") == []
    client.post(decline_url(mine), {"answer": "No."})
    assert people("") == ["Ben Okafor"]
    assert people("status=answered") == ["Ana Weber"]
    assert people("status=all&sort=person") == ["Ana Weber", "Ben Okafor"]


def test_pages_cost_the_same_queries_however_many_there_are(
    admin: User,
    outsider: User,
    client_of: Clients,
    connection: Connection,
    django_assert_max_num_queries: Any,
) -> None:
    def ask(number: int) -> None:
        role = Group.objects.get(name=Role.CONTRIBUTOR)
        for n in range(number):
            person = User.objects.create(username=f"p{number}-{n}")
            role.user_set.add(person)
            AccessRequest.objects.create(person=person, type_key="sftp", reason=REASON)

    def cost(address: str, who: User) -> int:
        client = client_of(who)
        client.get(address)
        with django_assert_max_num_queries(60) as captured:
            client.get(address)
        return len(captured)

    ask(2)
    few = cost(ALL, admin)
    ask(24)
    assert cost(ALL, admin) == few
