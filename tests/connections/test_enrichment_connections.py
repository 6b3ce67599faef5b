"""Connections that attributes come in over: set up like others, open to contributors, and nothing exports go over."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from connections import connectors, consent, dependents, listing
from connections.connectors.sftp import Sftp
from connections.connectors.sftp_custom_import import SftpCustomImport
from connections.models import Access, Connection, ConnectionSecret, Consent, State
from connections.operations.share import share_connection
from connections.permissions import can_use
from connections.sharing import people_with_use, set_grants
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User
from connections_portal.sandbox import SandboxServer
from tests.connections.filling import Edit, SetUp, error_at, steps, text_of, verify_error
from tests.connectors.servers import Server
from tests.factories import make_connection
from tests.test_odd_input import NAMES, ODD

pytestmark = pytest.mark.django_db(transaction=True)
Clients = Callable[[User | None], Client]

URL = "/settings/connections/new/sftp_custom_import/"
OPEN = "This connection can be used by administrators and contributors."


@pytest.fixture
def importing(admin: User) -> Connection:
    """A connection for enrichments, claimed to be verified."""
    return make_connection(actor=admin, name="Scores", type_key="sftp_custom_import")


@pytest.fixture(params=[False, True], ids=["plain", "htmx"])
def pane(request: pytest.FixtureRequest, admin: User, client_of: Clients, server: Server) -> SetUp:
    return SetUp(client_of(admin), htmx=request.param, url=URL).fill(server)


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> type[Sftp]:
    """A type that data goes out over and comes in over."""

    class Both(Sftp):
        key = "both"
        connection_name = "Both ways"
        direction = "both"
        enrichment_options = SftpCustomImport.enrichment_options
        fetch = SftpCustomImport.fetch

    built = (*connectors.CONNECTORS, Both)
    monkeypatch.setattr(connectors, "CONNECTORS", built)
    monkeypatch.setattr(listing, "CONNECTORS", built)
    monkeypatch.setitem(connectors._BY_KEY, "both", Both)
    return Both


def test_it_is_verified_agreed_to_and_saved(pane: SetUp, admin: User, box: SandboxServer) -> None:
    pane.verify()
    assert steps(pane.page) == ["ok", "ok", "ask", "todo", "todo"]
    assert box.seen.requests == []
    pane.trust()
    assert steps(pane.page) == ["ok"] * 5
    pane.agree().save()
    connection = Connection.objects.get()
    assert (connection.type_key, connection.state) == ("sftp_custom_import", State.READY)
    assert connection.created_by == admin
    assert connection.settings == {
        "auth_method": "password",
        "username": box.username,
        "hostname": f"127.0.0.1:{box.port}",
        "port": str(box.port),
    }
    assert ConnectionSecret.objects.get().connection == connection
    assert box.seen.bytes_written == 0
    created = AuditEntry.objects.get(action="connection.created")
    assert created.details["access"] == "contributors"


def test_nobody_is_asked_who_can_use_it_and_no_answer_counts(pane: SetUp, contributor: User) -> None:
    assert OPEN in pane.page
    assert 'name="access"' not in pane.page
    assert 'name="grantees"' not in pane.page
    pane.typed |= {"access": "specific", "grantees": [f"person:{contributor.pk}"], "q": "weber"}
    pane.verify()
    pane.trust()
    pane.agree().save()
    connection = Connection.objects.get()
    assert not connection.user_grants.exists()
    assert not connection.group_grants.exists()
    assert connection.access == Access.ADMINISTRATORS


def test_what_is_missing_is_said_at_its_place(pane: SetUp) -> None:
    pane.typed |= {"name": "", "hostname": "", "password": ""}
    answer = pane.save()
    assert answer.status_code == 422
    assert error_at(pane.page, "name")
    assert error_at(pane.page, "hostname")
    assert OPEN in pane.page
    assert not Connection.objects.exists()


def test_it_is_not_saved_without_verification_or_agreement(pane: SetUp) -> None:
    assert pane.save().status_code == 422
    assert verify_error(pane.page)
    assert error_at(pane.page, "agree")
    assert not Connection.objects.exists()


def test_a_pasted_address_fills_the_user_name_and_loses_its_folder(pane: SetUp, server: Server) -> None:
    pane.typed |= {
        "hostname": f"sftp://{server.username}@{server.host}:{server.port}/incoming",
        "username": "",
    }
    pane.verify()
    pane.trust()
    pane.agree().save()
    settings = Connection.objects.get().settings
    assert settings["username"] == server.username
    assert "incoming" not in str(settings)


def test_a_key_signs_in_to_openssh(
    admin: User, client_of: Clients, openssh_server: Server, allow_outgoing: Callable[[int], None]
) -> None:
    allow_outgoing(openssh_server.port)
    pane = SetUp(client_of(admin), url=URL).fill(openssh_server)
    pane.typed |= {"auth_method": "key", "private_key": openssh_server.private_key, "password": ""}
    pane.verify()
    pane.trust()
    assert steps(pane.page) == ["ok"] * 5
    pane.agree().save()
    assert Connection.objects.get().state == State.READY


def test_the_text_speaks_of_data_that_comes_in(pane: SetUp, server: Server) -> None:
    pane.verify()
    pane.trust()
    pane.agree().save()
    given = Consent.objects.get()
    assert given.wording_version == consent.IMPORT_VERSION
    assert f"SFTP custom import (sftp://{server.host}:{server.port})" in given.wording
    assert "brought in" in given.wording
    assert "to leave" not in given.wording
    sent = consent.wording(Sftp, "sftp://example.com")
    assert "to leave" in sent.text
    assert "brought in" not in sent.text
    assert consent.wording(SftpCustomImport, "sftp://example.com").hash != sent.hash


def test_another_target_takes_the_agreement_back(pane: SetUp) -> None:
    pane.verify()
    pane.trust()
    pane.agree()
    pane.typed["hostname"] = "another.example.com"
    pane.save()
    assert not Connection.objects.exists()
    assert "sftp://another.example.com" in text_of(pane.page)


def test_editing_asks_for_no_access_either(
    importing: Connection, admin: User, client_of: Clients, contributor: User
) -> None:
    edit = Edit(client_of(admin), importing)
    assert OPEN in edit.page
    assert 'name="access"' not in edit.page
    edit.typed |= {"name": "Scores, new", "access": "specific", "grantees": [f"person:{contributor.pk}"]}
    assert edit.save().status_code == 303
    importing.refresh_from_db()
    assert importing.name == "Scores, new"
    assert not importing.user_grants.exists()


def test_it_is_listed_with_who_has_access(importing: Connection, admin: User, client_of: Clients) -> None:
    make_connection(actor=admin, name="Newsletter")
    client = client_of(admin)
    page = client.get(reverse("connections:enrichment")).content.decode()
    assert "Administrators and contributors" in page
    assert "SFTP Custom Import" in page
    assert "Newsletter" not in page
    assert reverse("connections:share", args=[importing.uuid]) not in page
    assert 'name="access"' not in page
    assert f'href="{URL}"' in page
    other = client.get(reverse("connections:exports")).content.decode()
    assert importing.name not in other
    assert f'href="{URL}"' not in other
    filtered = client.get(f"{reverse('connections:enrichment')}?access=specific").content.decode()
    assert importing.name in filtered


def test_discover_has_it_under_enrichment_connections(
    importing: Connection, admin: User, client_of: Clients
) -> None:
    page = client_of(admin).get(reverse("connections:discover")).content.decode()
    exports, enrichments = page.split("Enrichment connections</h2>")
    assert f'id="set-up-{importing.type_key}"' in enrichments
    assert f'id="set-up-{importing.type_key}"' not in exports
    assert f'{reverse("connections:enrichment")}?type={importing.type_key}"' in enrichments
    none = text_of(client_of(admin).get(f"{reverse('connections:discover')}?q=zzz").content.decode())
    assert none.count("No service of this kind matches your search.") == 2


def test_its_page_leads_back_and_does_not_share(
    importing: Connection, admin: User, client_of: Clients
) -> None:
    url = reverse("connections:detail", args=[importing.uuid])
    page = client_of(admin).get(f"{url}?next=1").content.decode()
    assert f'href="{reverse("connections:enrichment")}"' in page
    assert reverse("connections:share", args=[importing.uuid]) not in page
    assert "What next?" in page
    assert "Add export" not in page
    assert "Add another like this" in page
    assert "Administrators and contributors" in page


def test_what_next_offers_what_can_be_built_on_it(
    importing: Connection, admin: User, client_of: Clients
) -> None:
    page = client_of(admin).get(f"{reverse('connections:detail', args=[importing.uuid])}?next=1")
    offered = dependents.kinds_on(importing)
    assert {kind.direction for kind in offered} == {"enrichment"}
    for kind in offered:
        assert kind.add_label() in page.content.decode()
        assert kind.add_url(importing) in page.content.decode()


def test_it_cannot_be_shared_by_address_or_operation(
    importing: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    client, url = client_of(admin), reverse("connections:share", args=[importing.uuid])
    assert client.get(url).status_code == 404
    sent = {"access": "specific", "grantees": [f"person:{contributor.pk}"], "version": importing.version}
    assert client.post(url, sent).status_code == 404
    with pytest.raises(OperationError, match="administrators and contributors"):
        share_connection(
            connection=importing,
            version=importing.version,
            access=Access.SPECIFIC,
            people=[contributor],
            actor=admin,
        )
    assert not importing.user_grants.exists()


def test_who_may_use_it_and_for_what(
    importing: Connection, admin: User, contributor: User, viewer: User, support: User, nobody: User
) -> None:
    people = [admin, contributor, viewer, support, nobody]
    assert [can_use(p, importing, "enrichment") for p in people] == [True, True, False, False, False]
    assert not any(can_use(person, importing) for person in people)
    # not even a grant that came to it somehow opens it for exports
    set_grants(importing, Access.SPECIFIC, people, [])
    set_grants(importing, Access.CONTRIBUTORS, [], [])
    assert not any(can_use(person, importing, "export") for person in people)
    assert {person.pk for person in people_with_use(importing)} == {admin.pk, contributor.pk}


def test_an_export_connection_is_none_for_enrichments(admin: User, contributor: User) -> None:
    connection = make_connection(actor=admin, access=Access.CONTRIBUTORS)
    assert can_use(contributor, connection)
    assert not can_use(contributor, connection, "enrichment")
    assert not can_use(admin, connection, "enrichment")


def test_a_type_for_both_is_shared_for_exports_and_open_for_enrichments(
    both: type[Sftp], admin: User, contributor: User, viewer: User
) -> None:
    connection = make_connection(actor=admin, type_key="both")
    assert [can_use(p, connection) for p in (admin, contributor, viewer)] == [True, False, False]
    assert [can_use(p, connection, "enrichment") for p in (admin, contributor, viewer)] == [True, True, False]
    set_grants(connection, Access.SPECIFIC, [contributor], [])
    assert can_use(contributor, connection)
    for tab in listing.TABS:
        assert connection in listing.found(listing.wanted({}, tab), tab, admin)
    text = consent.wording(both, "sftp://example.com").text
    assert "to leave" in text
    assert "brought in" in text


def test_a_type_for_both_asks_who_may_export(both: type[Sftp], admin: User, client_of: Clients) -> None:
    page = client_of(admin).get("/settings/connections/new/both/").content.decode()
    assert 'name="access"' in page
    assert OPEN not in page


def test_only_administrators_set_one_up(contributor: User, viewer: User, client_of: Clients) -> None:
    for person in (contributor, viewer):
        assert client_of(person).get(URL).status_code == 403
        assert client_of(person).post(URL, {"action": "save"}).status_code == 403


def test_contributors_see_nothing_of_where_it_leads(
    importing: Connection, contributor: User, client_of: Clients
) -> None:
    client = client_of(contributor)
    for name in ("detail", "edit", "pause", "share", "remove"):
        assert client.get(reverse(f"connections:{name}", args=[importing.uuid])).status_code == 403


def test_help_tells_what_each_enrichment_asks_and_who_acts(admin: User, client_of: Clients) -> None:
    answer = client_of(admin).get("/settings/connections/help/sftp_custom_import/")
    text = text_of(answer.content.decode())
    assert "What each enrichment asks" in text
    assert "What each export chooses" not in text
    assert "What is delivered" not in text
    assert "At most 10 enrichments of this type" in text
    assert "Whoever may edit the enrichment" in text
    assert "Upper and lower case count." in text
    assert "Preview" not in text


def test_another_like_it_begins_with_its_settings(
    importing: Connection, admin: User, client_of: Clients
) -> None:
    page = client_of(admin).get(f"{URL}?like={importing.uuid}").content.decode()
    assert 'value="Scores, copy"' in page or "Scores" in page
    assert 'value="files.example.com"' in page
    assert OPEN in page


def test_see_as_offers_none_of_them(
    importing: Connection, admin: User, contributor: User, client_of: Clients
) -> None:
    page = client_of(admin).get(f"{reverse('see_as')}?person={contributor.pk}").content.decode()
    assert importing.name not in page
    assert Group.objects.filter(user=contributor).exists()


@pytest.mark.parametrize("kind", sorted(set(ODD) - {"surrogate"}))
def test_odd_values_are_answered(kind: str, importing: Connection, admin: User, client_of: Clients) -> None:
    client = client_of(admin)
    client.raise_request_exception = False
    for url in (URL, reverse("connections:edit", args=[importing.uuid])):
        for action in ("verify", "trust", "terms", "search", "save", "save_unverified", "resume"):
            for headers in ({}, {"HX-Request": "true"}):
                sent = dict.fromkeys(NAMES, ODD[kind]) | {"action": action}
                assert client.post(url, sent, headers=headers).status_code < 500, (url, action)
    assert Connection.objects.get() == importing
