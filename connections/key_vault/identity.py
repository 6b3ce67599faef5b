"""Who signs in at vaults: the portal itself, or a service principal entered for a vault."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions

from connections.key_vault.base import Principal
from connections.key_vault.transport import Outgoing


class Identity(Protocol):
    """A credential as Azure's clients take it. Raises ConnectorError.

    ``tenant_id`` is the tenant it belongs to, empty where that is not known.
    """

    tenant_id: str

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for one scope, from memory while it is valid for five more minutes."""

    def forget(self) -> None:
        """Drop every token."""


class PortalIdentity:
    """The portal's own identity (``DefaultAzureCredential``), as AZURE_TOKEN_CREDENTIALS and AZURE_* describe it."""

    def __init__(
        self, outgoing: Outgoing, *, cloud: str, tenant_id: str = "", endpoints: Collection[str] = ()
    ) -> None:
        self.tenant_id = tenant_id

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """See ``Identity``."""
        raise NotImplementedError

    def forget(self) -> None:
        """See ``Identity``."""


class PrincipalIdentity:
    """A service principal; ``principal`` gives it, with its secret, for as long as a token is fetched."""

    def __init__(
        self,
        tenant_id: str,
        principal: Callable[[], AbstractContextManager[Principal]],
        outgoing: Outgoing,
        *,
        cloud: str,
    ) -> None:
        self.tenant_id = tenant_id

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """See ``Identity``."""
        raise NotImplementedError

    def forget(self) -> None:
        """See ``Identity``."""
