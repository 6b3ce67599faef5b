"""Secrets typed beside something wrong: kept while the target is right, asked for again otherwise, never mixed up."""

import asyncssh
import pytest

from connections.models import ConnectionDraft, ConnectionSecret
from connections_portal.sandbox.server import SandboxServer
from tests.connections.filling import SetUp, error_at, steps, text_of
from tests.connectors.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("action", ["verify", "save"])
@pytest.mark.parametrize("wrong", [{"export_folder": "../up"}, {"username": ""}], ids=["folder", "user name"])
def test_a_wrong_field_keeps_the_password(
    set_up: SetUp, server: Server, action: str, wrong: dict[str, str]
) -> None:
    right = dict(set_up.typed)
    set_up.typed |= wrong
    assert set_up.press(action).status_code == 422
    assert "Kept for this set-up until" in text_of(set_up.page)
    assert not error_at(set_up.page, "password")
    set_up.typed |= {key: right[key] for key in wrong} | {"password": ""}
    set_up.verify()
    set_up.trust()
    assert steps(set_up.page) == ["ok"] * 6


def test_a_wrong_passphrase_keeps_the_key(set_up: SetUp) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh", passphrase="right one")
    set_up.typed |= {"auth_method": "key", "private_key": key.decode(), "passphrase": "wrong one"}
    set_up.typed.pop("password")
    assert set_up.verify().status_code == 422
    assert "does not open" in error_at(set_up.page, "passphrase")
    assert "BEGIN" not in set_up.page
    assert [secret.field for secret in ConnectionSecret.objects.all()] == ["private_key"]
    set_up.typed |= {"private_key": "", "passphrase": "right one"}
    set_up.verify()
    assert steps(set_up.page)[2] == "ask"
    set_up.trust()
    assert steps(set_up.page)[3] == "bad"  # the server does not know this key, which could be opened
    assert "refused" in text_of(set_up.page)


def test_an_earlier_password_is_not_used_in_place_of_the_one_typed_last(
    set_up: SetUp, server: Server, box: SandboxServer
) -> None:
    set_up.verify()
    set_up.trust()
    assert steps(set_up.page) == ["ok"] * 6
    set_up.typed |= {"password": "typed-last-and-wrong", "export_folder": "../up"}
    assert set_up.verify().status_code == 422
    set_up.typed |= {"password": "", "export_folder": "fine"}
    set_up.verify()
    assert steps(set_up.page)[3] == "bad"


def test_a_wrong_target_asks_for_the_password_again(set_up: SetUp) -> None:
    set_up.verify()
    own = set_up.typed["hostname"]
    set_up.typed |= {"hostname": "not a host", "password": "typed-for-another-server"}
    assert set_up.verify().status_code == 422
    assert error_at(set_up.page, "password").startswith("Type it again once the target is right")
    assert not ConnectionSecret.objects.exists()
    set_up.typed |= {"hostname": own, "password": ""}
    assert set_up.verify().status_code == 422
    assert error_at(set_up.page, "password") == "Fill in this field."
    assert ConnectionDraft.objects.count() == 1


def test_a_wrong_target_alone_says_nothing_of_the_password(set_up: SetUp) -> None:
    set_up.verify()
    own = set_up.typed["hostname"]
    set_up.typed |= {"hostname": "not a host", "password": ""}
    assert set_up.verify().status_code == 422
    assert not error_at(set_up.page, "password")
    set_up.typed["hostname"] = own
    set_up.verify()
    assert steps(set_up.page)[2] == "ask"
