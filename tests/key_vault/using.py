"""Connections that read their secrets from the double, and what was asked of it."""

from connections import vault_access
from connections.models import Connection, ConnectionDraft, KeyVault, VaultSecret
from connections_portal.models import AuditEntry
from connections_portal.sandbox.key_vault_cloud import Seen
from tests.key_vault.double import Double

NAME = "crm-password"


def read_from(
    owner: Connection | ConnectionDraft,
    vault: KeyVault,
    name: str = NAME,
    *,
    field: str = "password",
    pinned: str = "",
) -> VaultSecret:
    """Let a field that holds a value be read from the vault; nobody has looked at the secret yet."""
    secret = vault_access.reference(vault=vault, name=name, pinned=pinned)
    changed = owner.secrets.filter(field=field).update(
        vault_secret=secret, nonce=None, ciphertext=None, key_version=None
    )
    assert changed == 1
    return secret


def reads(double: Double, name: str = NAME) -> list[Seen]:
    """The requests for a value of the secret that got this far with a token."""
    base = f"/secrets/{name}"
    found = double.cloud.requests(host=double.vault.host, path=base)
    return [seen for seen in found if seen.bearer and not seen.path.startswith(f"{base}/versions")]


def told(action: str) -> list[dict[str, object]]:
    """Details of the audit's entries of this kind, oldest first; of vaults' own credentials none."""
    entries = AuditEntry.objects.filter(action=action).exclude(details__purpose="vault").order_by("pk")
    return [entry.details for entry in entries]
