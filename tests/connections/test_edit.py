"""*Edit* a connection: what each change asks for, what it leaves alone, and two administrators at once."""

import html
from collections.abc import Callable

import pytest
from django.test import Client

from connections.models import Connection, ConnectionDraft, ConnectionSecret, Consent, State
from connections_portal.models import AuditEntry, RunState, User
from connections_portal.roles import Role
from connections_portal.sandbox.server import SandboxServer
from tests.connections.filling import ALL_OK, Edit, error_at, steps, text_of, value_of, verify_error
from tests.connectors.servers import SandboxFactory, Server
from tests.fixtures import make_person
from tests.runs.helpers import carry, connect, make_export, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
Clients = Callable[[User | None], Client]


@pytest.fixture
def other(sandbox_server: SandboxFactory, allow_outgoing: Callable[[int], None], server: Server) -> object:
    """A second server, running for the length of the test."""
    with sandbox_server() as (second, box):
        allow_outgoing(second.port)
        yield second, box


def facts(connection: Connection) -> tuple[object, ...]:
    """What must not move unless it is said to."""
    now = Connection.objects.get(pk=connection.pk)
    secrets = sorted(now.secrets.values_list("uuid", "revision"))
    return now.settings, now.target_digest, now.host_key, now.consent_id, now.epoch, now.state, secrets


def test_the_form_shows_what_is_stored_and_no_secret(edit: Edit, server: Server) -> None:
    assert value_of(edit.page, "name") == "Newsletter, SFTP EU"
    assert value_of(edit.page, "username") == server.username
    assert value_of(edit.page, "password") == ""
    assert server.password not in edit.page
    words = text_of(edit.page)
    assert "Stored, never shown. Leave it empty to keep it." in words
    assert "Agreed by Lena Hofmann" in words
    assert "I agree" not in words
    assert "Still needed" not in words
    assert not ConnectionDraft.objects.exists()


def test_another_name_asks_for_nothing(edit: Edit, connection: Connection, box: SandboxServer) -> None:
    before = facts(connection)
    edit.typed["name"] = "  Newsletter, Madrid "
    answer = edit.save()
    assert answer.status_code == (204 if edit.htmx else 303)
    assert facts(connection) == before
    connection.refresh_from_db()
    assert (connection.name, connection.version) == ("Newsletter, Madrid", 2)
    assert box.seen.passwords == 0
    entry = AuditEntry.objects.get(action="connection.edited")
    assert (entry.details["changed"], entry.details["target_changed"]) == (["name"], False)


def test_another_folder_asks_for_a_verification_with_the_stored_password(
    edit: Edit, connection: Connection
) -> None:
    stored = dict(connection.settings)
    settings, target, *rest = facts(connection)
    edit.typed["export_folder"] = "elsewhere"
    assert edit.save().status_code == 422
    assert "Verify the connection first" in verify_error(edit.page)
    assert facts(connection) == (settings, target, *rest)
    edit.verify()
    assert steps(edit.page) == ALL_OK
    assert edit.save().status_code == (204 if edit.htmx else 303)
    assert facts(connection) == (stored | {"export_folder": "elsewhere"}, target, *rest)
    assert not ConnectionDraft.objects.exists()


def test_a_wrong_password_leaves_the_connection_as_it_is(
    edit: Edit, connection: Connection, server: Server
) -> None:
    before = facts(connection)
    edit.typed["password"] = "not-the-right-one"
    edit.verify()
    assert steps(edit.page)[3] == "bad"
    assert edit.save().status_code == 422
    assert facts(connection) == before
    assert "not-the-right-one" not in "".join(edit.seen)

    edit.typed["password"] = server.password
    edit.verify()
    assert steps(edit.page) == ALL_OK
    edit.save()
    secrets = ConnectionSecret.objects.all()
    assert [secret.connection for secret in secrets] == [connection]
    assert facts(connection)[:-1] == before[:-1]
    assert facts(connection)[-1] != before[-1]


def test_another_target_asks_for_everything(
    edit: Edit,
    connection: Connection,
    other: tuple[Server, SandboxServer],
    admin: User,
    customer_data: object,
) -> None:
    second, box = other
    before = facts(connection)
    export = make_export(connection, actor=admin)
    run = start(export)
    edit.typed["hostname"] = f"{second.host}:{second.port}"
    edit.verify()
    assert "The target has changed, so this has to be typed again." in error_at(edit.page, "password")
    assert box.seen.passwords == 0

    edit.typed["password"] = second.password
    edit.verify()
    assert steps(edit.page)[2] == "ask"
    assert "Trusted until now" not in edit.page
    assert box.seen.passwords == 0
    edit.trust()
    assert steps(edit.page) == ALL_OK
    assert edit.save().status_code == 422
    assert error_at(edit.page, "agree") == "Read the text and agree to it."
    assert facts(connection) == before
    run.refresh_from_db()
    assert run.state == RunState.QUEUED

    assert edit.agree().save().status_code == (204 if edit.htmx else 303)
    now = Connection.objects.get(pk=connection.pk)
    assert now.settings["hostname"] == f"{second.host}:{second.port}"
    assert now.host_key.split()[1] == second.public_key.split()[1]
    assert (now.epoch, now.state) == (2, State.READY)
    assert now.consent is not None
    assert now.consent.target_digest == now.target_digest != before[1]
    assert Consent.objects.count() == 2
    assert ConnectionSecret.objects.get().target_digest == now.target_digest
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert carry(start(export)) == "successful"


