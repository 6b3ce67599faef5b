"""Letters about Key Vaults: to whom they go, what they say, and when they are not sent any more."""

import datetime as dt
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.key_vault.base import SecretFacts
from connections.models import Connection, KeyVault, VaultSecret, VaultSecretState, VaultState
from connections.operations.vault_health import record_new_target, record_secret_state, record_vault_state
from connections_portal import roles
from connections_portal.mail import send
from connections_portal.models import User
from connections_portal.roles import Role
from exports.item import Item
from exports.models import ExportSchedule, ItemKind, ScheduleKind
from exports.operations.edit import Timing, create_export
from tests.data import write_customers
from tests.fixtures import make_person
from tests.key_vault.health_data import DAY, Failure, connect, make_secret, make_vault
from tests.smtp import Mailbox, mail_server

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LOYAL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("email",))
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6))
FORBIDDEN: Failure = {
    "code": "vault_firewall",
    "cause": "The Key Vault's firewall does not let the portal in.",
}


@pytest.fixture
def mailbox(settings: Settings, tmp_path: Path) -> Iterator[Mailbox]:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    with mail_server() as box:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        settings.PORTAL_URL = "https://portal.example.com"
        yield box


@pytest.fixture(autouse=True)
def addresses(admin: User, contributor: User, viewer: User, support: User) -> None:
    for person in (admin, contributor, viewer, support):
        person.email = f"{person.username}@example.com"
        person.save()


@pytest.fixture
def vault() -> KeyVault:
    return make_vault()


@pytest.fixture
def secret(vault: KeyVault, admin: User) -> VaultSecret:
    secret = make_secret(vault)
    connect(secret, actor=admin)
    return secret


def deliver(box: Mailbox) -> list[tuple[str, str, str]]:
    """Send what is queued: to whom, about what, and the text in one line."""
    box.messages.clear()
    box.recipients.clear()
    for message in DBTaskResult.objects.filter(task_path=send.module_path, status=TaskResultStatus.READY):
        send.call(*message.args_kwargs["args"])
        DBTaskResult.objects.filter(pk=message.pk).update(status=TaskResultStatus.SUCCESSFUL)
    return [
        (to, str(message["Subject"]), _text(message))
        for to, message in zip(box.recipients, box.messages, strict=True)
    ]


def _text(message: EmailMessage) -> str:
    return " ".join(str(message.get_content()).split())


def test_administrators_alone_are_written_to(mailbox: Mailbox, vault: KeyVault, secret: VaultSecret) -> None:
    other = make_person("maja", Role.ADMINISTRATOR, email="maja@example.com")
    make_person("mute", Role.ADMINISTRATOR)
    record_vault_state(vault.pk, VaultState.FORBIDDEN, **FORBIDDEN)
    sent = deliver(mailbox)
    assert sorted(to for to, _subject, _said in sent) == ["lena@example.com", "maja@example.com"]
    _to, subject, said = sent[0]
    assert subject == 'The Key Vault "contoso-kv" gives the portal no permission.'
    assert "The Key Vault's firewall does not let the portal in." in said
    assert "Connections: Newsletter, SFTP EU." in said
    assert "https://portal.example.com/settings/key-vault/" in said
    record_vault_state(vault.pk, VaultState.WORKING)
    roles.assign(user=other, role=Role.VIEWER)  # whose letter is queued already
    [(to, subject, said)] = deliver(mailbox)
    assert (to, subject) == ("lena@example.com", 'The Key Vault "contoso-kv" works again.')
    assert "would fail" not in said


def test_what_is_otherwise_again_is_not_told_any_more(
    mailbox: Mailbox, admin: User, secret: VaultSecret
) -> None:
    """What is said is read when it is sent: of two changes that waited, only the last is true."""
    record_secret_state(secret.pk, VaultSecretState.MISSING)
    record_secret_state(secret.pk, VaultSecretState.DISABLED)
    [(_to, subject, said)] = deliver(mailbox)
    assert subject == 'The secret "crm-password" in "contoso-kv" is disabled.'
    assert "Enable it in Azure, or choose another one." in said
    record_secret_state(secret.pk, VaultSecretState.MISSING)
    roles.assign(user=make_person("maja", Role.ADMINISTRATOR), role=Role.VIEWER)
    User.objects.filter(pk=admin.pk).update(is_active=False)
    assert not deliver(mailbox)


