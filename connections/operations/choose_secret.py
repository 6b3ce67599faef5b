"""Secrets of Key Vaults that were chosen in a form: looked up before anything refers to them (rules S8, S19)."""

from collections.abc import Mapping

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import vault_access, vault_clients
from connections.connectors.errors import ConnectorError
from connections.key_vault import errors, names, transport
from connections.key_vault.base import SecretFacts
from connections.models import VaultScope, VaultSecret
from connections.operations.limits import slot
from connections.vault_choice import Chosen
from connections_portal.errors import OperationError

# For all that are looked up at once; what else the page waits for has the rest of its ten seconds (rule S20).
SECONDS = 4.0


def look_up(chosen: Mapping[str, Chosen], *, host: str) -> dict[str, VaultSecret]:
    """The rows to refer to, by field, for a target at ``host``. Asks each vault once per secret; no value is read.

    Raises OperationError with a sentence at ``<field>-name`` for every secret that cannot be used, and TooMany. Must
    not be called inside a transaction.
    """
    found: dict[str, VaultSecret] = {}
    wrong: dict[str, str] = {}
    if not chosen:
        return found
    with slot(), transport.within(SECONDS):
        for field, one in chosen.items():
            try:
                found[field] = _look_up(one, host)
            except ConnectorError as error:
                wrong[f"{field}-name"] = " ".join(_(text) for text in (error.cause, error.remedy) if text)
    if wrong:
        raise OperationError(_("Check the chosen secrets."), fields=wrong)
    return found


def _look_up(one: Chosen, host: str) -> VaultSecret:
    vault = one.vault
    if vault.scope == VaultScope.PREFIX and not names.allows(
        vault.scope, vault.scope_value, SecretFacts(name=one.name)
    ):
        raise errors.problem("vault_not_allowed")
    facts = _facts(one)
    if facts is not None:
        if not names.allows(vault.scope, vault.scope_value, facts):
            raise errors.problem("vault_not_allowed")
        if not names.for_target(names.target_tag(facts), host):
            raise errors.problem("vault_target_refused")
        if code := names.usable(facts, timezone.now()):
            raise errors.problem(code)
    name = facts.name if facts is not None else one.name
    try:
        return vault_access.reference(vault=vault, name=name, pinned=one.pinned, facts=facts)
    except IntegrityError:
        raise errors.problem("vault_unlinked") from None


def _facts(one: Chosen) -> SecretFacts | None:
    """What the vault says of the secret; None where it may be read but not be looked at, which its use then settles."""
    try:
        return vault_clients.client_of(one.vault, patient=False).facts(one.name, one.pinned)
    except ConnectorError as error:
        if error.code != "vault_forbidden" or one.vault.scope == VaultScope.TAG:
            raise
        return None
