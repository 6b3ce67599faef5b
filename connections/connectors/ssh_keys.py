"""Private keys as people paste them: what is usable is let through, the rest is refused with its remedy.

Limits (rule S21): 16 KB of text, 256 rounds of bcrypt in a protected OpenSSH key (ssh-keygen's own is 24), two
million rounds in a protected PKCS #8 key. Formats: PROTOCOL.key of OpenSSH, RFC 1421, RFC 5208, RFC 5915, RFC 8018.
"""

import base64
import binascii
import re
import struct

import asyncssh
from asyncssh.asn1 import ASN1DecodeError, der_decode

from connections.connectors.base import N_
from connections.connectors.errors import InvalidSettings

MAX_BYTES = 16 * 1024
MAX_BCRYPT_ROUNDS = 256
MAX_PKCS8_ROUNDS = 2_000_000
MIN_RSA_BITS = 2048

# RFC 7914: a protection that asyncssh does not know.
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_MAGIC = b"openssh-key-v1\0"
_CURVES = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n(.+?)\n-----END \1-----", re.DOTALL)

# What people paste instead of a private key: how it begins, and what to do about it.
_MISTAKEN = (
    (
        re.compile(r"\A(ssh-|ecdsa-sha2-|sk-)|\A-{4,5} ?BEGIN [A-Z0-9 ]*PUBLIC KEY"),
        N_("This is a public key. Paste the private one: the file of the same name without .pub."),
    ),
    (
        re.compile(r"\APuTTY-User-Key-File"),
        N_(
            "This is a PuTTY key. Convert it: puttygen KEY.ppk -O private-openssh -o NEWKEY, or in PuTTYgen "
            "Conversions > Export OpenSSH key."
        ),
    ),
    (
        re.compile(r"\A---- BEGIN SSH2"),
        N_(
            "This is a key in ssh.com form. Take its passphrase away with the program that made it, then convert it: "
            "ssh-keygen -i -f KEY > NEWKEY"
        ),
    ),
    (
        re.compile(r"\A-----BEGIN DSA PRIVATE KEY"),
        N_("DSA keys are not safe any more. Make a new key: ssh-keygen -t ed25519 -f NEWKEY"),
    ),
    (
        re.compile(r"\A-----BEGIN CERTIFICATE"),
        N_("This is a certificate. Paste the private key that belongs to it."),
    ),
)
_NOT_A_KEY = N_(
    "This is not a private key. Paste the whole file, from -----BEGIN to the end of the -----END line."
)
_TOO_SLOW = N_("The key's protection takes too long to open. Protect it anew: ssh-keygen -p -a 24 -f KEY")
_UNREADABLE = N_("The key cannot be read. Write it anew in PEM form: ssh-keygen -p -m PEM -f KEY")
_UNKNOWN_KIND = N_("Keys of this kind cannot be used here. Make a new key: ssh-keygen -t ed25519 -f NEWKEY")
_TOO_SHORT = N_(
    "This RSA key is too short; 2048 bits are needed. Make a new key: ssh-keygen -t ed25519 -f NEWKEY"
)


def clean_private_key(text: str, passphrase: str) -> str:
    """The key as it was, with plain line ends, after it has been opened with ``passphrase`` (may be empty).

    Raises InvalidSettings at ``private_key`` or ``passphrase`` with one sentence that says what to do.
    """
    text = _plain(text)
    if not text:
        raise InvalidSettings({"private_key": N_("Paste the private key.")})
    if len(text.encode()) > MAX_BYTES:
        raise InvalidSettings({"private_key": N_("This is longer than any private key (16 KB).")})
    for pattern, remedy in _MISTAKEN:
        if pattern.search(text):
            raise InvalidSettings({"private_key": remedy})
    open_private_key(text, passphrase)
    return f"{text}\n"


