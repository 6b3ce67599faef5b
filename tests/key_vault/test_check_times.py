"""Checks of Key Vaults by workers: which secrets, when, for how long, and several at once."""

import datetime as dt
import itertools
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from connections.models import ConnectionDraft, ConnectionSecret, KeyVault, VaultSecret
from connections.operations import vault_checks
from connections.operations.vault_checks import LOST_AFTER, look_at, queue_due
from connections.operations.vault_health import record_secret_state
from connections.vault_tasks import check
from connections_portal import messages
from connections_portal.models import AuditEntry, User
from connections_portal.ticking import tick
from tests.key_vault.checking import SECRET, Look, told, waiting
from tests.key_vault.double import Double
from tests.key_vault.health_data import DAY, connect, make_secret

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)


def test_secrets_of_drafts_alone_are_not_looked_at_and_forgotten_ones_go(
    double: Double, look: Look, vault: KeyVault
) -> None:
    unused, young = make_secret(vault, "unused"), make_secret(vault, "young")
    VaultSecret.objects.filter(pk=unused.pk).update(created_at=timezone.now() - 2 * DAY)
    draft = make_secret(vault, "of-a-draft")
    VaultSecret.objects.filter(pk=draft.pk).update(created_at=timezone.now() - 2 * DAY)
    stored = ConnectionSecret.objects.get(vault_secret__name=SECRET)
    other = ConnectionSecret.objects.create(
        draft=_draft_of(stored), field="password", vault_secret=draft, target_digest=stored.target_digest
    )
    look()
    assert set(VaultSecret.objects.values_list("name", flat=True)) == {SECRET, "young", "of-a-draft"}
    assert not double.cloud.requests(path="/secrets/of-a-draft")
    other.delete()
    look()
    assert set(VaultSecret.objects.values_list("name", flat=True)) == {SECRET, young.name}


def _draft_of(stored: ConnectionSecret) -> ConnectionDraft:
    assert stored.connection is not None
    assert stored.connection.created_by is not None
    return ConnectionDraft.objects.create(
        type_key="sftp",
        created_by=stored.connection.created_by,
        expires_at=timezone.now() + HOUR,
    )


def test_a_check_ends_in_time_and_goes_on_where_it_stopped(
    double: Double, vault: KeyVault, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        double.vault.put(f"many-{number}", "value")
        connect(make_secret(vault, f"many-{number}"), actor=admin, name=f"C{number}")
    KeyVault.objects.update(check_queued_at=timezone.now())
    with monkeypatch.context() as patch:
        # every secret takes twenty seconds
        patch.setattr(vault_checks, "time", SimpleNamespace(monotonic=itertools.count(0, 20).__next__))
        assert look_at(vault_id=vault.pk) == "goes on"
    seen = {request.path for request in double.cloud.requests(path="/secrets/many")}
    assert len(seen) == 2
    assert len(waiting()) == 1
    double.cloud.seen.clear()
    assert look_at(vault_id=vault.pk) == "working"
    more = {request.path for request in double.cloud.requests(path="/secrets/many")}
    assert not seen & more
    assert len(seen | more) == 4


def test_a_silent_vault_keeps_a_worker_no_longer_than_one_request(
    double: Double, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connections.key_vault import client

    monkeypatch.setattr(client, "PAGE_SECONDS", 1.0)
    double.troubles.silent.add(double.vault.host)
    began = time.monotonic()
    assert look() == "unreachable, usable"
    assert time.monotonic() - began < 4


@pytest.mark.both_databases
def test_the_clock_queues_one_check_for_each_due_vault(vault: KeyVault, settings: Settings) -> None:
    now = timezone.now()
    KeyVault.objects.update(checked_at=now)
    assert tick(now=now + HOUR / 2)["vaults"] == 0
    for expected in (1, 0, 0):
        assert tick(now=now + HOUR)["vaults"] == expected
    [message] = waiting()
    assert message.args_kwargs["args"] == [vault.pk]
    # the message is still there: nothing is doubled, however late its worker is
    assert tick(now=now + 3 * HOUR)["vaults"] == 0
    # it was lost
    DBTaskResult.objects.all().delete()
    assert tick(now=now + HOUR + LOST_AFTER / 2)["vaults"] == 0
    assert tick(now=now + HOUR + LOST_AFTER)["vaults"] == 1
    settings.VAULT_CHECK_SECONDS = 60
    KeyVault.objects.update(checked_at=now, check_queued_at=None)
    DBTaskResult.objects.all().delete()
    assert tick(now=now + dt.timedelta(seconds=61))["vaults"] == 1


@pytest.mark.both_databases
def test_a_check_whose_worker_was_killed_is_closed_and_comes_again(vault: KeyVault) -> None:
    now = timezone.now()
    KeyVault.objects.update(checked_at=now - HOUR, check_queued_at=now - LOST_AFTER)
    check.enqueue(vault.pk)
    DBTaskResult.objects.update(status=TaskResultStatus.RUNNING, started_at=now - LOST_AFTER)
    assert tick(now=now)["vaults"] == 1
    assert len(waiting()) == 1
    assert not DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING).exists()


def test_a_vault_that_is_gone_is_no_failure() -> None:
    assert look_at(vault_id=1) == "gone"


def at_once(work: Callable[[], object]) -> None:
    """Do this in two threads, each with a connection of its own to the database."""

    def one() -> None:
        try:
            work()
        finally:
            database.close()

    workers = [threading.Thread(target=one) for _number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_two_clocks_at_once_queue_one_check(vault: KeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyVault.objects.update(checked_at=None)
    reached = threading.Barrier(2, timeout=20)
    ask = messages.waiting

    def both_first(task: object) -> set[int]:
        found = ask(task)
        reached.wait()
        return found

    monkeypatch.setattr(messages, "waiting", both_first)
    queued: list[int] = []
    at_once(lambda: queued.append(queue_due(now=timezone.now())))
    assert sorted(queued) == [0, 1]
    assert len(waiting()) == 1


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_two_checks_at_once_make_one_notice(double: Double, vault: KeyVault, secret: VaultSecret) -> None:
    """Both workers find the change at the same moment."""
    double.vault.delete(SECRET)
    reached = threading.Barrier(2, timeout=20)
    came: list[str] = []

    def both_first(*args: Any, **more: Any) -> bool:
        reached.wait()
        return record_secret_state(*args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vault_checks, "record_secret_state", both_first)
        at_once(lambda: came.append(look_at(vault_id=vault.pk)))
    assert came == ["working", "working"]
    assert told() == [f"{SECRET}: usable -> missing"]
    changes = AuditEntry.objects.filter(
        action__in=("vault.secret_state_changed", "connection.needs_attention")
    )
    assert changes.count() == 2


def test_a_vault_that_goes_on_asking_to_wait_is_asked_now_and_then_by_one_message(
    double: Double, look: Look, vault: KeyVault
) -> None:
    """However soon it says, and however many messages found it so."""
    double.troubles.throttled, double.troubles.retry_after = 100, 0
    for _message in range(3):
        assert look() == "vault_throttled, usable"
    [again] = waiting()
    assert again.run_after is not None
    assert (again.run_after - timezone.now()).total_seconds() > 10
