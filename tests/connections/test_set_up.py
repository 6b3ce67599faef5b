"""Settings > Connections > Set up: verify, trust the server, agree, save."""

import datetime as dt
from collections.abc import Callable

import asyncssh
import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections import connectors, consent, secret_store
from connections.models import Access, Connection, ConnectionDraft, ConnectionSecret, Consent
from connections.operations.drafts import keep_draft, trust_server, verify_draft
from connections.permissions import can_use
from connections_portal.errors import Stale
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from connections_portal.sandbox import SandboxServer
from tests.connections.filling import (
    ALL_OK,
    SET_UP,
    SetUp,
    error_at,
    is_ticked,
    steps,
    text_of,
    value_of,
    verify_error,
)
from tests.connectors.servers import SandboxFactory, Server
from tests.factories import make_connection
from tests.fixtures import make_person

pytestmark = pytest.mark.django_db(transaction=True)

Clients = Callable[[User | None], Client]


def uses() -> int:
    """How often a secret was handed out."""
    return AuditEntry.objects.filter(action="secret.used").count()


def test_from_an_empty_page_to_a_connection(
    set_up: SetUp, server: Server, box: SandboxServer, admin: User
) -> None:
    set_up.verify()
    draft = ConnectionDraft.objects.get()
    secret = draft.secrets.get()
    set_up.trust()
    assert steps(set_up.page) == ALL_OK
    assert "Verified" in text_of(set_up.page)
    assert (box.seen.passwords, uses()) == (1, 1)
    answer = set_up.agree().save()

    connection = Connection.objects.get()
    page = reverse("connections:detail", args=[connection.uuid]) + "?next=1"
    if set_up.htmx:
        assert (answer.status_code, answer["HX-Redirect"]) == (204, page)
    else:
        assert (answer.status_code, answer["Location"]) == (303, page)
    assert (connection.name, connection.state, connection.access) == (
        "Newsletter, SFTP EU", "ready", "administrators",
    )  # fmt: skip
    assert connection.settings["hostname"] == f"127.0.0.1:{server.port}"
    assert connection.host_key == box.public_key
    assert connection.created_by == connection.verified_by == admin
    assert [step["status"] for step in connection.verification] == ["done"] * 6
    # moved, not copied: the very row that was typed into the draft
    moved = ConnectionSecret.objects.get()
    assert (moved.uuid, moved.connection, moved.draft) == (secret.uuid, connection, None)
    assert not ConnectionDraft.objects.exists()
    with secret_store.resolve(connection, purpose="run", actor=admin) as secrets:
        assert secrets["password"] == server.password


def test_what_was_agreed_to_is_kept(plain: SetUp, server: Server, admin: User) -> None:
    plain.verify()
    plain.trust()
    shown = text_of(plain.page)
    plain.agree().save()
    connection, agreed = Connection.objects.get(), Consent.objects.get()
    connector = connectors.get("sftp")
    assert connector is not None
    wording = consent.wording(connector, f"sftp://127.0.0.1:{server.port}")
    assert connection.consent == agreed
    assert (agreed.action, agreed.person_id, agreed.person_label) == ("given", admin.pk, "Lena Hofmann")
    assert (agreed.connection_uuid, agreed.connection_name, agreed.type_key) == (
        connection.uuid, connection.name, "sftp",
    )  # fmt: skip
    assert (agreed.wording_version, agreed.wording_hash) == (wording.version, wording.hash)
    assert agreed.target_digest == connection.target_digest
    assert agreed.target_label == f"sftp://127.0.0.1:{server.port}/exports"
    assert f"SFTP (sftp://127.0.0.1:{server.port})" in agreed.wording
    for paragraph in agreed.wording.split("\n\n"):
        assert paragraph in shown


def test_each_step_is_in_the_audit(plain: SetUp, box: SandboxServer, admin: User) -> None:
    plain.verify()
    plain.trust()
    plain.agree().save()
    entries = list(AuditEntry.objects.filter(action__startswith="connection.").order_by("pk"))
    assert [(entry.action, entry.outcome) for entry in entries] == [
        ("connection.verification_begun", "done"),
        ("connection.verified", "refused"),
        ("connection.server_trusted", "done"),
        ("connection.verification_begun", "done"),
        ("connection.verified", "done"),
        ("connection.created", "done"),
    ]
    assert {entry.actor_id for entry in entries} == {admin.pk}
    assert entries[2].details["fingerprint"] == box.host_key.get_fingerprint()
    assert entries[5].details["consent"] == str(Consent.objects.get().uuid)
    assert entries[5].details["people"] == entries[5].details["groups"] == []


