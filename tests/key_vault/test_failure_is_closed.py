"""Whatever is wrong at the vault, nothing else is tried: no other value, nothing sent, a cause that says who acts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections import secret_store
from connections.connectors.errors import NeedsAttention
from connections.models import ConnectionSecret, KeyVault, State, VaultSecret, VaultSecretState, VaultState
from connections.operations.drafts import verify_draft
from connections.vault_cache import cache
from connections_portal.models import AuditEntry, RunState, User, WhoActs
from connections_portal.sandbox.key_vault_cloud import FIREWALL, POLICY, Seen
from exports.models import Export, ExportRun
from tests.connectors.servers import make_key
from tests.enrichments.bringing import Bringing
from tests.enrichments.bringing import carry as carry_import
from tests.factories import SETTINGS, make_connection, make_draft
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads, told
from tests.runs.helpers import Delivery, carry, carry_again, start

HOUR = 3600.0


def missing(double: Double) -> None:
    double.vault.delete(NAME)


def disabled(double: Double) -> None:
    double.vault.change(NAME, enabled=False)


def expired(double: Double) -> None:
    double.vault.change(NAME, expires=-HOUR)


def not_yet_valid(double: Double) -> None:
    found = double.vault.find(NAME)
    assert found is not None
    found.not_before = found.created + 100_000


def forbidden(double: Double) -> None:
    double.vault.forbid()


def forbidden_by_policy(double: Double) -> None:
    double.vault.forbid(code=POLICY)


def behind_a_firewall(double: Double) -> None:
    double.vault.forbid(code=FIREWALL)


def for_another_target(double: Double) -> None:
    double.vault.change(NAME, tags={"portal-target": "files.example.com"})


def no_password(double: Double) -> None:
    double.vault.put(NAME, "two\nlines")


def too_long(double: Double) -> None:
    double.vault.put(NAME, "x" * 25_000)


def wrong_client_secret(double: Double) -> None:
    double.cloud.end_tokens()
    double.cloud.applications.clear()
    double.cloud.application(double.portal.client_id, secret="another one")


CAUSES: list[tuple[Callable[[Double], None], str]] = [
    (missing, "vault_secret_missing"),
    (disabled, "vault_secret_disabled"),
    (expired, "vault_secret_expired"),
    (not_yet_valid, "vault_secret_not_yet_valid"),
    (forbidden, "vault_forbidden"),
    (forbidden_by_policy, "vault_forbidden"),
    (behind_a_firewall, "vault_firewall"),
    (for_another_target, "vault_target_refused"),
    (no_password, "vault_secret_unfit"),
    (too_long, "vault_secret_unfit"),
    (wrong_client_secret, "vault_sign_in_refused"),
]


@pytest.fixture
def secret(delivery: Delivery, double: Double, linked_vault: LinkVault) -> VaultSecret:
    """The password of the delivery's connection, in the vault; it was looked at and never read."""
    double.vault.put(NAME, delivery.server.password)
    return read_from(delivery.connection, linked_vault())


@pytest.mark.parametrize(("cause", "code"), CAUSES, ids=lambda it: getattr(it, "__name__", it))
def test_a_run_ends_for_an_administrator_with_the_cause(
    delivery: Delivery, double: Double, secret: VaultSecret, cause: Callable[[Double], None], code: str
) -> None:
    export = delivery.export()
    kept = Export.objects.values().get()
    cause(double)
    run = start(export)
    assert carry(run) == "failed"
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, code, WhoActs.ADMINISTRATOR)
    # for everybody: what is wrong; for administrators: where
    for fixed in (run.cause, run.remedy):
        assert fixed
        assert "contoso" not in fixed
        assert NAME not in fixed
    assert run.detail.startswith(f"contoso-kv, {NAME}")
    # nothing was sent to the server, and nothing of the export was touched
    assert delivery.box.seen.requests == []
    assert Export.objects.values().get() == kept
    delivery.connection.refresh_from_db()
    assert (delivery.connection.state, delivery.connection.state_code) == (State.NEEDS_ATTENTION, code)
    assert delivery.connection.state_cause == run.cause
    assert len(cache) == 0


