"""States of Key Vaults and their secrets: one notice for each change, recovery included, and nothing for no change."""

import datetime as dt

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from connections.key_vault import errors
from connections.key_vault.base import SecretFacts
from connections.models import (
    Connection,
    KeyVault,
    State,
    VaultNotice,
    VaultSecret,
    VaultSecretState,
    VaultState,
)
from connections.operations.attention import mark_needs_attention
from connections.operations.vault_health import (
    DOUBT,
    record_failure,
    record_new_target,
    record_secret_state,
    record_vault_state,
)
from connections.vault_tasks import check
from connections_portal.models import AuditEntry, User
from tests.key_vault.health_data import DAY, Failure, connect, make_secret, make_vault

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

UNREACHABLE: Failure = {"code": "vault_unreachable", "cause": "The Key Vault could not be reached."}


def notices() -> list[tuple[str, str, str]]:
    found = VaultNotice.objects.order_by("pk")
    return [(notice.secret_name, notice.before, notice.after) for notice in found]


@pytest.mark.parametrize(
    ("state", "code"),
    [(VaultState.SIGN_IN_REFUSED, "vault_sign_in_refused"), (VaultState.FORBIDDEN, "vault_forbidden")],
)
def test_a_vault_that_refuses_is_told_once_and_so_is_its_recovery(
    admin: User, state: VaultState, code: str
) -> None:
    vault = make_vault()
    connection = connect(make_secret(vault), actor=admin)
    cause = errors.problem(code).cause
    assert record_vault_state(vault.pk, state, code=code, cause=cause)
    assert not record_vault_state(vault.pk, state, code=code, cause=cause)
    vault.refresh_from_db()
    assert (vault.state, vault.state_code, vault.state_cause) == (state, code, cause)
    connection.refresh_from_db()
    assert (connection.state, connection.state_code) == (State.NEEDS_ATTENTION, code)
    assert connection.state_cause == cause

    assert record_vault_state(vault.pk, VaultState.WORKING)
    assert not record_vault_state(vault.pk, VaultState.WORKING)
    vault.refresh_from_db()
    assert (vault.state, vault.state_code, vault.state_cause) == (VaultState.WORKING, "", "")
    connection.refresh_from_db()
    assert (connection.state, connection.state_code, connection.state_cause) == (State.READY, "", "")
    assert notices() == [("", VaultState.WORKING, state), ("", state, VaultState.WORKING)]
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert [
        action for action in actions if action.startswith(("vault", "connection.needs", "connection.well"))
    ] == [
        "vault.state_changed",
        "connection.needs_attention",
        "vault.state_changed",
        "connection.well_again",
    ]


def test_one_lost_packet_tells_nobody(admin: User) -> None:
    vault, now = make_vault(), timezone.now()
    connection = connect(make_secret(vault), actor=admin)
    assert not record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now)
    # another worker at the same moment, and the run that it failed
    assert not record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now + DAY / 1440)
    vault.refresh_from_db()
    assert (vault.state, vault.state_code) == (VaultState.WORKING, "vault_unreachable")
    assert not record_vault_state(vault.pk, VaultState.WORKING, now=now + DOUBT)
    assert not record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now + DOUBT)
    assert not notices()
    connection.refresh_from_db()
    assert connection.state == State.READY


def test_out_of_reach_twice_is_told_once(admin: User) -> None:
    vault, now = make_vault(), timezone.now()
    secrets = [make_secret(vault, f"secret-{number}") for number in range(3)]
    for secret in secrets:
        connect(secret, actor=admin, name=secret.name)
    record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now)
    # what fails in between does not put the second look off
    record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now + DOUBT / 2)
    assert DBTaskResult.objects.filter(task_path=check.module_path).count() == 1
    assert record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now + DOUBT)
    assert not record_vault_state(vault.pk, VaultState.UNREACHABLE, **UNREACHABLE, now=now + DOUBT)
    [notice] = VaultNotice.objects.all()
    assert notice.connections == ["secret-0", "secret-1", "secret-2"]
    assert Connection.objects.filter(state=State.NEEDS_ATTENTION).count() == 3
    # what was known of the secrets stays as it was
    assert set(VaultSecret.objects.values_list("state", flat=True)) == {VaultSecretState.USABLE}