def open_private_key(text: str, passphrase: str) -> asyncssh.SSHKey:
    """The key, ready to sign in with. Raises InvalidSettings as ``clean_private_key``."""
    block = _BLOCK.search(_plain(text))
    if not block:
        raise InvalidSettings({"private_key": _NOT_A_KEY})
    protected = _is_protected(block[1], block[2])
    if protected and not passphrase:
        raise InvalidSettings({"passphrase": N_("This private key is protected. Enter its passphrase.")})
    try:
        key = asyncssh.import_private_key(block[0], passphrase if protected else None)
    except (OverflowError, RecursionError):
        raise InvalidSettings({"private_key": _UNREADABLE}) from None
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError, ValueError) as error:
        # A wrong passphrase shows as broken content; only "unknown" and the like speak of the protection itself.
        if protected and not re.search(
            r"unknown|unsupported|not supported|requires", str(error), re.IGNORECASE
        ):
            raise InvalidSettings(
                {"passphrase": N_("The passphrase does not open the private key.")}
            ) from None
        raise InvalidSettings({"private_key": _UNREADABLE}) from None
    _check_kind(key)
    return key


def _plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _check_kind(key: asyncssh.SSHKey) -> None:
    kind = key.get_algorithm()
    if kind == "ssh-dss":
        raise InvalidSettings({"private_key": _MISTAKEN[3][1]})
    if kind == "ssh-rsa":
        if getattr(key.pyca_key, "key_size", 0) < MIN_RSA_BITS:
            raise InvalidSettings({"private_key": _TOO_SHORT})
    elif kind != "ssh-ed25519" and kind not in _CURVES:
        raise InvalidSettings({"private_key": _UNKNOWN_KIND})


def _is_protected(label: str, body: str) -> bool:
    """Whether a passphrase is needed. Raises InvalidSettings if opening the key would take too long."""
    if label == "OPENSSH PRIVATE KEY":
        return _openssh_rounds(_decoded(body)) > 0
    if label == "ENCRYPTED PRIVATE KEY":
        try:
            content = der_decode(_decoded(body))
        except (ASN1DecodeError, ValueError, OverflowError, RecursionError):
            raise InvalidSettings({"private_key": _UNREADABLE}) from None
        if _SCRYPT in repr(content):
            raise InvalidSettings({"private_key": _UNREADABLE})
        if _largest_number(content) > MAX_PKCS8_ROUNDS:
            raise InvalidSettings({"private_key": _TOO_SLOW})
        return True
    return "ENCRYPTED" in body.partition("\n\n")[0]


def _openssh_rounds(data: bytes) -> int:
    """The rounds of bcrypt that protect an OpenSSH key, 0 without protection (PROTOCOL.key §1)."""
    try:
        if not data.startswith(_MAGIC):
            raise ValueError("no OpenSSH key")
        _cipher, rest = _string(data[len(_MAGIC) :])
        name, rest = _string(rest)
        options, _rest = _string(rest)
        if name == b"none":
            return 0
        _salt, rest = _string(options)
        rounds = int(struct.unpack(">I", rest[:4])[0])
    except (ValueError, struct.error):
        raise InvalidSettings({"private_key": _UNREADABLE}) from None
    if rounds > MAX_BCRYPT_ROUNDS:
        raise InvalidSettings({"private_key": _TOO_SLOW})
    return max(rounds, 1)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The string at the front (length in four bytes before it) and what follows it (RFC 4251 §5)."""
    length = int(struct.unpack(">I", data[:4])[0])
    if length > len(data) - 4:
        raise ValueError("string is cut off")
    return data[4 : 4 + length], data[4 + length :]


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSettings({"private_key": _UNREADABLE}) from None


def _largest_number(value: object) -> int:
    """The largest whole number anywhere in a decoded structure: rounds, among smaller ones."""
    if isinstance(value, int):
        return value
    if isinstance(value, tuple | list):
        return max((_largest_number(part) for part in value), default=0)
    return 0