@pytest.mark.parametrize(("cause", "code"), CAUSES[:3], ids=lambda it: getattr(it, "__name__", it))
def test_an_import_ends_the_same_way(
    bringing: Bringing,
    double: Double,
    linked_vault: LinkVault,
    cause: Callable[[Double], None],
    code: str,
) -> None:
    bringing.put()
    double.vault.put(NAME, bringing.server.password)
    read_from(bringing.connection, linked_vault())
    cause(double)
    run = bringing.start(bringing.enrichment())
    assert carry_import(run) == "failed"
    assert (run.code, run.who_acts) == (code, WhoActs.ADMINISTRATOR)
    assert bringing.box.seen.requests == []


def test_a_value_that_was_read_and_is_not_handed_out_is_recorded_as_refused(
    delivery: Delivery, double: Double, secret: VaultSecret
) -> None:
    no_password(double)
    run = start(delivery.export())
    carry(run)
    [entry] = AuditEntry.objects.filter(action="vault.secret_read")
    assert entry.outcome == AuditEntry.Outcome.REFUSED
    assert (entry.details["code"], entry.details["run"]) == ("vault_secret_unfit", str(run.uuid))
    assert "There is a line break in it." in run.detail
    assert "two" not in run.detail


@pytest.mark.parametrize("wrong", ["missing", "expired", "unfit"])
def test_what_was_read_beside_it_is_recorded_as_well(
    admin: User,
    transactional_db: None,
    double: Double,
    linked_vault: LinkVault,
    tmp_path: Path,
    wrong: str,
) -> None:
    """Two fields from the vault of which one is not handed out: nothing that was read is without a record."""
    key = make_key(tmp_path / "id", "-t", "ed25519", passphrase="of the key")
    secrets = {"private_key": key, "passphrase": "of the key"}
    connection = make_connection(actor=admin, settings=SETTINGS | {"auth_method": "key"}, secrets=secrets)
    vault = linked_vault()
    double.vault.put("sftp-passphrase", "of the key")
    double.vault.put("sftp-key", key)
    read_from(connection, vault, "sftp-passphrase", field="passphrase")
    read_from(connection, vault, "sftp-key", field="private_key")
    match wrong:
        case "missing":
            double.vault.delete("sftp-key")
        case "expired":
            double.vault.change("sftp-passphrase", expires=-HOUR)
        case "unfit":
            double.vault.put("sftp-passphrase", "two\nlines")
    VaultSecret.objects.update(checked_at=timezone.now())
    with pytest.raises(NeedsAttention) as raised:
        with secret_store.resolve(connection, purpose="run", actor=admin):
            pytest.fail("one of them is not to be had")
    assert raised.value.code.endswith(wrong)
    got = [name for name in ("sftp-passphrase", "sftp-key") for _one in served(double, name)]
    entries = AuditEntry.objects.filter(action="vault.secret_read").order_by("pk")
    assert got
    assert [entry.details["secret"] for entry in entries] == got
    assert {entry.outcome for entry in entries} == {AuditEntry.Outcome.REFUSED}
    assert len(cache) == 0


def served(double: Double, name: str) -> list[Seen]:
    """The requests for a value of the secret that were answered with it."""
    return [seen for seen in reads(double, name) if seen.status == 200]


def test_a_later_success_takes_the_attention_back(
    delivery: Delivery, double: Double, secret: VaultSecret
) -> None:
    export = delivery.export()
    disabled(double)
    assert carry(start(export)) == "failed"
    secret.refresh_from_db()
    assert secret.state == VaultSecretState.DISABLED
    # what is known of it keeps nobody from asking
    double.vault.change(NAME, enabled=True)
    assert carry(start(export)) == "successful"
    secret.refresh_from_db()
    assert secret.state == VaultSecretState.USABLE
    delivery.connection.refresh_from_db()
    assert (delivery.connection.state, delivery.connection.state_code) == (State.READY, "")


@pytest.mark.parametrize("trouble", ["gone", "cut"])
def test_a_vault_out_of_reach_is_tried_again_and_nobody_needs_to_act(
    delivery: Delivery, double: Double, secret: VaultSecret, trouble: str
) -> None:
    getattr(double.troubles, trouble).add(double.vault.host)
    export = delivery.export()
    run = start(export)
    assert carry(run) == "retry"
    assert (run.state, run.code) == (RunState.QUEUED, "vault_unreachable")
    assert delivery.box.seen.requests == []
    delivery.connection.refresh_from_db()
    assert delivery.connection.state == State.READY
    getattr(double.troubles, trouble).clear()
    assert carry_again(run) == "successful"
    assert KeyVault.objects.get().state == VaultState.WORKING


