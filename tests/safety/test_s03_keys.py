"""S3: old and new key side by side, rotation that can be restarted, no start without a real key."""

import base64
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from connections import secret_store
from connections_portal.checks import keys_are_real
from connections_portal.models import AuditEntry, User
from tests.factories import make_connection, make_draft

pytestmark = pytest.mark.both_databases

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.mark.django_db
def test_rotation_rewrites_what_the_old_key_wrote(admin: User, settings: Settings) -> None:
    settings.CONNECTION_SECRET_KEYS = {1: OLD}
    first = make_connection(actor=admin, secrets={"password": "first-password"})
    settings.CONNECTION_SECRET_KEYS = {2: NEW, 1: OLD}
    second = make_connection(actor=admin, name="Second", secrets={"password": "second-password"})
    assert [first.secrets.get().key_version, second.secrets.get().key_version] == [1, 2]
    call_command("rotate_secret_key")
    call_command("rotate_secret_key")
    settings.CONNECTION_SECRET_KEYS = {2: NEW}
    for connection, value in ((first, "first-password"), (second, "second-password")):
        with secret_store.resolve(connection, purpose="run", actor=None) as secrets:
            assert secrets["password"] == value


@pytest.mark.django_db
def test_an_unknown_version_never_falls_back(admin: User, settings: Settings) -> None:
    settings.CONNECTION_SECRET_KEYS = {1: OLD}
    connection = make_connection(actor=admin, secrets={"password": "first-password"})
    settings.CONNECTION_SECRET_KEYS = {2: NEW}
    with pytest.raises(secret_store.KeyUnknown):
        with secret_store.resolve(connection, purpose="run", actor=None):
            pytest.fail("the value was handed out")
    with pytest.raises(CommandError, match="key"):
        call_command("rotate_secret_key")


@pytest.mark.django_db
def test_rows_that_cannot_be_read_stop_no_other(
    admin: User, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """One was tampered with, one has a key that nobody configured; they are named, without values."""
    settings.CONNECTION_SECRET_KEYS = {3: b"t" * 32}
    foreign = make_connection(actor=admin, name="Foreign", secrets={"password": "foreign-password"})
    settings.CONNECTION_SECRET_KEYS = {1: OLD}
    tampered = make_connection(actor=admin, name="Tampered", secrets={"password": "tampered-password"})
    sound = [
        make_connection(actor=admin, name=name, secrets={"password": f"{name}-password"})
        for name in ("first", "second")
    ]
    draft = make_draft(actor=admin, secrets={"password": "draft-password"})
    tampered.secrets.update(nonce=bytes(12))
    draft.secrets.update(nonce=b"")
    before = [list(owner.secrets.values()) for owner in (foreign, tampered, draft)]
    settings.CONNECTION_SECRET_KEYS = {2: NEW, 1: OLD}
    for count in (2, 0):
        with pytest.raises(CommandError) as ended:
            call_command("rotate_secret_key")
        assert ended.value.returncode == 1
        assert capsys.readouterr().out.startswith(f"{count} stored secrets were encrypted")
        said = str(ended.value)
        assert said.startswith("3 stored secrets could not be read:")
        for owner in (foreign, tampered, draft):
            assert f"secret {owner.secrets.get().uuid} (password of {owner.uuid})" in said
        assert "-password" not in said
        entry = AuditEntry.objects.filter(action="secret.key_rotated").latest("pk")
        assert entry.details["count"] == count
        assert len(entry.details["unread"]) == 3
    assert [list(owner.secrets.values()) for owner in (foreign, tampered, draft)] == before
    settings.CONNECTION_SECRET_KEYS = {2: NEW}
    for connection in sound:
        with secret_store.resolve(connection, purpose="run", actor=None) as secrets:
            assert secrets["password"] == f"{connection.name}-password"


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("", "CONNECTION_SECRET_KEYS is not set"),
        ("1:" + base64.b64encode(b"short").decode(), "32 bytes"),
        ("one:" + base64.b64encode(OLD).decode(), "VERSION:BASE64"),
        ("1:???", "VERSION:BASE64"),
    ],
)
def test_the_portal_does_not_start_without_a_proper_key(keys: str, complaint: str) -> None:
    environment = {**os.environ, "SECRET_KEY": "s" * 50, "CONNECTION_SECRET_KEYS": keys}
    started = subprocess.run(
        [sys.executable, "manage.py", "check"], env=environment, capture_output=True, text=True, check=False
    )
    assert started.returncode != 0
    assert complaint in started.stderr


def test_known_keys_are_refused(settings: Settings) -> None:
    assert keys_are_real() == []
    settings.TESTING = False
    assert {error.id for error in keys_are_real()} == {"portal.E001", "portal.E002"}
