"""Two administrators, two windows, two presses: an edit never puts back what somebody else changed meanwhile."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from connections.models import Connection, ConnectionDraft, State
from connections.operations.attention import mark_needs_attention
from connections.operations.remove import impact_of, remove_connection
from connections_portal.models import User
from tests.connections.filling import ALL_OK, Edit, error_at, steps, text_of, value_of, verify_error
from tests.connectors.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)
Clients = Callable[[User | None], Client]
NEW_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


@pytest.mark.parametrize("typed", [{"export_folder": "elsewhere"}, {"name": "Another one"}])
def test_a_key_that_somebody_else_trusted_meanwhile_is_not_put_back(
    edit: Edit, typed: dict[str, str]
) -> None:
    edit.typed |= typed
    edit.verify()
    assert steps(edit.page) == ALL_OK
    Connection.objects.update(host_key=NEW_KEY, version=F("version") + 1)
    assert edit.save().status_code == 409
    edit.save()
    assert Connection.objects.get().host_key == NEW_KEY


def test_attention_asked_for_after_the_verification_stays(edit: Edit, connection: Connection) -> None:
    edit.verify()
    assert steps(edit.page) == ALL_OK
    ConnectionDraft.objects.update(verified_at=timezone.now() - dt.timedelta(minutes=20))
    assert mark_needs_attention(connection_id=connection.pk, cause="Another key.", code="identity_changed")
    edit.typed["name"] = "Another one"
    assert edit.save().status_code in (204, 303)
    connection.refresh_from_db()
    assert (connection.name, connection.state) == ("Another one", State.NEEDS_ATTENTION)


def test_save_pressed_twice_is_saved_once(edit: Edit, connection: Connection) -> None:
    edit.typed["name"] = "Another one"
    version = edit.typed["version"]
    assert edit.save().status_code in (204, 303)
    edit.typed["version"] = version
    assert edit.save().status_code in (204, 303)
    connection.refresh_from_db()
    assert (connection.name, connection.version) == ("Another one", 2)


def test_what_was_typed_for_a_removed_connection_is_kept(
    edit: Edit, connection: Connection, admin: User
) -> None:
    edit.typed |= {"name": "Typed for long", "export_folder": "far/away"}
    remove_connection(connection=connection, impact=impact_of(connection), actor=admin)
    assert edit.save().status_code == 409
    assert "The connection was removed meanwhile." in verify_error(edit.page)
    assert value_of(edit.page, "name") == "Typed for long"
    assert value_of(edit.page, "export_folder") == "far/away"
    assert 'action="/settings/connections/new/sftp/"' in edit.page
    assert not error_at(edit.page, "access")


def test_the_second_administrator_hears_that_it_was_paused(
    edit: Edit, connection: Connection, client_of: Clients, admin: User
) -> None:
    edit.typed["export_folder"] = "elsewhere"
    edit.verify()
    client_of(admin).post(f"/settings/connections/{connection.uuid}/pause/", {"version": 1})
    assert edit.save().status_code == 409
    assert "Its status is now: Paused." in text_of(edit.page)
    connection.refresh_from_db()
    assert connection.state == State.PAUSED


def test_what_is_paused_is_not_asked_about_again(
    connection: Connection, client_of: Clients, admin: User
) -> None:
    url = f"/settings/connections/{connection.uuid}/pause/"
    client = client_of(admin)
    assert client.post(url, {"version": 1}).status_code == 303
    second = client.post(url, {"version": 1})
    assert second.status_code == 409
    assert "It is paused already." in text_of(second.content.decode())
    assert '<button class="btn primary">' not in second.content.decode()


def test_without_a_change_nothing_is_offered_to_be_kept_unverified(
    edit: Edit, connection: Connection
) -> None:
    edit.verify()
    draft = ConnectionDraft.objects.get()
    draft.verification = [draft.verification[0] | {"status": "failed", "reachable": False}]
    draft.verified_digest = ""
    draft.save()
    edit.get(f"{edit.url.partition('?')[0]}?draft={draft.uuid}")
    assert steps(edit.page)[0] == "bad"
    assert "Save as not verified" not in edit.page


def test_a_key_trusted_here_gives_way_to_one_that_somebody_else_trusted_since(
    edit: Edit, connection: Connection, server: Server
) -> None:
    Connection.objects.update(host_key=NEW_KEY)
    edit.get(edit.url)
    edit.verify()
    edit.trust()
    assert steps(edit.page) == ALL_OK
    other = f"ssh-ed25519 {NEW_KEY.split()[1][:-4]}AAAA"
    Connection.objects.update(host_key=other, version=F("version") + 1)
    assert edit.save().status_code == 409
    assert steps(edit.page) == []
    edit.typed["export_folder"] = "elsewhere"
    assert edit.save().status_code == 422
    assert Connection.objects.get().host_key == other
    edit.verify()
    assert steps(edit.page)[2] == "ask"
    edit.trust()
    assert edit.save().status_code in (204, 303)
    assert Connection.objects.get().host_key.split()[1] == server.public_key.split()[1]
