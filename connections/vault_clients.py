"""Live clients of linked vaults: one per vault and version in each process, with the tokens they hold.

Here settings, stored credentials and the gateway meet for Key Vaults, as in ``operations.connector`` for connections.
"""

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction

from connections import sealed
from connections.connectors.errors import ConnectorError
from connections.key_vault import directory as azure_directory
from connections.key_vault import errors
from connections.key_vault.base import ListedVault, Principal
from connections.key_vault.client import AzureVault
from connections.key_vault.identity import Identity, PortalIdentity, PrincipalIdentity
from connections.key_vault.transport import Outgoing
from connections.models import ConnectionSecret, KeyVault, VaultIdentity
from connections.outgoing import gateway
from connections_portal import audit, redaction

CREDENTIAL = "credential"
MAX_CLIENTS = 64
DIRECTORY_SECONDS = 60.0
FAILURE_SECONDS = 5.0
ASK_SECONDS = 4.0

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# By vault and version, so that a changed link begins anew; the credential is part of what is linked.
_lock = threading.Lock()
_identities: "OrderedDict[tuple[UUID, int], Identity]" = OrderedDict()
_clients: "OrderedDict[tuple[UUID, int, bool], AzureVault]" = OrderedDict()


def client_of(vault: KeyVault, *, patient: bool) -> AzureVault:
    """The client of a linked vault, signed in when it is first used. Raises ConnectorError.

    A principal's credential is unsealed only while a token is fetched, and each time recorded (``secret.used``): no
    record, no token, and whatever the database raises then. Not to be used inside a transaction. The portal's own
    identity is given to vaults only that the operator or its directory lists (rule S7).
    """
    key = (vault.uuid, vault.version, patient)
    if (found := _kept(_clients, key)) is not None:
        return found
    identity = _portal_for(vault.host) if vault.identity == VaultIdentity.PORTAL else _principal_of(vault)
    return _keep(_clients, key, AzureVault(vault.host, identity, _outgoing(), patient=patient))


def trial(host: str, identity: str, tenant_id: str, client_id: str, credential: str) -> AzureVault:
    """A client for a vault that is to be linked, with what was typed; its ``identity`` is the one to verify with.

    ``identity`` is a value of VaultIdentity; for the portal's own the rest is empty. Raises ConnectorError.
    """
    if identity == VaultIdentity.PORTAL:
        return AzureVault(host, _portal_for(host), _outgoing(), patient=False)

    @contextmanager
    def typed() -> Iterator[Principal]:
        with redaction.in_use([credential]):
            yield _principal(identity, tenant_id, client_id, credential)

    signing = PrincipalIdentity(tenant_id, typed, _outgoing(), cloud=settings.AZURE_CLOUD)
    return AzureVault(host, signing, _outgoing(), patient=False)


def directory() -> tuple[ListedVault, ...]:
    """The vaults that the portal's own identity is shown, at most a minute old. Raises ConnectorError."""
    return _listed.now()


def forget(vault: KeyVault) -> None:
    """Drop the clients and tokens of a vault in this process."""
    with _lock:
        for key in [key for key in _clients if key[0] == vault.uuid]:
            del _clients[key]
        for owner in [owner for owner in _identities if owner[0] == vault.uuid]:
            del _identities[owner]


def forget_all() -> None:
    """Drop everything that this process keeps of any vault, the portal's own identity included."""
    with _lock:
        _clients.clear()
        _identities.clear()
    _portal.cache_clear()
    _way.cache_clear()
    _listed.forget()


class _Listed:
    """What the portal's identity is shown, asked once for everybody who wants to know in the same minute.

    A failure is kept as well, for some seconds, so that those who waited do not ask one after the other.
    """

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._until = 0.0
        self._found: tuple[ListedVault, ...] | ConnectorError = ()

    def now(self) -> tuple[ListedVault, ...]:
        """The vaults; raises ConnectorError."""
        with self._asking:
            if time.monotonic() >= self._until:
                self._found = self._ask()
                failed = isinstance(self._found, ConnectorError)
                self._until = time.monotonic() + (FAILURE_SECONDS if failed else DIRECTORY_SECONDS)
            if isinstance(self._found, ConnectorError):
                raise self._found.with_traceback(None)
            return self._found

    def forget(self) -> None:
        """Ask anew next time."""
        self._until = 0.0

    @staticmethod
    def _ask() -> tuple[ListedVault, ...] | ConnectorError:
        try:
            return azure_directory.listed_vaults(
                _portal(), _outgoing(), cloud=settings.AZURE_CLOUD, seconds=ASK_SECONDS
            )
        except ConnectorError as error:
            return error


