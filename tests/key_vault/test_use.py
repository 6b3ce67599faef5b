"""Secrets of a Key Vault in use: runs of both kinds, verification, and what is written down of each reading."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection as database
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from connections import secret_store
from connections.connectors.errors import NeedsAttention
from connections.models import ConnectionSecret, KeyVault, VaultScope, VaultSecretState
from connections.operations.drafts import verify_draft
from connections.vault_cache import cache
from connections_portal.models import RunState, User
from tests.connectors.servers import SandboxFactory, make_key
from tests.enrichments.bringing import Bringing
from tests.enrichments.bringing import carry as carry_import
from tests.factories import SETTINGS, make_connection, make_draft
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads, told
from tests.runs.helpers import Delivery, carry, connect, make_export, start, until
from tests.runs.processes import Processes, ended

both_databases = pytest.mark.both_databases


@both_databases
def test_an_export_reads_its_password_at_the_moment_of_use(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    version = double.vault.put(NAME, delivery.server.password)
    vault = linked_vault()
    secret = read_from(delivery.connection, vault)
    run = start(delivery.export())
    before = timezone.now()
    assert carry(run) == "successful", (run.code, run.detail)

    of_run = {"purpose": "run", "run": str(run.uuid), "item": run.export.name}
    [used] = told("secret.used")
    assert used == of_run | {
        "fields": ["password"],
        "from_vaults": [
            {"field": "password", "vault": vault.host, "secret": NAME, "pinned": "", "cached": False}
        ],
    }
    [read] = told("vault.secret_read")
    assert read == of_run | {"field": "password", "vault": vault.host, "secret": NAME, "version": version}
    assert len(reads(double)) == 1

    secret.refresh_from_db()
    assert (secret.version, secret.state) == (version, VaultSecretState.USABLE)
    assert secret.read_at is not None
    assert secret.read_at >= before
    assert KeyVault.objects.get().last_contact_at is not None
    assert delivery.server.password not in everything_stored()


def everything_stored() -> str:
    """Every row of every table as text."""
    with database.cursor() as cursor:
        found = []
        for table in database.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            found.append(repr(cursor.fetchall()))
    return "".join(found)


def test_the_record_of_the_use_is_there_before_the_vault_is_asked(
    delivery: Delivery, double: Double, linked_vault: LinkVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    asked: list[int] = []
    note = double.cloud.note

    def watched(seen: object) -> None:
        note(seen)  # type: ignore[arg-type]
        if seen in reads(double):
            asked.append(len(told_elsewhere("secret.used")))

    monkeypatch.setattr(double.cloud, "note", watched)
    with secret_store.resolve(delivery.connection, purpose="run", actor=delivery.admin) as secrets:
        assert secrets["password"] == delivery.server.password
        assert asked == [1]
        assert len(told("vault.secret_read")) == 1
        assert not transaction.get_connection().in_atomic_block


def told_elsewhere(action: str) -> list[dict[str, object]]:
    """As ``told``, for the double's own threads."""
    try:
        return told(action)
    finally:
        database.close()


def test_an_import_reads_its_password_from_the_vault(
    bringing: Bringing, double: Double, linked_vault: LinkVault
) -> None:
    bringing.put()
    version = double.vault.put(NAME, bringing.server.password)
    read_from(bringing.connection, linked_vault())
    run = bringing.start(bringing.enrichment())
    assert carry_import(run) == "warnings", (run.code, run.detail)
    [read] = told("vault.secret_read")
    assert (read["run"], read["item"], read["version"]) == (str(run.uuid), "Scores", version)


@pytest.mark.parametrize("passphrase", ["", "a passphrase of its own"])
def test_a_private_key_and_its_passphrase_come_from_the_vault(
    customer_data: Path,
    transactional_db: None,
    admin: User,
    sandbox_server: SandboxFactory,
    allow_outgoing: Callable[[int], None],
    double: Double,
    linked_vault: LinkVault,
    tmp_path: Path,
    passphrase: str,
) -> None:
    key = make_key(tmp_path / "id", "-t", "rsa", "-b", "4096", passphrase=passphrase)
    with sandbox_server(authorized_keys=tmp_path / "id.pub") as (server, box):
        allow_outgoing(server.port)
        secrets = {"private_key": key} | ({"passphrase": passphrase} if passphrase else {})
        connection = connect(replace(server, private_key=key), actor=admin, secrets=secrets)
        vault = linked_vault()
        double.vault.put("sftp-key", key.replace("\n", "\r\n"))
        read_from(connection, vault, "sftp-key", field="private_key")
        if passphrase:
            double.vault.put("sftp-passphrase", passphrase)
            read_from(connection, vault, "sftp-passphrase", field="passphrase")
        run = start(make_export(connection, actor=admin))
        assert carry(run) == "successful", (run.code, run.detail)
        assert box.seen.passwords == 0
    assert [read["secret"] for read in told("vault.secret_read")] == (
        ["sftp-passphrase", "sftp-key"] if passphrase else ["sftp-key"]
    )


