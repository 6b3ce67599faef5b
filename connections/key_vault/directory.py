"""Which vaults Azure's directory (Resource Graph) shows to an identity."""

from connections.key_vault.base import ListedVault
from connections.key_vault.identity import Identity
from connections.key_vault.transport import Outgoing


def listed_vaults(
    identity: Identity, outgoing: Outgoing, *, cloud: str, seconds: float
) -> tuple[ListedVault, ...]:
    """Every vault of every subscription that the identity may read, by name; empty where it may read none.

    Raises ConnectorError, also when it takes longer than ``seconds``.
    """
    raise NotImplementedError