def test_each_step_to_the_end_of_a_secret_is_told_once() -> None:
    vault, now = make_vault(), timezone.now()
    secret = make_secret(vault)
    facts = SecretFacts(name=secret.name, version="a" * 32, expires_at=now + 40 * DAY)
    for days in (0, 5, 9, 10, 11, 33, 34, 39, 39.5, 40, 41):
        moment = now + days * DAY
        record_secret_state(secret.pk, VaultSecretState.USABLE, facts=facts, now=moment)
        record_secret_state(secret.pk, VaultSecretState.USABLE, now=moment + dt.timedelta(seconds=1))
    assert notices() == [
        (secret.name, "usable", "expires_30"),
        (secret.name, "expires_30", "expires_7"),
        (secret.name, "expires_7", "expires_1"),
        (secret.name, "expires_1", "expired"),
    ]
    renewed = SecretFacts(name=secret.name, version="b" * 32, expires_at=now + 400 * DAY)
    assert record_secret_state(secret.pk, VaultSecretState.USABLE, facts=renewed, now=now + 42 * DAY)
    assert notices()[-1] == (secret.name, "expired", "usable")
    secret.refresh_from_db()
    assert (secret.version, secret.expires_at) == ("b" * 32, renewed.expires_at)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("vault_secret_missing", VaultSecretState.MISSING),
        ("vault_secret_disabled", VaultSecretState.DISABLED),
        ("vault_secret_expired", VaultSecretState.EXPIRED),
        ("vault_secret_not_yet_valid", VaultSecretState.NOT_YET_VALID),
        ("vault_forbidden", VaultSecretState.FORBIDDEN),
        ("vault_not_allowed", VaultSecretState.NOT_ALLOWED),
    ],
)
def test_what_a_failed_read_says_of_a_secret(admin: User, code: str, state: VaultSecretState) -> None:
    vault = make_vault()
    secret, other = make_secret(vault), make_secret(vault, "other")
    connection, fine = connect(secret, actor=admin), connect(other, actor=admin, name="Fine")
    error = errors.problem(code)
    assert record_failure(secret, error)
    assert not record_failure(secret, error)
    assert notices() == [(secret.name, "usable", state)]
    connection.refresh_from_db()
    assert (connection.state, connection.state_code) == (State.NEEDS_ATTENTION, code)
    assert connection.state_cause == error.cause
    assert record_secret_state(secret.pk, VaultSecretState.USABLE)
    assert notices()[1:] == [(secret.name, state, "usable")]
    for each in (connection, fine):
        each.refresh_from_db()
        assert each.state == State.READY


@pytest.mark.parametrize("code", ["vault_throttled", "vault_secret_unfit", "vault_target_refused"])
def test_what_says_nothing_of_vault_and_secret_changes_nothing(code: str) -> None:
    secret = make_secret(make_vault())
    assert not record_failure(secret, errors.problem(code))
    assert not notices()
    assert KeyVault.objects.get().state_code == ""


def test_a_connection_is_well_when_all_its_secrets_are(admin: User) -> None:
    vault = make_vault()
    secret = make_secret(vault)
    connection = connect(secret, actor=admin)
    record_secret_state(secret.pk, VaultSecretState.DISABLED)
    record_vault_state(vault.pk, VaultState.FORBIDDEN, code="vault_firewall", cause="Firewall.")
    connection.refresh_from_db()
    assert (connection.state_code, connection.state_cause) == ("vault_firewall", "Firewall.")
    record_vault_state(vault.pk, VaultState.WORKING)
    connection.refresh_from_db()
    assert (connection.state, connection.state_code) == (State.NEEDS_ATTENTION, "vault_secret_disabled")
    record_secret_state(secret.pk, VaultSecretState.USABLE)
    connection.refresh_from_db()
    assert connection.state == State.READY


@pytest.mark.parametrize("state", [State.PAUSED, State.NOT_VERIFIED])
def test_what_is_paused_or_not_verified_stays_so(admin: User, state: State) -> None:
    secret = make_secret(make_vault())
    connection = connect(secret, actor=admin)
    Connection.objects.update(state=state)
    record_secret_state(secret.pk, VaultSecretState.MISSING)
    record_secret_state(secret.pk, VaultSecretState.USABLE)
    connection.refresh_from_db()
    assert (connection.state, connection.state_code) == (state, "")


def test_what_a_run_found_wrong_stays_when_the_vault_is_well(admin: User) -> None:
    secret = make_secret(make_vault())
    connection = connect(secret, actor=admin)
    mark_needs_attention(connection_id=connection.pk, cause="Refused.", code="sign_in_refused")
    record_secret_state(secret.pk, VaultSecretState.MISSING)
    record_secret_state(secret.pk, VaultSecretState.USABLE)
    connection.refresh_from_db()
    assert (connection.state, connection.state_code) == (State.NEEDS_ATTENTION, "sign_in_refused")


def test_a_first_use_for_a_target_is_told_once(admin: User) -> None:
    secret = make_secret(make_vault())
    connection = connect(secret, actor=admin)
    assert record_new_target(secret, owner=connection, actor=admin)
    assert not record_new_target(secret, owner=connection, actor=admin)
    [notice] = VaultNotice.objects.all()
    assert (notice.kind, notice.secret_name, notice.person_label) == ("new_target", secret.name, str(admin))
    assert notice.connections == [connection.name]
    assert "files.example.com" in notice.cause
    assert AuditEntry.objects.filter(action="vault.notice", actor_id=admin.pk).count() == 1


def test_what_was_found_before_somebody_else_looked_counts_for_nothing(admin: User) -> None:
    """A slow worker says last what it saw first: nobody is told of what is over."""
    secret, now = make_secret(make_vault()), timezone.now()
    record_secret_state(secret.pk, VaultSecretState.USABLE, now=now)
    record_vault_state(secret.vault_id, VaultState.WORKING, now=now)
    before = now - dt.timedelta(seconds=5)
    forbidden: Failure = {"code": "vault_forbidden", "cause": "No."}
    assert not record_secret_state(secret.pk, VaultSecretState.MISSING, began=before)
    assert not record_vault_state(secret.vault_id, VaultState.FORBIDDEN, **forbidden, began=before)
    assert not notices()
    assert record_secret_state(secret.pk, VaultSecretState.MISSING, began=now)
    assert record_vault_state(secret.vault_id, VaultState.FORBIDDEN, **forbidden, began=now)