def test_a_stored_passphrase_opens_a_key_from_the_vault(
    admin: User, transactional_db: None, double: Double, linked_vault: LinkVault, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "id", "-t", "ed25519", passphrase="of the key")
    by_key = SETTINGS | {"auth_method": "key"}
    secrets = {"private_key": key, "passphrase": "of the key"}
    connection = make_connection(actor=admin, settings=by_key, secrets=secrets)
    double.vault.put("sftp-key", key)
    read_from(connection, linked_vault(), "sftp-key", field="private_key")
    with secret_store.resolve(connection, purpose="run", actor=admin) as found:
        assert set(found) == {"passphrase", "private_key"}
    ConnectionSecret.objects.filter(connection=connection, field="passphrase").delete()
    cache.clear()
    with pytest.raises(NeedsAttention) as raised:
        with secret_store.resolve(connection, purpose="run", actor=admin):
            pytest.fail("the key cannot be opened")
    assert raised.value.code == "vault_secret_unfit"


def test_workers_of_their_own_read_from_the_vault(
    environment: dict[str, str],
    delivery: Delivery,
    double: Double,
    linked_vault: LinkVault,
    process: Processes,
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    environment.update(double.environment)
    run = start(delivery.export())
    process("portal_worker", "--processes", "1")
    until(lambda: ended(run))
    assert run.state == RunState.SUCCESSFUL, (run.code, run.detail)
    assert len(reads(double)) == 1


def test_a_fixed_version_is_read_and_no_other(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    version = double.vault.put(NAME, delivery.server.password)
    double.vault.put(NAME, "a newer one that nobody asked for")
    read_from(delivery.connection, linked_vault(), pinned=version)
    run = start(delivery.export())
    assert carry(run) == "successful", (run.code, run.detail)
    assert [seen.path for seen in reads(double)] == [f"/secrets/{NAME}/{version}"]


def test_a_verification_reads_each_time_and_keeps_nothing(
    delivery: Delivery, double: Double, linked_vault: LinkVault, admin: User
) -> None:
    double.vault.put(NAME, delivery.server.password)
    draft = make_draft(
        actor=admin,
        settings=delivery.connection.settings,
        secrets={"password": "typed before"},
        host_key=delivery.server.public_key,
        verified=False,
    )
    read_from(draft, linked_vault())
    for times in (1, 2):
        draft = verify_draft(draft=draft, actor=admin)
        assert draft.verified_at, draft.verification
        assert len(reads(double)) == times
    assert [read["purpose"] for read in told("vault.secret_read")] == ["verify", "verify"]
    # what was verified says nothing of the connection that was there before
    assert len(cache) == 0


def test_a_secret_that_may_be_read_and_not_listed_is_used(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, delivery.server.password)
    vault = linked_vault()
    double.vault.forbid("list")
    secret = read_from(delivery.connection, vault)
    assert carry(start(delivery.export())) == "successful"
    secret.refresh_from_db()
    assert secret.state == VaultSecretState.USABLE


def test_inside_a_transaction_nobody_is_asked(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    with pytest.raises(RuntimeError), transaction.atomic():
        with secret_store.resolve(delivery.connection, purpose="run", actor=delivery.admin):
            pytest.fail("the record could still be rolled back")
    assert double.cloud.requests(host=double.vault.host) == []


@pytest.mark.parametrize("tagged", [False, True])
def test_a_run_costs_one_request_more_and_with_a_value_in_memory_none(
    delivery: Delivery, double: Double, linked_vault: LinkVault, tagged: bool
) -> None:
    double.vault.put(NAME, delivery.server.password, tags={"use": "portal"})
    scope = {"scope": VaultScope.TAG, "scope_value": "use=portal"} if tagged else {}
    read_from(delivery.connection, linked_vault(**scope))
    export = delivery.export()
    assert carry(start(export)) == "successful"
    for kept, paths in ((False, [f"/secrets/{NAME}"]), (True, [])):
        if not kept:
            cache.clear()
        double.cloud.seen.clear()
        assert carry(start(export)) == "successful"
        assert [seen.path for seen in double.cloud.seen] == paths


def test_another_key_leaves_a_reference_alone(
    delivery: Delivery, double: Double, linked_vault: LinkVault, settings: Settings
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    settings.CONNECTION_SECRET_KEYS = {9: bytes(range(32)), **settings.CONNECTION_SECRET_KEYS}
    before = ConnectionSecret.objects.values().get(connection=delivery.connection)
    assert secret_store.rotate() == (0, [])
    assert ConnectionSecret.objects.values().get(connection=delivery.connection) == before
    assert carry(start(delivery.export())) == "successful"


def test_contact_is_written_down_once_a_minute(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, delivery.server.password)
    vault = linked_vault()
    read_from(delivery.connection, vault)
    just_now = timezone.now() - dt.timedelta(seconds=30)
    KeyVault.objects.update(last_contact_at=just_now)
    assert carry(start(delivery.export())) == "successful"
    vault.refresh_from_db()
    assert vault.last_contact_at == just_now
    cache.clear()
    KeyVault.objects.update(last_contact_at=just_now - dt.timedelta(minutes=1))
    assert carry(start(delivery.export(name="Another one"))) == "successful"
    vault.refresh_from_db()
    assert vault.last_contact_at is not None
    assert vault.last_contact_at > just_now