def test_without_script_the_page_is_made_from_the_draft(plain: SetUp) -> None:
    plain.typed["access"] = "contributors"
    plain.verify()
    assert plain.answer["Location"] == f"{SET_UP}?draft={plain.draft}"
    assert "Kept for this set-up until" in text_of(plain.page)
    assert value_of(plain.page, "name") == "Newsletter, SFTP EU"
    assert value_of(plain.page, "export_folder") == "exports"
    assert value_of(plain.page, "password") == ""
    assert is_ticked(plain.page, "access", "contributors")
    # the kept password is enough from here on
    plain.trust()
    assert steps(plain.page) == ALL_OK


def test_agreement_survives_verify(plain: SetUp) -> None:
    plain.verify()
    plain.typed["agree"] = "on"
    plain.trust()
    assert is_ticked(plain.page, "agree")
    assert not Consent.objects.exists()


def test_saving_too_early_says_everything_that_is_missing(set_up: SetUp, server: Server) -> None:
    set_up.typed |= {"name": "", "access": "contributors"}
    answer = set_up.save()
    assert answer.status_code == 422
    page = set_up.page
    assert error_at(page, "name") == "Enter a name."
    assert verify_error(page) == "Verify the connection first, with exactly what you want to save."
    assert error_at(page, "agree") == "Read the text and agree to it."
    assert value_of(page, "hostname") == f"127.0.0.1:{server.port}"
    assert value_of(page, "username") == server.username
    assert is_ticked(page, "access", "contributors")
    assert "Still needed: Verify" in text_of(page)
    # the password was kept, so it need not be typed again
    assert "Kept for this set-up until" in text_of(page)
    del set_up.typed["password"]
    set_up.verify()
    set_up.trust()
    assert steps(set_up.page) == ALL_OK
    assert not Connection.objects.exists()


def test_saving_an_empty_form(set_up: SetUp) -> None:
    set_up.typed = {"access": "administrators", "auth_method": "password"}
    assert set_up.save().status_code == 422
    for field in ("name", "username", "password", "hostname", "agree"):
        assert error_at(set_up.page, field), field
    assert verify_error(set_up.page)
    assert not ConnectionDraft.objects.exists()


def test_only_the_agreement_is_missing(set_up: SetUp) -> None:
    set_up.verify()
    set_up.trust()
    assert set_up.save().status_code == 422
    assert error_at(set_up.page, "agree")
    assert verify_error(set_up.page) == ""
    assert steps(set_up.page) == ALL_OK
    set_up.agree().save()
    assert Connection.objects.count() == 1


def test_an_expired_draft_is_said_and_a_look_deletes_nothing(plain: SetUp, admin: User) -> None:
    plain.verify()
    ConnectionDraft.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    sessions = list(Session.objects.values())
    assert plain.get(plain.url).status_code == 200
    assert "What was kept for this form has expired." in verify_error(plain.page)
    assert "Kept for this set-up until" not in text_of(plain.page)
    assert ConnectionDraft.objects.count() == ConnectionSecret.objects.count() == 1
    assert list(Session.objects.values()) == sessions
    # a button sends it to its end
    assert plain.verify().status_code == 422
    assert "has expired" in verify_error(plain.page)
    assert error_at(plain.page, "password")
    assert not ConnectionDraft.objects.exists()


def test_what_is_typed_now_is_not_called_verified(set_up: SetUp) -> None:
    set_up.verify()
    set_up.trust()
    set_up.agree()
    set_up.typed |= {"hostname": "127.0.0.1:9", "password": ""}
    assert set_up.save().status_code == 422
    assert error_at(set_up.page, "password") == "The target has changed, so this has to be typed again."
    assert verify_error(set_up.page).startswith("Verify the connection first")
    assert not is_ticked(set_up.page, "agree")
    assert "your agreement was taken back" in text_of(set_up.page)
    assert steps(set_up.page) == []
    assert "Verified" not in text_of(set_up.page)
    # the first target is still in the draft, and so is its secret
    assert ConnectionDraft.objects.get().verified_digest