_listed = _Listed()


def _portal_for(host: str) -> Identity:
    """The portal's own identity for a vault that it may be shown to (rule S7)."""
    named = {listed.lower() for listed in settings.KEY_VAULT_HOSTS}
    if host not in named and host not in {vault.host for vault in directory()}:
        raise errors.problem("vault_identity_not_for_host", host)
    return _portal()


@functools.cache
def _portal() -> PortalIdentity:
    return PortalIdentity(
        _outgoing(),
        cloud=settings.AZURE_CLOUD,
        tenant_id=settings.AZURE_TENANT_ID,
        endpoints=settings.AZURE_IDENTITY_ENDPOINTS,
    )


def _principal_of(vault: KeyVault) -> Identity:
    """The service principal of a linked vault, one per version of the link, with the tokens it has."""
    owner = (vault.uuid, vault.version)
    if (found := _kept(_identities, owner)) is not None:
        return found
    stored = functools.partial(_stored, *owner)
    made = PrincipalIdentity(vault.tenant_id, stored, _outgoing(), cloud=settings.AZURE_CLOUD)
    return _keep(_identities, owner, made)


@contextmanager
def _stored(uuid: UUID, version: int) -> Iterator[Principal]:
    """The principal as it is stored, for the length of the block: recorded first, then unsealed (rules S1, S5).

    Raises ConnectorError when the link was changed or removed, or the credential is not for this very link.
    """
    vault = KeyVault.objects.filter(uuid=uuid).first()
    if vault is None:
        raise errors.problem("vault_unlinked")
    if vault.version != version:
        raise errors.problem("vault_unreachable", "The link was changed a moment ago.")
    secret = ConnectionSecret.objects.filter(key_vault=vault, field=CREDENTIAL).first()
    if secret is None or secret.target_digest != digest_of(vault):
        raise errors.problem("vault_credential_unusable")
    with transaction.atomic(durable=True):
        audit.record(
            "secret.used", actor=None, target=vault, label=vault.host, purpose="vault", fields=[CREDENTIAL]
        )
    try:
        value = sealed.unseal(secret)
    except sealed.KeyUnknown as error:
        raise errors.problem("vault_key_unknown", error.message) from None
    except sealed.SecretError as error:
        raise errors.problem("vault_credential_unusable", error.message) from None
    with redaction.in_use([value]):
        yield _principal(vault.identity, vault.tenant_id, vault.client_id, value)


def digest_of(vault: KeyVault) -> str:
    """The digest of whom a vault's credential signs in, and where: what it is sealed for (rule S1)."""
    return sealed.digest(["key_vault", vault.host, vault.tenant_id, vault.client_id, vault.identity])


def _principal(identity: str, tenant_id: str, client_id: str, credential: str) -> Principal:
    certificate = identity == VaultIdentity.PRINCIPAL_CERTIFICATE
    return Principal(
        tenant_id=tenant_id,
        client_id=client_id,
        secret="" if certificate else credential,
        certificate=credential if certificate else "",
    )


def _outgoing() -> Outgoing:
    return _way(settings.OUTGOING_PROXY, settings.OUTGOING_CA_FILE)


@functools.lru_cache(maxsize=4)
def _way(proxy: str, ca_file: str) -> Outgoing:
    return Outgoing(gateway(), proxy, ca_file)


def _kept(things: "OrderedDict[K, V]", key: K) -> V | None:
    with _lock:
        if key in things:
            things.move_to_end(key)
        return things.get(key)


def _keep(things: "OrderedDict[K, V]", key: K, made: V) -> V:
    """What is kept under the key from now on: the one that came first; the longest unused ones go."""
    with _lock:
        kept = things.setdefault(key, made)
        while len(things) > MAX_CLIENTS:
            things.popitem(last=False)
        return kept
