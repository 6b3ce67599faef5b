"""Keep secrets out of text by value: whatever is in use at this moment is masked at the sink.

``in_use`` holds the values for the length of a ``with`` block, ``mask`` until ``unmask``; ``redact`` replaces each
of them, whole or by line, and its URL, JSON, base64, hex and HTTP Basic forms, by ``***``. The log formatter calls
it on every record, tracebacks included (rule S6).
"""

import base64
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
# A shorter secret cannot be found reliably in a stranger's words, so these are not shown at all.
SAFE_LENGTH = 8

_lock = threading.Lock()
_active: Counter[str] = Counter()
_short: Counter[str] = Counter()
# the forms of _active, longest first; empty until they are asked for
_ordered: list[str] = []


def _forms(value: str) -> set[str]:
    raw = value.encode()
    pieces = {value, *(line.strip() for line in value.splitlines())}
    forms = set(pieces)
    for piece in pieces:
        forms |= {quote(piece, safe=""), quote_plus(piece)}
        forms |= {json.dumps(piece)[1:-1], json.dumps(piece, ensure_ascii=False)[1:-1]}
        forms |= {piece.encode().hex(), piece.encode().hex().upper()}
    for offset in range(3):
        # base64 inside a longer text starts at one of three offsets; the edges mix with neighbours, so drop them
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        forms.add(encoded[(0, 2, 3)[offset] : len(encoded) - (len(raw) + offset) % 3])
    return {form for form in forms if len(form) >= SHORTEST}


# A new process must not begin with a lock held by a thread that it does not have.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@contextmanager
def in_use(values: Iterable[str]) -> Iterator[None]:
    """Mask these values in everything that this process logs or stores while the block runs."""
    values = list(values)
    mask(values)
    try:
        yield
    finally:
        unmask(values)


def mask(values: Iterable[str]) -> None:
    """Mask these values until ``unmask`` was called as often with them."""
    values, forms = _prepared(values)
    with _lock:
        _active.update(forms)
        _short.update(value for value in values if len(value) < SAFE_LENGTH)
        _ordered.clear()


def unmask(values: Iterable[str]) -> None:
    """Take back one ``mask`` of these values."""
    values, forms = _prepared(values)
    with _lock:
        _active.subtract(forms)
        _short.subtract(value for value in values if len(value) < SAFE_LENGTH)
        for counted in (_active, _short):
            for gone in [text for text, count in counted.items() if count <= 0]:
                del counted[gone]
        _ordered.clear()


def _prepared(values: Iterable[str]) -> tuple[list[str], list[str]]:
    values = [value for value in values if value]
    return values, [form for value in values for form in _forms(value)]


def redact(text: str) -> str:
    """``text`` with every secret in use masked; the longest forms first."""
    for form in _forms_in_use():
        if form in text:
            text = text.replace(form, MASK)
    return text


def foreign(text: str) -> str:
    """A service's own words, fit to be stored: masked, and dropped altogether while a short secret is in use.

    They may have been cut where they were too long: what they end with may be the beginning of a secret.
    """
    with _lock:
        unsafe = bool(_short)
    return "" if unsafe else _without_cut(redact(text))


def _forms_in_use() -> list[str]:
    with _lock:
        if not _ordered:
            _ordered.extend(sorted(_active, key=len, reverse=True))
        return list(_ordered)


def _without_cut(text: str) -> str:
    """``text`` with its end masked if a secret in use begins there."""
    forms = _forms_in_use()
    for begin in range(len(text) - SHORTEST + 1):
        end = text[begin:]
        if any(form.startswith(end) for form in forms):
            return text[:begin] + MASK
    return text


class RedactingFormatter(logging.Formatter):
    """A log formatter whose whole output, traceback included, is redacted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format as usual, then mask."""
        return redact(super().format(record))
