"""Notices in words: every state has a sentence, and none of them loses the time or the names."""

import datetime as dt
from uuid import uuid4

import pytest
from django.utils import timezone

from connections.key_vault import errors
from connections.models import VaultNotice, VaultSecretState, VaultState
from connections.vault_notices import is_good, text_of
from connections.vault_states import GOOD, SECRET_CODES, VAULT_STATES, by_date
from tests.key_vault.health_data import DAY

NOW = dt.datetime(2026, 12, 1, 12, 0, tzinfo=dt.UTC)


def notice(kind: VaultNotice.Kind, **columns: object) -> VaultNotice:
    return VaultNotice(kind=kind, vault_uuid=uuid4(), vault_name="contoso-kv", **columns)


@pytest.mark.parametrize("state", VaultState)
def test_each_state_of_a_vault_has_a_sentence(state: VaultState) -> None:
    said = notice(VaultNotice.Kind.VAULT, before="working", after=state, cause="Because.")
    assert '"contoso-kv"' in text_of(said)
    assert is_good(said) is (state == VaultState.WORKING)


@pytest.mark.parametrize("state", VaultSecretState)
def test_each_state_of_a_secret_has_a_sentence(state: VaultSecretState) -> None:
    said = notice(
        VaultNotice.Kind.SECRET, secret_name="crm", before="usable", after=state, expires_at=NOW + DAY
    )
    text = text_of(said)
    assert '"crm"' in text
    assert '"contoso-kv"' in text
    assert ("2 December 2026, 12:00 UTC" in text) is state.startswith("expire")


def test_times_are_the_readers() -> None:
    said = notice(VaultNotice.Kind.SECRET, secret_name="crm", after="expires_1", expires_at=NOW)
    with timezone.override("Europe/Vienna"):
        assert "1 December 2026, 13:00 CET" in text_of(said)


def test_a_renewed_secret_says_until_when() -> None:
    renewed = notice(VaultNotice.Kind.SECRET, secret_name="crm", before="expires_7", after="usable")
    assert text_of(renewed) == 'The secret "crm" in "contoso-kv" was renewed.'
    renewed.expires_at = NOW
    assert text_of(renewed).endswith("was renewed and expires on 1 December 2026, 12:00 UTC.")


def test_a_first_use_names_person_secret_and_target() -> None:
    first = notice(
        VaultNotice.Kind.NEW_TARGET, secret_name="crm", person_label="Ana", cause="sftp://files.example.com"
    )
    assert text_of(first) == (
        'Ana used the secret "crm" in "contoso-kv" for a new target: sftp://files.example.com'
    )


def test_every_code_of_a_state_is_one_that_errors_have() -> None:
    assert {*VAULT_STATES, *SECRET_CODES.values()} <= set(errors.CODES)
    assert {*SECRET_CODES, *GOOD} == set(VaultSecretState)
    assert set(VAULT_STATES.values()) == set(VaultState) - {VaultState.WORKING}


@pytest.mark.parametrize(
    ("left", "state"),
    [
        (None, "usable"),
        (31 * DAY, "usable"),
        (30 * DAY, "expires_30"),
        (7 * DAY + dt.timedelta(seconds=1), "expires_30"),
        (7 * DAY, "expires_7"),
        (DAY, "expires_1"),
        (dt.timedelta(seconds=1), "expires_1"),
        (dt.timedelta(0), "expired"),
        (-DAY, "expired"),
    ],
)
def test_steps_by_date(left: dt.timedelta | None, state: str) -> None:
    assert by_date(None if left is None else NOW + left, NOW) == state
