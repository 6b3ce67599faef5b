"""Checks of Key Vaults by workers, against the double: each state and its recovery, waiting, and what is left over."""

import datetime as dt

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from connections.models import (
    KeyVault,
    State,
    VaultSecret,
    VaultSecretState,
    VaultState,
)
from connections.operations.vault_checks import look_at, queue_due
from connections_portal.models import AuditEntry, User
from tests.key_vault.checking import SECRET, Look, pass_doubt, state_of_connection, told, waiting
from tests.key_vault.double import Double, forget_vaults
from tests.key_vault.health_data import DAY, connect, make_secret

pytestmark = pytest.mark.django_db


# ---- the vault ----


def test_a_vault_that_works_is_seen_and_nobody_is_told(double: Double, look: Look, vault: KeyVault) -> None:
    began = timezone.now()
    assert look() == "working, usable"
    assert vault.last_contact_at is not None
    assert vault.last_contact_at >= began
    assert vault.checked_at is not None
    assert vault.check_queued_at is None
    assert not told()
    # one page of names, and what is said of the one secret; no value
    paths = [seen.path for seen in double.cloud.requests(host=double.vault.host) if seen.bearer]
    assert paths == ["/secrets", f"/secrets/{SECRET}/versions"]
    assert not AuditEntry.objects.filter(action="vault.secret_read").exists()


def test_gone_and_back(double: Double, look: Look, vault: KeyVault, secret: VaultSecret) -> None:
    look()
    double.troubles.gone.add(double.vault.host)
    assert look() == "unreachable, usable"
    assert vault.state == VaultState.WORKING
    assert not told()
    [again] = waiting()
    assert again.args_kwargs["args"] == [vault.pk]
    doubted_at = vault.checked_at
    look()  # too soon to say anything
    assert vault.checked_at == doubted_at
    assert not told()
    pass_doubt()
    for _time in range(2):
        assert look() == "unreachable, usable"
    assert vault.state == VaultState.UNREACHABLE
    assert state_of_connection() == (State.NEEDS_ATTENTION, vault.state_code)
    assert len(waiting()) == 1

    double.troubles.gone.clear()
    for _time in range(2):
        assert look() == "working, usable"
    assert (vault.state, vault.state_code) == (VaultState.WORKING, "")
    assert told() == ["contoso-kv: working -> unreachable", "contoso-kv: unreachable -> working"]
    assert state_of_connection() == (State.READY, "")


def test_back_before_the_second_look(double: Double, look: Look, vault: KeyVault) -> None:
    double.troubles.gone.add(double.vault.host)
    look()
    double.troubles.gone.clear()
    assert look() == "working, usable"
    assert vault.state_code == ""
    assert not told()


def test_a_vault_that_lets_nothing_be_read(double: Double, look: Look, vault: KeyVault) -> None:
    """One notice for the vault and none for its secrets, which stay as they were known."""
    double.vault.forbid()
    for _time in range(2):
        assert look() == "forbidden, usable"
    assert vault.state_code == "vault_forbidden"
    assert state_of_connection() == (State.NEEDS_ATTENTION, "vault_forbidden")
    double.vault.permit()
    assert look() == "working, usable"
    assert told() == ["contoso-kv: working -> forbidden", "contoso-kv: forbidden -> working"]
    assert state_of_connection() == (State.READY, "")


def test_a_refused_sign_in(double: Double, look: Look, vault: KeyVault) -> None:
    forget_vaults()  # a token that is still good would be used
    double.cloud.applications.clear()
    assert look() == "sign_in_refused, usable"
    assert vault.state_code == "vault_sign_in_refused"
    double.cloud.register(double.portal)
    forget_vaults()  # MSAL repeats a refusal for a minute
    assert look() == "working, usable"
    assert told() == ["contoso-kv: working -> sign_in_refused", "contoso-kv: sign_in_refused -> working"]


def test_listing_alone_may_be_forbidden(double: Double, look: Look, vault: KeyVault) -> None:
    """Then what is said of a secret comes with its value, which is read on the record and dropped."""
    double.vault.forbid("list")
    assert look() == "working, usable"
    assert not told()
    read = AuditEntry.objects.filter(action__in=("secret.used", "vault.secret_read")).order_by("pk")
    assert [entry.action for entry in read] == ["secret.used", "vault.secret_read"]
    assert all(entry.details["purpose"] == "check" for entry in read)
    assert all("value-of-the-secret" not in str(entry.details) for entry in read)


@pytest.mark.parametrize("retry_after", [None, 40])
def test_a_throttled_vault_is_in_no_other_state(
    double: Double, look: Look, vault: KeyVault, retry_after: int | None
) -> None:
    """Wherever in a check it happens: it is looked at again, once, when it asked to be."""
    double.troubles.retry_after = retry_after
    for number in (1, 2):
        DBTaskResult.objects.all().delete()
        double.troubles.throttled = 10 if number == 1 else 0
        if number == 2:
            look()
            double.troubles.throttled = 10
        assert look() == "vault_throttled, usable"
        [again] = waiting()
        assert again.run_after is not None
        seconds = (again.run_after - timezone.now()).total_seconds()
        assert abs(seconds - (retry_after or 60)) < 10
        assert queue_due(now=timezone.now() + 1 * dt.timedelta(minutes=1)) == 0
    assert not told()
    assert vault.state == VaultState.WORKING
    double.troubles.throttled = 0
    assert look() == "working, usable"


