"""What is known of a vault's secret, and the verbs of a vault, independent of any library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from connections.connectors.base import N_

# The tag that says which targets a secret is for (rule S8): hosts, separated by spaces or commas.
TARGET_TAG = "portal-target"
# Code of the steps in which a vault is verified, with their labels, in order.
STEPS = (
    ("reach", N_("Reach the vault")),
    ("sign_in", N_("Sign in")),
    ("list", N_("List secrets")),
    ("read", N_("Read a secret")),
)


@dataclass(frozen=True, kw_only=True)
class SecretFacts:
    """What a vault says of one secret besides its value. ``version`` is empty where a list does not name it.

    ``not_before`` and ``expires_at`` are advisory at the vault, which hands out such secrets all the same: whoever
    reads one looks at them first.
    """

    name: str
    version: str = ""
    enabled: bool = True
    not_before: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NamesPage:
    """One page of the service's own list, at most 25 secrets in the service's order; ``after`` leads to the next one,
    empty at the end.
    """

    items: tuple[SecretFacts, ...]
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class ListedVault:
    """A vault that Azure's directory (Resource Graph) shows to an identity."""

    host: str
    name: str
    subscription_id: str
    subscription_name: str
    resource_group: str
    region: str


@dataclass(frozen=True, kw_only=True, repr=False)
class Principal:
    """A service principal: ``certificate`` is PEM with certificate and private key; that or ``secret`` is empty."""

    tenant_id: str
    client_id: str
    secret: str = ""
    certificate: str = ""


class Vault(Protocol):
    """A vault that somebody is signed in to. Every method raises ConnectorError (see ``errors``) and nothing else.

    A patient one tries again, for a worker; any other answers at once, for a page.
    """

    host: str

    def names(self, after: str = "") -> NamesPage:
        """One page of secrets, from the beginning or from where a page ended; one request."""

    def versions(self, name: str) -> tuple[SecretFacts, ...]:
        """Every version of a secret, newest first; NeedsAttention ``vault_secret_missing`` if there is none."""

    def facts(self, name: str, pinned: str = "") -> SecretFacts:
        """What is said of the latest version, or of the pinned one; the value is not read."""

    def read(self, name: str, pinned: str = "") -> tuple[str, SecretFacts]:
        """The value with what is said of it, in one request."""
