"""Who signs in at vaults: the portal itself, or a service principal entered for a vault.

Both keep their tokens in memory, one per scope, until five minutes before the end, and fetch one at a time.
"""

import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any, Protocol
from urllib.parse import urlsplit

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
)
from cryptography.exceptions import UnsupportedAlgorithm

from connections.key_vault import errors
from connections.key_vault.base import Principal
from connections.key_vault.clouds import CLOUDS, Cloud
from connections.key_vault.transport import Outgoing, left

# A token that ends earlier than this is not used any more; as Azure's own clients hold it.
SPARE_SECONDS = 300
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Sign-ins of a person at this machine, which a portal never uses (rule S7).
_OF_PEOPLE = (
    "shared_token_cache",
    "visual_studio_code",
    "cli",
    "developer_cli",
    "powershell",
    "interactive_browser",
    "broker",
)
_KINDS = (
    "AZURE_TOKEN_CREDENTIALS is not set to EnvironmentCredential, WorkloadIdentityCredential, "
    "ManagedIdentityCredential or prod."
)


class Identity(Protocol):
    """A credential as Azure's clients take it. Raises ConnectorError, and what ``principal`` raises.

    ``tenant_id`` is the tenant it belongs to, empty where that is not known.
    """

    tenant_id: str

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for one scope, from memory while it is valid for five more minutes."""

    def forget(self) -> None:
        """Drop every token."""


class _Kept(ABC):
    """Tokens kept in memory. ``cloud`` is a key of ``CLOUDS``; only its vaults and its directory are scopes."""

    def __init__(self, outgoing: Outgoing, *, cloud: str, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self._outgoing = outgoing
        self._cloud: Cloud = CLOUDS[cloud]
        self._lock = threading.Lock()
        self._tokens: dict[str, AccessTokenInfo] = {}

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """See ``Identity``. ``options`` may name the tenant that the vault belongs to, and claims it asks for."""
        asked = options or {}
        scope = self._checked(scopes, asked.get("tenant_id") or "")
        claims = asked.get("claims") or ""
        if not claims and (token := self._valid(scope)):
            return token
        if not self._lock.acquire(timeout=left()):
            raise errors.problem("vault_unreachable", "Another sign-in is still under way.")
        try:
            if claims or not (token := self._valid(scope)):
                # the tenant is ours and was compared; naming it again would ask for another one's token
                wanted: TokenRequestOptions = {"enable_cae": asked.get("enable_cae", False)}
                if claims:
                    wanted["claims"] = claims
                token = self._tokens[scope] = self._fetched(scope, wanted)
            return token
        finally:
            self._lock.release()

    def forget(self) -> None:
        """See ``Identity``."""
        self._tokens.clear()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def _valid(self, scope: str) -> AccessTokenInfo | None:
        token = self._tokens.get(scope)
        return token if token is not None and token.expires_on - time.time() > SPARE_SECONDS else None

    def _checked(self, scopes: tuple[str, ...], tenant_id: str) -> str:
        """The one scope asked for. Another audience, or a vault of another tenant, gets no token of ours."""
        if len(scopes) != 1 or scopes[0] not in (self._cloud.vault_scope, self._cloud.management_scope):
            raise errors.unreadable("A token for another service was asked for.")
        if not may_be_same(self.tenant_id, tenant_id):
            raise errors.problem("vault_foreign_tenant", f"The vault belongs to tenant {tenant_id}.")
        return scopes[0]

    def _fetched(self, scope: str, options: TokenRequestOptions) -> AccessTokenInfo:
        try:
            return self._fetch(scope, options)
        except errors.LIBRARY_ERRORS as error:
            raise errors.translate(error) from None

    @abstractmethod
    def _fetch(self, scope: str, options: TokenRequestOptions) -> AccessTokenInfo:
        """A new token; may raise anything."""

    def _settings(self, transport: RequestsTransport) -> dict[str, Any]:
        """What every credential of Azure's library is made with: our transport, our authority, no retries of its own.

        The authority is the cloud's, so there is nothing to discover; tenants besides its own are refused.
        """
        return {
            "transport": transport,
            "authority": self._cloud.login,
            "disable_instance_discovery": True,
            "additionally_allowed_tenants": [],
            "retry_total": 0,
            "raw_response_hook": _busy,
        }


class PortalIdentity(_Kept):
    """The portal's own identity (``DefaultAzureCredential``), as AZURE_TOKEN_CREDENTIALS and AZURE_* describe it.

    ``endpoints`` are the addresses of the machine's identity service, as its environment names them.
    """

    def __init__(
        self, outgoing: Outgoing, *, cloud: str, tenant_id: str = "", endpoints: Collection[str] = ()
    ) -> None:
        super().__init__(outgoing, cloud=cloud, tenant_id=tenant_id)
        self._endpoints = tuple(endpoints)
        self._chain: tuple[Any, ...] = ()

    def forget(self) -> None:
        """See ``Identity``; Azure's own credentials keep tokens, too, and are made anew."""
        super().forget()
        self._chain = ()

    def _fetch(self, scope: str, options: TokenRequestOptions) -> AccessTokenInfo:
        """The token of the first kind of identity that is there; one that is there and fails ends the search."""
        self._chain = chain = self._chain or self._made()
        missing = []
        for credential in chain:
            try:
                token: AccessTokenInfo = credential.get_token_info(scope, options=options)
            except CredentialUnavailableError as error:
                missing.append(str(error.message).partition("\n")[0])
            else:
                return token
        raise errors.problem("vault_identity_missing", " ".join(missing))

    def _made(self) -> tuple[Any, ...]:
        """The kinds of identity that AZURE_TOKEN_CREDENTIALS names; those of people are left out."""
        transport = self._outgoing.transport([self._cloud.login], self._endpoints)
        without = {f"exclude_{name}_credential": True for name in _OF_PEOPLE}
        try:
            default = DefaultAzureCredential(require_envvar=True, **without, **self._settings(transport))
        except ValueError as error:
            unnamed = "AZURE_TOKEN_CREDENTIALS" in str(error) or "at least one credential" in str(error)
            raise errors.problem("vault_identity_missing", _KINDS if unnamed else _BAD_SETTINGS) from None
        except OSError:
            raise errors.problem("vault_identity_missing", _BAD_SETTINGS) from None
        return tuple(default.credentials)