def test_another_spelling_of_the_same_target_keeps_the_agreement(plain: SetUp) -> None:
    plain.press("terms", hostname="EXAMPLE.com")
    plain.press("terms", hostname="sftp://ana@example.com:22/in", agree="on")
    assert is_ticked(plain.page, "agree")
    assert "taken back" not in plain.page
    plain.press("terms", hostname="example.com:2222", agree="on")
    assert not is_ticked(plain.page, "agree")
    assert "The text now names another target, so your agreement was taken back." in text_of(plain.page)
    assert "sftp://example.com:2222" in plain.page
    assert "id_hostname_beside" in plain.page
    assert not ConnectionDraft.objects.exists()


def test_the_folder_may_be_corrected_before_trusting(set_up: SetUp, server: Server) -> None:
    set_up.verify()
    set_up.typed["export_folder"] = "corrected"
    set_up.trust()
    assert steps(set_up.page) == ALL_OK
    assert (server.files / "corrected").is_dir()


def test_another_key_that_answers_after_trusting_is_shown_anew(
    admin: User,
    client_of: Clients,
    sandbox_server: SandboxFactory,
    allow_outgoing: Callable[[int], None],
) -> None:
    with sandbox_server() as (server, _box):
        allow_outgoing(server.port)
        pane = SetUp(client_of(admin), htmx=True).fill(server)
        pane.verify()
    other = asyncssh.generate_private_key("ssh-ed25519")
    with sandbox_server(port=server.port, host_key=other) as (_server, box):
        pane.trust()
        assert steps(pane.page) == ["ok", "ok", "ask", "todo", "todo", "todo"]
        assert "shows another key than the trusted one. Nothing was sent." in text_of(pane.page)
        assert "Waits for you" in text_of(pane.page)
        assert pane.typed["fingerprint"] == other.get_fingerprint()
        assert ConnectionDraft.objects.get().host_key_trusted != box.public_key
        assert (box.seen.requests, box.seen.passwords) == ([], 0)
        # looked at and trusted on purpose, it is the server's key
        pane.trust()
        assert steps(pane.page) == ALL_OK


def test_saved_in_another_window_meanwhile(plain: SetUp) -> None:
    """The draft is gone between the look for it and the lock on it, as with two windows or a slow server."""
    plain.verify()
    plain.trust()
    draft = ConnectionDraft.objects.get()
    plain.agree().save()
    user = User.objects.get()
    with pytest.raises(Stale):
        verify_draft(draft=draft, actor=user)
    with pytest.raises(Stale):
        trust_server(draft=draft, fingerprint="SHA256:x", actor=user)
    with pytest.raises(Stale):
        keep_draft(draft=draft, type_key="sftp", cleaned=draft.settings, secrets={}, form={}, actor=user)
    # the page that was left open
    plain.url = SET_UP
    answer = plain.save()
    connection = Connection.objects.get()
    assert (answer.status_code, answer["Location"]) == (
        303, reverse("connections:detail", args=[connection.uuid]),
    )  # fmt: skip
    assert Connection.objects.count() == 1


def test_what_is_hidden_neither_stops_nor_shares(plain: SetUp, contributor: User) -> None:
    plain.verify()
    plain.trust()
    plain.agree().save(access="administrators", grantees=[f"person:{contributor.pk}", "person:987654"])
    connection = Connection.objects.get()
    assert not connection.user_grants.exists()
    created = AuditEntry.objects.get(action="connection.created")
    assert created.details["people"] == []


def test_the_audit_names_nobody_who_was_given_nothing(admin: User, contributor: User) -> None:
    for access in (Access.ADMINISTRATORS, Access.CONTRIBUTORS):
        connection = make_connection(actor=admin, name=access.value, access=access, people=[contributor])
        created = AuditEntry.objects.get(action="connection.created", object_uuid=connection.uuid)
        assert (created.details["access"], created.details["people"]) == (access.value, [])
        assert not connection.user_grants.exists()


