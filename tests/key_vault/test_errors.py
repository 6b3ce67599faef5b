import datetime as dt
import email.utils

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError

from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater
from connections.key_vault import errors

# What a run may say to somebody who only views an export: nothing of the vault.
FORBIDDEN_WORDS = ("%", "{", "vault.azure")
PASSING = {"vault_unreachable", "vault_throttled", "vault_key_unknown"}


@pytest.mark.parametrize("code", errors.CODES)
def test_every_code_has_a_cause_and_a_remedy(code):
    error = errors.problem(code, "contoso-kv said no", 7)
    assert error.code == code
    assert error.cause.endswith(".")
    assert error.remedy.endswith(".")
    assert error.detail == "contoso-kv said no"
    assert not any(word in error.cause for word in FORBIDDEN_WORDS)
    assert isinstance(error, TryLater if code in PASSING else NeedsAttention)


def wait_of(error: ConnectorError) -> float | None:
    """How many seconds it asks to wait."""
    assert isinstance(error, TryLater)
    return error.after


def test_nobody_is_asked_to_wait_longer_than_five_minutes():
    assert wait_of(errors.problem("vault_throttled", after=3600)) == 300
    assert wait_of(errors.problem("vault_throttled")) is None


def test_retry_after_is_seconds_or_a_date():
    assert errors.seconds_asked("30") == 30
    assert errors.seconds_asked("999999") == 300
    assert errors.seconds_asked(None) is None
    assert errors.seconds_asked("soon") is None
    assert errors.seconds_asked("-5") is None
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=40)
    seconds = errors.seconds_asked(email.utils.format_datetime(soon, usegmt=True))
    assert seconds is not None
    assert 30 < seconds <= 40
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    assert errors.seconds_asked(email.utils.format_datetime(past, usegmt=True)) == 0


@pytest.mark.parametrize(
    ("number", "word"),
    [
        ("7000215", "wrong"),
        ("7000222", "expired"),
        ("700016", "client ID"),
        ("90002", "tenant"),
        ("1", "Check"),
    ],
)
def test_a_refused_sign_in_says_what_to_do_by_its_number(number, word):
    error = errors.translate(ClientAuthenticationError(f"Authentication failed: AADSTS{number}: No."))
    assert error.code == "vault_sign_in_refused"
    assert word in error.remedy
    assert number in error.detail


def test_another_tenant_is_told_from_a_wrong_secret():
    said = "The current credential is not configured to acquire tokens for tenant 1234."
    assert errors.translate(ClientAuthenticationError(said)).code == "vault_foreign_tenant"


def test_an_identity_that_is_not_there():
    assert errors.translate(CredentialUnavailableError("No.")).code == "vault_identity_missing"


def test_what_we_raised_ourselves_is_found_inside_what_a_library_made_of_it():
    ours = errors.problem("vault_throttled", after=9)
    wrapped = ClientAuthenticationError("Authentication failed: x")
    wrapped.__cause__ = ours
    assert errors.translate(wrapped) is ours
    assert errors.translate(ours) is ours


def test_the_words_of_an_unknown_error_are_not_quoted():
    error = errors.translate(ValueError("value was s3cret-of-somebody"))
    assert error.code == "vault_unreachable"
    assert "s3cret" not in error.detail


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (
            "(Caused by SSLError(1, '[SSL] certificate verify failed: self-signed (_ssl.c:1006)'))",
            "certificate verify failed: self-signed.",
        ),
        (
            "ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 407 No'))",
            "The proxy answers 407 No.",
        ),
        (
            "ProxyError('Unable to connect to proxy', NewConnectionError('Connection refused'))",
            "The proxy cannot be reached.",
        ),
        ("Pool(host='x', port=443): Read timed out. (read timeout=8)", "No answer in time."),
        ("SSLError(SSLEOFError(8, 'EOF occurred in violation of protocol'))", "The line broke."),
        ("Pool(): x (Caused by Something('new'))", "Something('new'))"),
    ],
)
def test_the_network_is_quoted_by_its_reason(said, detail):
    error = errors.translate(ServiceRequestError(said))
    assert (error.code, error.detail) == ("vault_unreachable", detail)
    assert ("OUTGOING_CA_FILE" in error.remedy) is ("certificate" in said)


def test_the_network_s_trouble_while_signing_in_is_no_refusal():
    wrapped = ClientAuthenticationError("Authentication failed: Read timed out.")
    wrapped.__cause__ = ServiceRequestError("Read timed out.")
    assert errors.translate(wrapped).code == "vault_unreachable"