def test_what_came_back_and_went_again_is_told_once(mailbox: Mailbox, secret: VaultSecret) -> None:
    for state in (VaultSecretState.MISSING, VaultSecretState.USABLE, VaultSecretState.MISSING):
        record_secret_state(secret.pk, state)
    record_vault_state(secret.vault_id, VaultState.FORBIDDEN, **FORBIDDEN)
    record_vault_state(secret.vault_id, VaultState.WORKING)
    record_vault_state(secret.vault_id, VaultState.FORBIDDEN, **FORBIDDEN)
    assert sorted(subject for _to, subject, _said in deliver(mailbox)) == [
        'The Key Vault "contoso-kv" gives the portal no permission.',
        'The secret "crm-password" is missing in "contoso-kv".',
    ]


@pytest.mark.parametrize("days", [0.5, -1], ids=["expires", "expired"])
def test_a_fixed_version_is_told_apart_from_the_latest(
    mailbox: Mailbox, vault: KeyVault, secret: VaultSecret, admin: User, days: float
) -> None:
    """Which may be renewed already: what helps is to choose another version."""
    fixed = make_secret(vault, secret.name, pinned="0f" * 16)
    connect(fixed, actor=admin, name="Fixed")
    facts = SecretFacts(name=secret.name, version=fixed.pinned, expires_at=timezone.now() + days * DAY)
    record_secret_state(fixed.pk, VaultSecretState.USABLE, facts=facts)
    [(_to, subject, said)] = deliver(mailbox)
    assert subject.startswith(f'The secret "crm-password, version {fixed.pinned}" in "contoso-kv"')
    assert "choose a newer one, or always the latest" in said
    assert "new version" not in said
    assert "Connections: Fixed." in said
    # another state of the other one takes nothing back
    record_secret_state(fixed.pk, VaultSecretState.DISABLED)
    record_secret_state(secret.pk, VaultSecretState.MISSING)
    assert len(deliver(mailbox)) == 2


def test_what_depends_on_it_and_which_run_would_fail(
    mailbox: Mailbox, admin: User, secret: VaultSecret
) -> None:
    User.objects.filter(pk=admin.pk).update(time_zone="Europe/Vienna")
    connection = Connection.objects.get()
    for number in range(2):
        create_export(
            name=f"E{number}", connection=connection, options={}, items=[LOYAL], schedule=DAILY, actor=admin
        )
    next_at = dt.datetime(2031, 1, 7, 5, 0, tzinfo=dt.UTC)
    ExportSchedule.objects.update(next_at=next_at)
    record_secret_state(secret.pk, VaultSecretState.DISABLED)
    [(_to, _subject, said)] = deliver(mailbox)
    assert "Built on them: 2 exports." in said
    assert "The next scheduled run, on 7 January 2031, 06:00 CET, would fail." in said


@pytest.mark.parametrize(("hours", "fails"), [(1, False), (30, True)])
def test_of_a_secret_that_expires_only_a_run_after_that_would_fail(
    mailbox: Mailbox, admin: User, secret: VaultSecret, hours: int, fails: bool
) -> None:
    now = timezone.now()
    create_export(
        name="E",
        connection=Connection.objects.get(),
        options={},
        items=[LOYAL],
        schedule=DAILY,
        actor=admin,
    )
    ExportSchedule.objects.update(next_at=now + dt.timedelta(hours=hours))
    facts = SecretFacts(name=secret.name, expires_at=now + DAY)
    record_secret_state(secret.pk, VaultSecretState.USABLE, facts=facts)
    [(_to, subject, said)] = deliver(mailbox)
    assert "expires within a day" in subject
    assert "Give it a new version in Azure before" in said
    assert ("would fail" in said) is fails


def test_a_first_use_for_a_target_names_who_and_where(
    mailbox: Mailbox, contributor: User, secret: VaultSecret
) -> None:
    record_new_target(secret, owner=Connection.objects.get(), actor=contributor)
    [(to, subject, said)] = deliver(mailbox)
    assert to == "lena@example.com"
    assert subject.startswith(
        'Ana Weber used the secret "crm-password" in "contoso-kv" for a new target: sftp://'
    )
    assert "Connections: Newsletter, SFTP EU." in said


def test_the_queue_holds_ids_only(mailbox: Mailbox, secret: VaultSecret) -> None:
    record_secret_state(secret.pk, VaultSecretState.MISSING)
    for message in DBTaskResult.objects.all():
        assert secret.name not in str(message.args_kwargs)
        assert "contoso" not in str(message.args_kwargs)
