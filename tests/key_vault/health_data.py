"""Linked vaults, and connections that use their secrets, as rows: for what happens beside the vault itself."""

import datetime as dt
from typing import TypedDict
from uuid import uuid4

from django.utils import timezone

from connections.models import (
    Connection,
    ConnectionSecret,
    Consent,
    KeyVault,
    VaultIdentity,
    VaultScope,
    VaultSecret,
)
from connections_portal.models import User
from tests.factories import make_connection

DAY = dt.timedelta(days=1)


class Failure(TypedDict):
    """Why a vault does not do what it should."""

    code: str
    cause: str


def make_vault(host: str = "contoso-kv.vault.azure.net", **columns: object) -> KeyVault:
    """A vault linked with the portal's own identity."""
    consent = Consent.objects.create(
        action=Consent.Action.GIVEN,
        person_id=1,
        person_label="Lena Hofmann",
        connection_uuid=uuid4(),
        connection_name=host,
        type_key="key_vault",
        target_label=host,
        target_digest="0" * 64,
        wording_version="1",
        wording_hash="0" * 64,
        wording="Agreed.",
    )
    given: dict[str, object] = {
        "host": host,
        "identity": VaultIdentity.PORTAL,
        "scope": VaultScope.ALL,
        "target_digest": "0" * 64,
        "consent": consent,
        "verified_at": timezone.now(),
    }
    return KeyVault.objects.create(**(given | columns))


def make_secret(vault: KeyVault, name: str = "crm-password", **columns: object) -> VaultSecret:
    """A secret that something may refer to."""
    return VaultSecret.objects.create(vault=vault, name=name, **columns)


def connect(secret: VaultSecret, *, actor: User, name: str = "Newsletter, SFTP EU") -> Connection:
    """A connection, ready to use, that reads its password from the vault."""
    connection = make_connection(actor=actor, name=name)
    ConnectionSecret.objects.filter(connection=connection, field="password").update(
        vault_secret=secret, nonce=None, ciphertext=None, key_version=None
    )
    return connection
