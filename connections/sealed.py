"""Secrets at rest: the only module that encrypts and decrypts them.

AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D); the associated data binds each value to its row's uuid, its
field, the target it was given for and the key version, so that a row changed behind the portal's back cannot be
decrypted (rule S2). Who may have a value, and when, is decided in ``secret_store`` and ``vault_access``.
"""

import hashlib
import hmac
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.utils.translation import gettext as _

from connections.models import ConnectionSecret
from connections_portal.errors import OperationError


class SecretError(OperationError):
    """A secret cannot be used."""


class KeyUnknown(SecretError):
    """The key that encrypted the value is not configured here: an operator's matter, try again later."""


class TargetChanged(SecretError):
    """The secret was given for another target; it has to be typed again (rule S1)."""


class Tampered(SecretError):
    """The stored row is not what was written; nothing was sent."""


def digest(value: Any) -> str:
    """SHA-256 (hex) of canonical JSON: keys sorted, no spaces."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def seal(secret: ConnectionSecret, value: str) -> None:
    """Fill nonce, ciphertext and key version of the row with the newest key; the row is not saved."""
    secret.key_version, key = next(iter(settings.CONNECTION_SECRET_KEYS.items()))
    secret.nonce = os.urandom(12)
    secret.ciphertext = AESGCM(key).encrypt(secret.nonce, value.encode(), _associated(secret))
    secret.vault_secret = None


def unseal(secret: ConnectionSecret) -> str:
    """The value. Raises KeyUnknown, and Tampered for a row that is not as it was written."""
    if secret.key_version is None or secret.nonce is None or secret.ciphertext is None:
        raise Tampered(_("A stored secret does not belong here any more. Type it again."))
    key = settings.CONNECTION_SECRET_KEYS.get(secret.key_version)
    if key is None:
        raise KeyUnknown(_("The key of a stored secret is not configured. Ask whoever operates the portal."))
    try:
        plain = AESGCM(key).decrypt(bytes(secret.nonce), bytes(secret.ciphertext), _associated(secret))
    except (InvalidTag, ValueError):  # the latter for a nonce of another length
        raise Tampered(_("A stored secret does not belong here any more. Type it again.")) from None
    return plain.decode()


def holds(secret: ConnectionSecret, value: str) -> bool:
    """Whether the row holds exactly this value; false when it cannot be read."""
    try:
        return hmac.compare_digest(unseal(secret).encode(), value.encode())
    except SecretError:
        return False


def _associated(secret: ConnectionSecret) -> bytes:
    parts = [str(secret.uuid), secret.field, secret.target_digest, str(secret.key_version)]
    return "|".join(parts).encode()