_BAD_SETTINGS = "What AZURE_CLIENT_ID, AZURE_TENANT_ID or AZURE_CLIENT_CERTIFICATE_PATH name cannot be used."


class PrincipalIdentity(_Kept):
    """A service principal; ``principal`` gives it, with its secret, for as long as a token is fetched."""

    def __init__(
        self,
        tenant_id: str,
        principal: Callable[[], AbstractContextManager[Principal]],
        outgoing: Outgoing,
        *,
        cloud: str,
    ) -> None:
        super().__init__(outgoing, cloud=cloud, tenant_id=tenant_id)
        self._principal = principal

    def _fetch(self, scope: str, options: TokenRequestOptions) -> AccessTokenInfo:
        """A token for the secret or certificate, which is forgotten at once."""
        settings = self._settings(self._outgoing.transport([self._cloud.login]))
        with self._principal() as principal, _credential(principal, settings) as signing:
            return signing.get_token_info(scope, options=options)


def may_be_same(mine: str, of_vault: str) -> bool:
    """Whether two tenants can be one; a tenant that is not known, or known by a domain, can be any."""
    told = _GUID.fullmatch(mine) and _GUID.fullmatch(of_vault)
    return not told or mine.lower() == of_vault.lower()


def _credential(
    principal: Principal, settings: dict[str, Any]
) -> ClientSecretCredential | CertificateCredential:
    try:
        if principal.certificate:
            data = principal.certificate.encode()
            return CertificateCredential(
                principal.tenant_id, principal.client_id, certificate_data=data, **settings
            )
        return ClientSecretCredential(principal.tenant_id, principal.client_id, principal.secret, **settings)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # the library's words may quote what it was given
        raise errors.problem(
            "vault_sign_in_refused", "Tenant, client ID, client secret or certificate cannot be read."
        ) from None


def _busy(response: PipelineResponse[Any, Any]) -> None:
    """Sign-in that asks to wait says so by its status alone, which MSAL would read as a refusal."""
    answer, url = response.http_response, str(response.http_request.url)
    if urlsplit(url).scheme == "https" and (answer.status_code == 429 or answer.status_code >= 500):
        code = "vault_throttled" if answer.status_code == 429 else "vault_unreachable"
        asked = errors.seconds_asked(answer.headers.get("Retry-After"))
        raise errors.problem(code, f"Sign-in answers HTTP {answer.status_code}.", asked)
