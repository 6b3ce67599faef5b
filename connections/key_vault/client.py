"""A Key Vault over Microsoft's own client."""

from connections.key_vault.base import NamesPage, SecretFacts
from connections.key_vault.identity import Identity
from connections.key_vault.transport import Outgoing


class AzureVault:
    """Implements ``base.Vault`` for ``https://<host>``."""

    def __init__(self, host: str, identity: Identity, outgoing: Outgoing, *, patient: bool) -> None:
        self.host = host
        self.identity = identity

    def names(self, after: str = "") -> NamesPage:
        """See ``Vault``."""
        raise NotImplementedError

    def versions(self, name: str) -> tuple[SecretFacts, ...]:
        """See ``Vault``."""
        raise NotImplementedError

    def facts(self, name: str, pinned: str = "") -> SecretFacts:
        """See ``Vault``."""
        raise NotImplementedError

    def read(self, name: str, pinned: str = "") -> tuple[str, SecretFacts]:
        """See ``Vault``."""
        raise NotImplementedError

    def tenant(self) -> str:
        """Reach the vault and return the tenant that it names when it asks who is there; nobody signs in."""
        raise NotImplementedError
