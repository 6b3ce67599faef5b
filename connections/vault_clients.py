"""Live clients of linked vaults: one per vault and version in each process, with the tokens they hold."""

from connections.key_vault.base import ListedVault
from connections.key_vault.client import AzureVault
from connections.models import KeyVault


def client_of(vault: KeyVault, *, patient: bool) -> AzureVault:
    """The client of a linked vault, signed in when it is first used. Raises NeedsAttention.

    A principal's credential is unsealed only while a token is fetched, and each time recorded (``secret.used``).
    """
    raise NotImplementedError


def trial(host: str, identity: str, tenant_id: str, client_id: str, credential: str) -> AzureVault:
    """A client for a vault that is to be linked, with what was typed; its ``identity`` is the one to verify with.

    ``identity`` is a value of VaultIdentity; for the portal's own the rest is empty. Raises NeedsAttention.
    """
    raise NotImplementedError


def directory() -> tuple[ListedVault, ...]:
    """The vaults that the portal's own identity is shown, at most a minute old. Raises ConnectorError."""
    raise NotImplementedError


def forget(vault: KeyVault) -> None:
    """Drop the clients and tokens of a vault in this process."""
