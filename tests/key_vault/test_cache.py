"""What a process keeps of a vault: found again under everything it was read for, for a minute at most (S4, S6)."""

import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from connections import secret_store, vault_access, vault_cache
from connections.models import Connection, ConnectionSecret, KeyVault, VaultSecret
from connections.operations.refresh_secret import refresh_secret
from connections.vault_cache import Cache, Key, cache
from connections_portal import audit_story, redaction
from connections_portal.errors import OperationError
from connections_portal.models import AuditEntry, User
from connections_portal.redaction import redact
from tests.factories import make_connection
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads, told
from tests.runs.helpers import until

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "a-value-of-the-vault"
KEY = Key(uuid4(), 1, "password", 1, "", 1, 1, 1)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The cache's own time."""
    clock = Clock()
    monkeypatch.setattr(vault_cache, "time", clock)
    return clock


@pytest.fixture
def connection(admin: User, double: Double, linked_vault: LinkVault) -> Connection:
    """A connection whose password is in the vault."""
    double.vault.put(NAME, VALUE)
    connection = make_connection(actor=admin)
    read_from(connection, linked_vault())
    return connection


def use(connection: Connection) -> str:
    """The password, as a run uses it that takes the connection up now."""
    connection = Connection.objects.get(pk=connection.pk)
    with secret_store.resolve(connection, purpose="run", actor=None) as secrets:
        return secrets["password"]


def test_within_a_minute_the_vault_is_asked_once(
    connection: Connection, double: Double, clock: Clock
) -> None:
    assert use(connection) == VALUE
    double.vault.put(NAME, "another one")
    clock.now += 59.9
    assert use(connection) == VALUE
    assert len(reads(double)) == 1
    # the use is recorded all the same, as one of what is in memory
    assert [used["from_vaults"][0]["cached"] for used in told("secret.used")] == [False, True]  # type: ignore[index]
    assert len(told("vault.secret_read")) == 1
    clock.now += 0.2
    assert use(connection) == "another one"
    assert len(reads(double)) == 2


def test_one_minute_from_the_reading_and_not_from_the_last_use(
    connection: Connection, double: Double, clock: Clock
) -> None:
    for _second in range(7):
        use(connection)
        clock.now += 10
    assert len(reads(double)) == 2


def another_epoch(connection: Connection) -> None:
    Connection.objects.filter(pk=connection.pk).update(epoch=F("epoch") + 1)


def another_generation(connection: Connection) -> None:
    refresh_secret(connection=connection, field="password", actor=User.objects.get())


def another_link(connection: Connection) -> None:
    KeyVault.objects.update(version=F("version") + 1)


def another_secret(connection: Connection) -> None:
    secret = VaultSecret.objects.get()
    secret.pk, secret.uuid, secret.pinned = None, uuid4(), secret.version
    secret.save(force_insert=True)
    ConnectionSecret.objects.filter(connection=connection).update(vault_secret=secret)


def another_generation_elsewhere(connection: Connection) -> None:
    """In another process, which cannot empty this one's memory."""
    VaultSecret.objects.update(generation=F("generation") + 1)


@pytest.mark.parametrize(
    "change", [another_epoch, another_generation, another_generation_elsewhere, another_link, another_secret]
)
def test_whatever_it_was_read_for_has_changed_it_is_read_again(
    connection: Connection, double: Double, change: object
) -> None:
    use(connection)
    change(connection)  # type: ignore[operator]
    use(connection)
    assert len(reads(double)) == 2
    # and the earlier value is not kept beside it
    assert len(cache) == 1


def test_two_connections_with_one_secret_each_have_their_own(
    connection: Connection, double: Double, admin: User
) -> None:
    other = make_connection(actor=admin, name="Another one")
    read_from(other, KeyVault.objects.get())
    assert use(connection) == use(other) == VALUE
    assert len(reads(double)) == 2
    assert [read["version"] for read in told("vault.secret_read")] == [VaultSecret.objects.get().version] * 2


def test_a_stored_secret_is_never_kept(admin: User, transactional_db: None) -> None:
    use(make_connection(actor=admin))
    assert len(cache) == 0


def test_how_long_it_is_kept_is_told(connection: Connection, clock: Clock) -> None:
    secret = VaultSecret.objects.get()
    assert vault_access.kept(secret) is None
    use(connection)
    assert vault_access.kept(secret) == 60
    clock.now += 18.4
    assert vault_access.kept(secret) == 42
    clock.now += 60
    assert vault_access.kept(secret) is None


