"""S3: old and new key side by side, rotation that can be restarted, no start without a real key."""

import base64
import datetime as dt
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from connections import sealed, secret_store
from connections.models import State
from connections.operations.attempts import PUBLISH_ATTEMPTS
from connections_portal.checks import keys_are_real
from connections_portal.models import AuditEntry, RunState, User
from exports.models import ExportRun
from tests.factories import make_connection, make_draft
from tests.runs.helpers import Delivery, carry, carry_again, claimed, start

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
    with pytest.raises(sealed.KeyUnknown):
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


def test_a_run_waits_for_its_key_however_long_that_takes(delivery: Delivery, settings: Settings) -> None:
    """Nothing is sent, nothing is cleared, and no attempt is used up, not even the last one."""
    settings.RUN_MAX_ATTEMPTS = 1
    keys = settings.CONNECTION_SECRET_KEYS
    run = start(delivery.export())
    stored = list(delivery.connection.secrets.values())
    settings.CONNECTION_SECRET_KEYS = {9: NEW}
    assert carry(run) == "retry"
    for _again in range(3):
        assert (run.state, run.code, run.who_acts) == (RunState.QUEUED, "key_unknown", "")
        assert run.not_before > timezone.now() + dt.timedelta(minutes=4)
        assert carry_again(run) == "retry"
    assert list(delivery.connection.secrets.values()) == stored
    assert delivery.box.seen.requests == []
    delivery.connection.refresh_from_db()
    assert delivery.connection.state == State.READY
    # those that count are all left
    assert run.max_attempts - run.attempt == settings.RUN_MAX_ATTEMPTS
    settings.CONNECTION_SECRET_KEYS = keys
    assert carry_again(run) == "successful"
    assert run.code == ""


def test_so_does_one_that_only_has_to_be_renamed(delivery: Delivery, settings: Settings) -> None:
    keys = settings.CONNECTION_SECRET_KEYS
    run = start(delivery.export())
    claimed(run)
    last = PUBLISH_ATTEMPTS - 1
    final = f"{run.export.folder_name}/20260101-000000Z-{run.uuid.hex[:8]}"
    over = timezone.now() - dt.timedelta(seconds=1)
    ExportRun.objects.filter(pk=run.pk).update(
        state=RunState.PUBLISHING, lease_until=over, manifest={"files": []}, final_folder=final
    )
    ExportRun.objects.update(publish_attempt=last)
    settings.CONNECTION_SECRET_KEYS = {9: NEW}
    for _again in range(3):
        assert carry(run) == "publishing later"
        assert (run.state, run.publish_attempt, run.code) == (RunState.PUBLISHING, last, "key_unknown")
        ExportRun.objects.filter(pk=run.pk).update(lease_until=over)
    settings.CONNECTION_SECRET_KEYS = keys
    # there is no such folder: that was the last try
    assert carry(run) == "failed"
    assert run.code == "not_published"


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