# ---- a secret ----


def test_disabled_and_enabled(double: Double, look: Look) -> None:
    double.vault.change(SECRET, enabled=False)
    for _time in range(2):
        assert look() == "working, disabled"
    assert state_of_connection() == (State.NEEDS_ATTENTION, "vault_secret_disabled")
    double.vault.change(SECRET, enabled=True)
    for _time in range(2):
        assert look() == "working, usable"
    assert told() == [f"{SECRET}: usable -> disabled", f"{SECRET}: disabled -> usable"]
    assert state_of_connection() == (State.READY, "")


def test_deleted_softly_and_recovered(double: Double, look: Look) -> None:
    double.vault.delete(SECRET)
    for _time in range(2):
        assert look() == "working, missing"
    assert state_of_connection() == (State.NEEDS_ATTENTION, "vault_secret_missing")
    double.vault.recover(SECRET)
    assert look() == "working, usable"
    assert told() == [f"{SECRET}: usable -> missing", f"{SECRET}: missing -> usable"]
    assert state_of_connection() == (State.READY, "")


def test_not_valid_yet_and_then_valid(double: Double, look: Look) -> None:
    double.vault.put(SECRET, "next", not_before=3600)
    assert look() == "working, not_yet_valid"
    double.vault.put(SECRET, "next", not_before=-60)
    assert look() == "working, usable"
    assert told() == [f"{SECRET}: usable -> not_yet_valid", f"{SECRET}: not_yet_valid -> usable"]


def test_expiring_and_renewed(double: Double, look: Look, secret: VaultSecret) -> None:
    days = 86_400.0
    steps = {29: "expires_30", 6: "expires_7", 0.5: "expires_1", -1: "expired"}
    for left, state in steps.items():
        double.vault.change(SECRET, expires=left * days)
        for _time in range(2):
            assert look() == f"working, {state}"
    assert state_of_connection() == (State.NEEDS_ATTENTION, "vault_secret_expired")
    version = double.vault.put(SECRET, "renewed", expires=300 * days)
    assert look() == "working, usable"
    assert secret.version == version
    assert secret.expires_at is not None
    assert secret.expires_at > timezone.now() + 299 * DAY
    assert [line.partition(": ")[2] for line in told()] == [
        "usable -> expires_30",
        "expires_30 -> expires_7",
        "expires_7 -> expires_1",
        "expires_1 -> expired",
        "expired -> usable",
    ]
    assert state_of_connection() == (State.READY, "")


def test_a_fixed_version_is_judged_by_its_own_dates(double: Double, vault: KeyVault, admin: User) -> None:
    old = double.vault.put(SECRET, "old", expires=86_400 * 3)
    double.vault.put(SECRET, "new")
    pinned, latest = make_secret(vault, SECRET, pinned=old), make_secret(vault, SECRET)
    connect(pinned, actor=admin, name="Fixed")
    connect(latest, actor=admin, name="Latest")
    look_at(vault_id=vault.pk)
    pinned.refresh_from_db()
    latest.refresh_from_db()
    assert (pinned.state, pinned.version) == (VaultSecretState.EXPIRES_7, old)
    assert latest.state == VaultSecretState.USABLE


def test_one_secret_that_may_not_be_read(
    double: Double, look: Look, secret: VaultSecret, admin: User
) -> None:
    """What is said of a secret can be seen without the right to read it: only a reading shows that it is back."""
    double.vault.forbid(name=SECRET)
    assert look() == "working, forbidden"
    double.vault.permit()
    double.vault.forbid("get", name=SECRET)
    assert look() == "working, forbidden"
    double.vault.permit()
    assert look() == "working, usable"
    assert told() == [f"{SECRET}: usable -> forbidden", f"{SECRET}: forbidden -> usable"]


def test_outside_what_the_link_lets_be_used(double: Double, look: Look, vault: KeyVault) -> None:
    KeyVault.objects.update(scope="prefix", scope_value="crm-")
    double.cloud.seen.clear()
    assert look() == "working, not_allowed"
    assert not double.cloud.requests(path=f"/secrets/{SECRET}")
    assert state_of_connection() == (State.NEEDS_ATTENTION, "vault_not_allowed")
    KeyVault.objects.update(scope="tag", scope_value="used-by=portal")
    assert look() == "working, not_allowed"
    double.vault.change(SECRET, tags={"used-by": "portal"})
    assert look() == "working, usable"
    assert state_of_connection() == (State.READY, "")


@pytest.mark.parametrize("tag", ["portal-target", "Portal-Target"])
def test_kept_for_another_target(double: Double, look: Look, tag: str) -> None:
    """That is a matter of the connection: nothing is said of the secret, and the connection is marked and cleared."""
    double.vault.change(SECRET, tags={tag: "elsewhere.example.com"})
    assert look() == "working, usable"
    assert state_of_connection() == (State.NEEDS_ATTENTION, "vault_target_refused")
    double.vault.change(SECRET, tags={"portal-target": "files.example.com"})
    look()
    assert state_of_connection() == (State.READY, "")
    assert not told()