def test_back_at_its_own_target_nothing_is_asked_again(
    edit: Edit, connection: Connection, other: tuple[Server, SandboxServer]
) -> None:
    second, _box = other
    before = facts(connection)
    own = edit.typed["hostname"]
    edit.typed |= {"hostname": f"{second.host}:{second.port}", "password": second.password}
    edit.verify()
    edit.typed |= {"hostname": own, "password": ""}
    edit.verify()
    assert steps(edit.page) == ALL_OK
    edit.save()
    assert facts(connection) == before


def test_the_second_administrator_is_told(
    edit: Edit, connection: Connection, client_of: Clients, admin: User
) -> None:
    colleague = make_person("ole", Role.ADMINISTRATOR, first_name="Ole", last_name="Lund")
    quick = Edit(client_of(colleague), connection)
    quick.typed["name"] = "Newsletter, Oslo"
    assert quick.save().status_code == 303

    edit.typed["name"] = "Newsletter, Bergen"
    answer = edit.save()
    assert answer.status_code == 409
    assert "Ole Lund changed this connection at" in text_of(edit.page)
    assert "Stored now: Newsletter, Oslo" in text_of(edit.page)
    assert value_of(edit.page, "name") == "Newsletter, Bergen"
    assert Connection.objects.get().name == "Newsletter, Oslo"
    assert edit.save().status_code == (204 if edit.htmx else 303)
    assert Connection.objects.get().name == "Newsletter, Bergen"


def test_a_password_that_somebody_else_replaced_meanwhile_is_verified_again(
    edit: Edit, connection: Connection, client_of: Clients, server: Server
) -> None:
    edit.typed["export_folder"] = "elsewhere"
    edit.verify()
    assert steps(edit.page) == ALL_OK
    colleague = make_person("ole", Role.ADMINISTRATOR)
    quick = Edit(client_of(colleague), connection)
    quick.typed["password"] = server.password
    quick.verify()
    quick.save()
    assert edit.save().status_code == 409
    assert edit.save().status_code == 422
    assert "Verify the connection first" in verify_error(edit.page)


def test_a_changed_host_key_is_shown_beside_the_old_one(
    edit: Edit, connection: Connection, box: SandboxServer, server: Server
) -> None:
    old = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    Connection.objects.update(host_key=old, state=State.NEEDS_ATTENTION, state_cause="Another key.")
    settings, target, _key, consent, epoch, _state, secrets = facts(connection)
    edit.verify()
    assert steps(edit.page)[2] == "ask"
    words = text_of(edit.page)
    assert "Trust the new key" in words
    assert "Trusted until now: ssh-ed25519 SHA256:" in words
    assert box.host_key.get_fingerprint() in html.unescape(edit.page)
    assert box.seen.passwords == 0
    edit.trust()
    assert steps(edit.page) == ALL_OK
    assert edit.save().status_code == (204 if edit.htmx else 303)
    assert facts(connection) == (
        settings, target, " ".join(server.public_key.split()[:2]), consent, epoch, State.READY, secrets,
    )  # fmt: skip


def test_verifying_again_ends_needs_attention(edit: Edit, connection: Connection) -> None:
    before = facts(connection)
    Connection.objects.update(state=State.NEEDS_ATTENTION, state_cause="The server refused the sign-in.")
    edit.verify()
    edit.save()
    assert facts(connection) == before
    connection.refresh_from_db()
    assert connection.state_cause == ""


def test_a_draft_belongs_to_its_maker_and_its_connection(
    edit: Edit, connection: Connection, client_of: Clients, admin: User, server: Server
) -> None:
    edit.verify()
    assert edit.draft
    colleague = make_person("ole", Role.ADMINISTRATOR)
    url = f"/settings/connections/{connection.uuid}/edit/"
    second = connect(server, actor=admin, name="Another one")
    assert client_of(colleague).get(url, {"draft": edit.draft}).status_code == 404
    assert client_of(admin).get(url, {"draft": edit.draft}).status_code == 200
    elsewhere = f"/settings/connections/{second.uuid}/edit/"
    assert client_of(admin).get(elsewhere, {"draft": edit.draft}).status_code == 404
    assert client_of(admin).get("/settings/connections/new/sftp/", {"draft": edit.draft}).status_code == 404


def test_a_name_that_is_taken(edit: Edit, admin: User, server: Server) -> None:
    connect(server, actor=admin, name="Surveys")
    edit.typed["name"] = "SURVEYS"
    assert edit.save().status_code == 422
    assert "already has this name" in error_at(edit.page, "name")


@pytest.mark.parametrize("version", ["", "-1", "x", "9" * 30, "1\0"])
def test_a_version_that_is_none_is_stale(edit: Edit, version: str) -> None:
    edit.typed |= {"version": version, "name": "Another one"}
    assert edit.save().status_code == 409


def test_a_newer_wording_is_offered_and_stops_nothing(
    edit: Edit, connection: Connection, settings: object
) -> None:
    settings.PRIVACY_STATEMENT_URL = "https://contoso.example/privacy"  # type: ignore[attr-defined]
    edit.get(edit.url)
    assert "The text has changed since." in text_of(edit.page)
    edit.typed["name"] = "Newsletter, Oslo"
    assert edit.save().status_code in (204, 303)
    assert Consent.objects.count() == 1
    edit.get(edit.url)
    edit.typed["agree"] = "on"
    assert edit.save().status_code in (204, 303)
    assert Consent.objects.count() == 2
    connection.refresh_from_db()
    assert connection.consent is not None
    assert "https://contoso.example/privacy" in connection.consent.wording


def test_a_removed_connection_is_gone(edit: Edit, connection: Connection) -> None:
    connection.secrets.all().delete()
    connection.delete()
    assert edit.save().status_code == 404