def test_it_is_masked_as_long_as_it_is_kept(connection: Connection, clock: Clock) -> None:
    use(connection)
    assert redact(f"says {VALUE}") == "says ***"
    clock.now += 61
    vault_access.kept(VaultSecret.objects.get())
    assert redact(f"says {VALUE}") == f"says {VALUE}"


def test_it_is_dropped_on_time_without_anybody_asking() -> None:
    kept = Cache(seconds=0.2)
    kept.put(KEY, VALUE, "1")
    kept.put(KEY._replace(field="passphrase"), VALUE + "-2", "1")
    assert len(kept) == 2
    until(lambda: len(kept) == 0)
    assert redact(VALUE) == VALUE
    assert redaction._active == {}


def test_it_has_a_limit_and_lets_go_of_the_oldest() -> None:
    kept = Cache(most=3)
    keys = [KEY._replace(owner=uuid4()) for _number in range(5)]
    for number, key in enumerate(keys):
        kept.put(key, f"{VALUE}-{number}", "1")
    assert [kept.get(key) is not None for key in keys] == [False, False, True, True, True]
    assert redact(f"{VALUE}-1 and {VALUE}-2") == f"{VALUE}-1 and ***"
    kept.clear()
    assert len(kept) == 0
    assert redaction._active == {}


def test_many_threads_at_once_leave_it_as_it_should_be() -> None:
    kept = Cache(most=8)
    keys = [KEY._replace(owner=uuid4()) for _number in range(16)]
    begin = threading.Barrier(8)

    def work(thread: int) -> None:
        begin.wait(10)
        for number in range(300):
            key = keys[(number * 7 + thread) % 16]
            kept.put(key, f"{VALUE}-{keys.index(key)}", "1")
            found = kept.get(key)
            assert found is None or found[0] == f"{VALUE}-{keys.index(key)}"
            if number % 50 == 0:
                kept.clear(owner=key.owner)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, thread) for thread in range(8)]:
            done.result(30)
    assert len(kept) <= 8
    kept.clear()
    assert redaction._active == {}


def test_it_cannot_be_printed_or_pickled() -> None:
    kept = Cache()
    kept.put(KEY, VALUE, "1")
    try:
        shown = f"{kept!r} {kept!s} {kept._kept!r}"
        assert VALUE not in shown
        for thing in (kept, next(iter(kept._kept.values()))):
            with pytest.raises(TypeError):
                pickle.dumps(thing)
    finally:
        kept.clear()


def test_a_new_process_begins_with_nothing(connection: Connection) -> None:
    use(connection)
    child = os.fork()
    if child == 0:
        os._exit(0 if len(cache) == 0 and redaction._active == {} else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(cache) == 1


def test_refresh_now_is_recorded_and_queues_a_look(connection: Connection, admin: User) -> None:
    secret = VaultSecret.objects.get()
    refresh_secret(connection=connection, field="password", actor=admin)
    assert VaultSecret.objects.get().generation == secret.generation + 1
    [refreshed] = AuditEntry.objects.filter(action="vault.secret_refreshed")
    assert (refreshed.actor_id, refreshed.object_uuid) == (admin.pk, connection.uuid)
    # the secret's name is a detail for administrators, in what support staff see there is none
    assert refreshed.details["secret"] == NAME
    told_support = audit_story.details(refreshed, for_administrators=False)
    assert NAME not in f"{audit_story.describe(refreshed)} {refreshed.object_label} {told_support}"
    assert KeyVault.objects.get().check_queued_at is not None


def test_refresh_now_of_what_is_stored_is_refused(admin: User) -> None:
    with pytest.raises(OperationError):
        refresh_secret(connection=make_connection(actor=admin), field="password", actor=admin)
    assert not AuditEntry.objects.filter(action="vault.secret_refreshed").exists()


def test_the_page_tells_where_the_secret_is(
    connection: Connection, admin: User, client_of: Callable[[User | None], Client]
) -> None:
    client = client_of(admin)
    use(connection)
    page = client.get(reverse("connections:detail", args=[connection.uuid])).content.decode()
    for words in ("Key Vault contoso-kv", NAME, VaultSecret.objects.get().version, "at most 60 seconds"):
        assert words in page
    assert VALUE not in page
    url = reverse("connections:refresh_secret", args=[connection.uuid, "password"])
    assert f'action="{url}"' in page
    answer = client.post(url, follow=True)
    assert "crm-password is read anew at its next use" in answer.content.decode()
    assert len(cache) == 0
