"""Servers' public keys in OpenSSH's one-line form, as people compare them."""

import base64
import binascii
import hashlib


def algorithm(line: str) -> str:
    """For example ``ssh-ed25519``; empty when there is no key."""
    return line.partition(" ")[0]


def fingerprint(line: str) -> str:
    """SHA-256 as ``ssh-keygen -l`` prints it (``SHA256:`` and base64 without padding); empty for what is no key."""
    parts = line.split()
    try:
        content = base64.b64decode(parts[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