def test_sharing_with_people_and_groups(plain: SetUp, contributor: User, outsider: User) -> None:
    team = Group.objects.create(name="Campaign team")
    team.user_set.add(outsider)
    plain.typed |= {"access": "specific", "grantees": [f"person:{contributor.pk}"]}
    plain.verify()
    assert is_ticked(plain.page, "grantees", f"person:{contributor.pk}")
    assert not is_ticked(plain.page, "grantees", f"group:{team.pk}")
    plain.typed["grantees"] = [f"person:{contributor.pk}", f"group:{team.pk}"]
    plain.trust()
    plain.agree().save()
    connection = Connection.objects.get()
    assert [grant.user for grant in connection.user_grants.all()] == [contributor]
    assert [grant.group for grant in connection.group_grants.all()] == [team]
    created = AuditEntry.objects.get(action="connection.created")
    assert (created.details["people"], created.details["groups"]) == (["Ana Weber"], ["Campaign team"])


def test_a_name_with_a_nul_can_be_kept(plain: SetUp) -> None:
    """PostgreSQL has no place for one, neither in text nor in JSON."""
    plain.typed |= {"name": "a\0b", "access": "\0", "grantees": ["\0"]}
    plain.verify()
    draft = ConnectionDraft.objects.get()
    assert "\0" not in str(draft.form.values())
    assert draft.form["name"] == "ab"


@pytest.mark.parametrize("url", ["http://[", "", "http://testserver" + SET_UP])
def test_any_address_in_the_browser(admin: User, client_of: Clients, url: str) -> None:
    answer = client_of(admin).get(SET_UP, headers={"HX-Request": "true", "HX-Current-URL": url})
    assert answer.status_code == 200


def test_without_script_from_another_form_and_back(plain: SetUp) -> None:
    back = "/data/exports/new/?resume=1"
    session = plain.client.session
    session["set_up_return"] = back
    session.save()
    plain.url = f"{SET_UP}?then=choose"
    plain.get(plain.url)
    assert f'<a class="btn" href="{back}" data-close>Cancel</a>' in plain.page
    plain.verify()
    assert plain.url == f"{SET_UP}?then=choose&draft={plain.draft}"
    plain.trust()
    answer = plain.agree().save()
    assert (answer.status_code, answer["Location"]) == (303, back)
    assert plain.client.session["set_up_connection"] == str(Connection.objects.get().uuid)
    assert "set_up_return" not in plain.client.session


def test_cancel_leads_to_discover(plain: SetUp) -> None:
    assert f'<a class="btn" href="{reverse("connections:discover")}" data-close>Cancel</a>' in plain.page


def test_the_page_of_its_own_keeps_its_heading(client_of: Clients, admin: User) -> None:
    page = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{SET_UP}"}
    pane = {"HX-Request": "true", "HX-Current-URL": "http://testserver/settings/connections/"}
    client = client_of(admin)
    assert "<h1>Set up SFTP connection</h1>" in client.post(SET_UP, headers=page).content.decode()
    assert "<h1>" not in client.post(SET_UP, headers=pane).content.decode()


def test_people_are_searched_for_and_nothing_typed_is_lost(set_up: SetUp, contributor: User) -> None:
    for number in range(25):
        make_person(f"person{number}", Role.CONTRIBUTOR, first_name="Someone", last_name=f"Else {number}")
    set_up.get(SET_UP)
    assert "Someone Else" not in set_up.page
    set_up.typed |= {"access": "specific", "grantees": ["person:0"]}
    answer = set_up.press("search", q="web")
    assert answer.status_code == 200
    assert f'value="person:{contributor.pk}"' in set_up.page
    assert "Someone Else" not in set_up.page
    assert not error_at(set_up.page, "grantees")
    assert value_of(set_up.page, "name") == "Newsletter, SFTP EU"
    assert "sandbox-password" not in set_up.page
    if not set_up.htmx:
        assert "Kept for this set-up until" in text_of(set_up.page)
        set_up.typed["password"] = ""
    assert set_up.save().status_code == 422
    assert error_at(set_up.page, "grantees") == "Choose people and groups from the list."
    set_up.typed["grantees"] = [f"person:{contributor.pk}"]
    set_up.verify()
    set_up.trust()
    assert set_up.agree().save().status_code in (204, 303)
    connection = Connection.objects.get()
    assert can_use(contributor, connection)
    assert not can_use(User.objects.get(username="person3"), connection)
