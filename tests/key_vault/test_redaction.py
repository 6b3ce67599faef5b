"""Values of a vault are masked by value in everything that is written while they are in memory (S6)."""

import base64
import json
import logging
import time
from urllib.parse import quote

import asyncssh
import pytest

from connections import secret_store
from connections.connectors.errors import NeedsAttention
from connections.models import Connection, VaultSecret
from connections.operations.failures import of_connector
from connections.vault_cache import cache
from connections_portal import audit, redaction
from connections_portal.models import User
from connections_portal.redaction import MASK, RedactingFormatter, redact
from tests.factories import SETTINGS, make_connection
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = 'kv "Tr0ub4dor" & ünï/päss+word'
FORMS = {
    "plain": VALUE,
    "url": quote(VALUE, safe=""),
    "json": json.dumps(VALUE)[1:-1],
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "basic": base64.b64encode(f"portal:{VALUE}".encode()).decode(),
    "hex": VALUE.encode().hex(),
}


@pytest.fixture
def connection(admin: User, double: Double, linked_vault: LinkVault) -> Connection:
    """A connection whose password is in the vault."""
    double.vault.put(NAME, VALUE)
    connection = make_connection(actor=admin)
    read_from(connection, linked_vault())
    return connection


@pytest.mark.parametrize("form", FORMS)
def test_in_use_and_in_memory_it_is_masked_and_after_that_it_is_gone(
    connection: Connection, form: str
) -> None:
    text = f"the server says {FORMS[form]}"
    with secret_store.resolve(connection, purpose="run", actor=None):
        assert FORMS[form] not in redact(text)
    assert FORMS[form] not in redact(text)
    cache.clear()
    assert redact(text) == text
    assert redaction._active == {}


def test_what_libraries_log_of_a_reading_says_nothing_of_it(
    connection: Connection, double: Double, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with secret_store.resolve(connection, purpose="run", actor=None):
        pass
    assert len(reads(double)) == 1
    token = double.portal.secret
    for record in caplog.records:
        line = RedactingFormatter("%(name)s %(message)s").format(record)
        for form in FORMS.values():
            assert form not in line, record.name
        # nor of what the portal signs in with
        assert token not in line


def test_a_long_key_of_many_lines_is_masked_line_by_line_and_in_time(
    admin: User, double: Double, linked_vault: LinkVault
) -> None:
    body = [base64.b64encode(bytes([n % 251, n // 251]) * 24).decode() for n in range(380)]
    key = "\r\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----"])
    assert 24_000 < len(key) <= 25_600
    with redaction.in_use([key]):
        began = time.monotonic()
        for line in (body[0], body[190], body[-1]):
            assert redact(f"bad line {line} in key") == "bad line *** in key"
        assert key.encode().hex() not in redact(f"dump {key.encode().hex()}")
        whole = base64.b64encode(key.encode()).decode()
        assert whole[10:200] not in redact(whole)
        assert time.monotonic() - began < 2


def test_what_was_cut_in_the_middle_of_a_secret_is_masked(connection: Connection) -> None:
    """A service that repeats a long secret: its words are cut after 300 characters."""
    long = "".join(chr(97 + n * 7 % 26) for n in range(20_000))
    with redaction.in_use([long]):
        for before in (0, 150, 290):
            said = NeedsAttention("Refused.", code="refused", detail="x" * before + " " + long)
            detail = of_connector(said).detail
            assert detail == ("x" * before + " ").strip() + (" " if before else "") + MASK
        assert redaction.foreign("nothing of it at all") == "nothing of it at all"


def test_a_value_that_does_not_fit_is_not_in_what_is_said_of_it(
    admin: User, double: Double, linked_vault: LinkVault
) -> None:
    by_key = SETTINGS | {"auth_method": "key"}
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0LW9mLXRoZS1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n"
    right = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    connection = make_connection(actor=admin, settings=by_key, secrets={"private_key": right})
    double.vault.put("sftp-key", key)
    read_from(connection, linked_vault(), "sftp-key", field="private_key")
    with pytest.raises(NeedsAttention) as raised:
        with secret_store.resolve(connection, purpose="run", actor=None):
            pytest.fail("the key is no key")
    error = raised.value
    said = f"{error} {error.cause} {error.detail} {error.remedy} {error!r} {error.__cause__!r}"
    assert error.code == "vault_secret_unfit"
    assert "c2VjcmV0" not in said


def test_the_audit_is_masked_while_a_value_is_in_memory(connection: Connection, admin: User) -> None:
    with secret_store.resolve(connection, purpose="run", actor=None):
        pass
    entry = audit.record("connection.shared", actor=admin, label=VALUE, deep=[VALUE])
    entry.refresh_from_db()
    assert VALUE not in f"{entry.object_label} {entry.details}"
    assert VaultSecret.objects.get().version
