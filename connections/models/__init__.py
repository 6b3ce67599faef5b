"""Connections and all that belongs to them; linked Key Vaults and the secrets that are read from them."""

from connections.models.connection import (
    Access,
    AccessRequest,
    Connection,
    ConnectionDraft,
    ConnectionGroupObjectPermission,
    ConnectionQuerySet,
    ConnectionSecret,
    ConnectionUserObjectPermission,
    Consent,
    RemovedConnection,
    State,
)
from connections.models.key_vault import (
    KeyVault,
    VaultIdentity,
    VaultName,
    VaultNotice,
    VaultScope,
    VaultSecret,
    VaultSecretState,
    VaultSecretTarget,
    VaultState,
)

__all__ = [
    "Access",
    "AccessRequest",
    "Connection",
    "ConnectionDraft",
    "ConnectionGroupObjectPermission",
    "ConnectionQuerySet",
    "ConnectionSecret",
    "ConnectionUserObjectPermission",
    "Consent",
    "KeyVault",
    "RemovedConnection",
    "State",
    "VaultIdentity",
    "VaultName",
    "VaultNotice",
    "VaultScope",
    "VaultSecret",
    "VaultSecretState",
    "VaultSecretTarget",
    "VaultState",
]
