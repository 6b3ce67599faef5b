"""Trying a vault step by step, over the code that runs use."""

from collections.abc import Callable, Iterable, Iterator

from connections.connectors.base import Step
from connections.key_vault.base import SecretFacts
from connections.key_vault.client import AzureVault
from connections.key_vault.identity import Identity

ALL_SECONDS = 10.0


def verify(
    vault: AzureVault,
    identity: Identity,
    *,
    allowed: Callable[[SecretFacts], bool],
    secret_name: str = "",
) -> Iterator[Step]:
    """The steps of ``base.STEPS`` in order, at most 10 seconds in all; ends after the first that failed.

    Reads the secret ``secret_name``, or else the first of the vault's first page that may be used (``allowed``) and can
    be; its value is dropped at once. LIMITED is a step that works with a restriction: names cannot be listed, or there
    is no secret to read. Never raises ConnectorError.
    """
    raise NotImplementedError


def passed(steps: Iterable[Step]) -> bool:
    """Whether the vault may be linked: every step is there, and each is done or works with a restriction."""
    raise NotImplementedError
