"""A password that somebody else chose: it opens the door once, and has to be changed behind it.

Nothing but the name of the hash says so, so that no other table and no other column has to agree with it.
"""

import secrets

from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password

# No letter or digit that is taken for another one when it is read out or typed from paper.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LENGTH = 4, 5


class FirstPasswordHasher(PBKDF2PasswordHasher):
    """Django's own hash under a name that says: to be changed. Listed in PASSWORD_HASHERS, never the first one."""

    algorithm = "first_pbkdf2_sha256"


def made_password() -> str:
    """Four groups of five letters and digits, 98 bits: *k3fmw-…*."""
    return "-".join(
        "".join(secrets.choice(ALPHABET) for _letter in range(GROUP_LENGTH)) for _group in range(GROUPS)
    )


def encode(password: str) -> str:
    """The stored form of a first password."""
    return make_password(password, hasher=FirstPasswordHasher.algorithm)


def is_first(encoded: str) -> bool:
    """Whether this stored password is one to be changed."""
    return encoded.startswith(f"{FirstPasswordHasher.algorithm}$")


def is_correct(password: str, encoded: str) -> bool:
    """Compare without writing: Django would store a password of another hash anew, and it would count as changed."""
    return check_password(password, encoded)