def test_when_attempts_are_used_up_it_has_failed(
    delivery: Delivery, double: Double, secret: VaultSecret
) -> None:
    double.troubles.gone.add(double.vault.host)
    run = start(delivery.export())
    ExportRun.objects.filter(pk=run.pk).update(max_attempts=1)
    assert carry(run) == "failed"
    assert (run.code, run.who_acts) == ("vault_unreachable", WhoActs.ADMINISTRATOR)
    assert delivery.box.seen.requests == []


def test_there_is_no_value_to_fall_back_on(delivery: Delivery, double: Double, secret: VaultSecret) -> None:
    row = ConnectionSecret.objects.get(connection=delivery.connection)
    assert (row.nonce, row.ciphertext, row.key_version) == (None, None, None)
    export = delivery.export()
    assert carry(start(export)) == "successful"
    cache.clear()
    seen = len(delivery.box.seen.requests)
    missing(double)
    assert carry(start(export)) == "failed"
    assert len(delivery.box.seen.requests) == seen


def test_a_value_in_memory_ends_with_its_minute_and_not_with_the_vault(
    delivery: Delivery, double: Double, secret: VaultSecret
) -> None:
    """Within the minute a run goes on without the vault; that is what *Refresh now* is for."""
    export = delivery.export()
    assert carry(start(export)) == "successful"
    missing(double)
    assert carry(start(export)) == "successful"
    assert len(reads(double)) == 1
    VaultSecret.objects.update(generation=2)
    assert carry(start(export)) == "failed"


def test_a_secret_that_disappears_while_it_is_read_is_not_handed_out(
    delivery: Delivery, double: Double, secret: VaultSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connections.key_vault.client import AzureVault

    read = AzureVault.read

    def unlinked_meanwhile(vault: AzureVault, name: str, pinned: str = "") -> object:
        found = read(vault, name, pinned)
        ConnectionSecret.objects.filter(vault_secret=secret).delete()
        VaultSecret.objects.filter(pk=secret.pk).delete()
        return found

    monkeypatch.setattr(AzureVault, "read", unlinked_meanwhile)
    run = start(delivery.export())
    assert carry(run) == "failed"
    assert run.code == "vault_unlinked"
    assert delivery.box.seen.requests == []
    assert len(cache) == 0


def test_a_verification_says_it_at_the_step_that_needs_the_secret(
    delivery: Delivery, double: Double, linked_vault: LinkVault, admin: User
) -> None:
    double.vault.put(NAME, delivery.server.password, enabled=False)
    draft = make_draft(
        actor=admin,
        settings=delivery.connection.settings,
        secrets={"password": "typed before"},
        host_key=delivery.server.public_key,
        verified=False,
    )
    read_from(draft, linked_vault())
    draft = verify_draft(draft=draft, actor=admin)
    assert [step["key"] for step in draft.verification] == ["name", "reach", "identity", "sign_in"]
    last = draft.verification[-1]
    assert (last["status"], last["code"]) == ("failed", "vault_secret_disabled")
    assert last["cause"] == "The secret is disabled in the Key Vault."
    assert draft.verified_at is None
    assert delivery.box.seen.passwords == 0
    assert told("vault.secret_read") == []


def test_who_may_view_is_told_no_more_than_the_cause(
    delivery: Delivery,
    double: Double,
    secret: VaultSecret,
    admin: User,
    viewer: User,
    client_of: Callable[[User | None], Client],
) -> None:
    export = delivery.export()
    disabled(double)
    run = start(export)
    carry(run)
    url = reverse("exports:run", args=[export.uuid, run.uuid])
    to_viewer = client_of(viewer).get(url).content.decode()
    assert "The secret is disabled in the Key Vault." in to_viewer
    for name in ("contoso", NAME):
        assert name not in to_viewer
    assert f"contoso-kv, {NAME}" in client_of(admin).get(url).content.decode()
