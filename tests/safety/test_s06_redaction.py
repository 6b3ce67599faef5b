"""S6: a secret prints as ***, cannot be pickled, and is masked by value wherever text is kept."""

import base64
import json
import logging
import pickle
from urllib.parse import quote

import pytest

from connections.secret_store import Resolved
from connections_portal import audit, redaction
from connections_portal.models import User

SECRET = 'Tr0ub4dor & 3 "quoted" ünï/päss'
FORMS = {
    "plain": SECRET,
    "url": quote(SECRET, safe=""),
    "json": json.dumps(SECRET),
    "json, unicode": json.dumps(SECRET, ensure_ascii=False),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "hex": SECRET.encode().hex(),
    "basic": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "basic, other offset": base64.b64encode(f"some.user:{SECRET}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_encoding_is_masked(form: str) -> None:
    text = FORMS[form]
    with redaction.in_use([SECRET]):
        masked = redaction.redact(f"before {text} after")
    assert text not in masked
    assert redaction.MASK in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert redaction.redact(text) == text


def test_each_line_of_a_private_key_is_masked() -> None:
    key = "-----BEGIN KEY-----\nbGluZSBvbmU\nbGluZSB0d28\n-----END KEY-----\n"
    with redaction.in_use([key]):
        assert "bGluZSB0d28" not in redaction.redact("parse error near bGluZSB0d28")


def test_strangers_words_are_dropped_while_a_short_secret_is_in_use() -> None:
    with redaction.in_use(["abc"]):
        assert redaction.foreign("password abc refused") == ""
    with redaction.in_use(["long-enough"]):
        assert redaction.foreign("password long-enough refused") == "password *** refused"
    assert redaction.foreign("nothing in use") == "nothing in use"


def test_nested_use_ends_with_the_last() -> None:
    with redaction.in_use([SECRET]):
        with redaction.in_use([SECRET]):
            pass
        assert redaction.redact(SECRET) == redaction.MASK


def test_the_log_is_masked_traceback_included() -> None:
    formatter = redaction.RedactingFormatter("%(message)s")
    with redaction.in_use([SECRET]):
        try:
            raise ValueError(f"refused {SECRET}")
        except ValueError as error:
            record = logging.LogRecord(
                "x", logging.ERROR, "x.py", 1, "saw %s", (SECRET,), (type(error), error, error.__traceback__)
            )
        assert SECRET not in formatter.format(record)


@pytest.mark.django_db
def test_the_audit_is_masked(admin: User) -> None:
    with redaction.in_use([SECRET]):
        entry = audit.record("connection.shared", actor=admin, label=SECRET, deep={"list": [SECRET]})
    entry.refresh_from_db()
    assert SECRET not in f"{entry.object_label} {entry.details}"


def test_resolved_secrets_do_not_show_or_travel() -> None:
    resolved = Resolved({"password": SECRET})
    assert SECRET not in f"{resolved!r} {resolved}"
    with pytest.raises(TypeError):
        pickle.dumps(resolved)
    resolved.clear()
    assert len(resolved) == 0


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"use", b"user:", b"a longer name:"])
@pytest.mark.parametrize("secret", ["eight888", "nine-char", "ten-chars!", "ünïcödé-päss", "x" * 40])
def test_a_secret_inside_base64_is_masked_at_any_offset(secret: str, before: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + b"tail").decode()
    with redaction.in_use([secret]):
        masked = redaction.redact(encoded)
    assert redaction.MASK in masked
