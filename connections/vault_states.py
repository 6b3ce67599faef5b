"""What the states of Key Vaults and of their secrets mean: which of them can be used, and the code of each trouble."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from connections import connectors
from connections.key_vault import errors, names
from connections.key_vault.base import SecretFacts
from connections.models import Connection, VaultSecret, VaultSecretState, VaultState

DAY = dt.timedelta(days=1)

# States of a secret that can be read and used, by how soon it expires, soonest first.
STEPS = (
    (DAY, VaultSecretState.EXPIRES_1),
    (7 * DAY, VaultSecretState.EXPIRES_7),
    (30 * DAY, VaultSecretState.EXPIRES_30),
)
EXPIRING = tuple(state for _within, state in STEPS)
GOOD = (VaultSecretState.USABLE, *EXPIRING)

# The state that a vault is in after an error with this code (``key_vault.errors``).
VAULT_STATES = {
    "vault_unreachable": VaultState.UNREACHABLE,
    "vault_name_unknown": VaultState.UNREACHABLE,
    "vault_address_refused": VaultState.UNREACHABLE,
    "vault_key_unknown": VaultState.UNREACHABLE,
    "vault_identity_missing": VaultState.SIGN_IN_REFUSED,
    "vault_identity_not_for_host": VaultState.SIGN_IN_REFUSED,
    "vault_credential_unusable": VaultState.SIGN_IN_REFUSED,
    "vault_sign_in_refused": VaultState.SIGN_IN_REFUSED,
    "vault_foreign_tenant": VaultState.SIGN_IN_REFUSED,
    "vault_forbidden": VaultState.FORBIDDEN,
    "vault_firewall": VaultState.FORBIDDEN,
}
_USUAL = {
    VaultState.UNREACHABLE: "vault_unreachable",
    VaultState.SIGN_IN_REFUSED: "vault_sign_in_refused",
    VaultState.FORBIDDEN: "vault_forbidden",
}
# The code that a secret in this state is refused with.
SECRET_CODES = {
    VaultSecretState.EXPIRED: "vault_secret_expired",
    VaultSecretState.NOT_YET_VALID: "vault_secret_not_yet_valid",
    VaultSecretState.DISABLED: "vault_secret_disabled",
    VaultSecretState.MISSING: "vault_secret_missing",
    VaultSecretState.FORBIDDEN: "vault_forbidden",
    VaultSecretState.NOT_ALLOWED: "vault_not_allowed",
}
SECRET_STATES = {code: state for state, code in SECRET_CODES.items()}
# What a check finds out, and can therefore find over again.
OTHER_TARGET = "vault_target_refused"
FOUND_BY_CHECKS = frozenset({*VAULT_STATES, *SECRET_STATES, OTHER_TARGET})


def stored_of(facts: SecretFacts) -> dict[str, Any]:
    """The columns of VaultSecret for what the vault says of a secret; never its value."""
    return {
        "version": facts.version[:32],
        "portal_target": names.target_tag(facts)[:256],
        "not_before": facts.not_before,
        "expires_at": facts.expires_at,
    }


@dataclass(frozen=True)
class Trouble:
    """Why a secret cannot be read: the code of ``key_vault.errors``, and its sentence for administrators."""

    code: str
    cause: str


def by_date(expires_at: dt.datetime | None, now: dt.datetime) -> VaultSecretState:
    """The state of a secret that can be used, by when it expires."""
    left = expires_at - now if expires_at else None
    if left is not None:
        if left <= dt.timedelta(0):
            return VaultSecretState.EXPIRED
        for within, state in STEPS:
            if left <= within:
                return state
    return VaultSecretState.USABLE


def trouble_of(secret: VaultSecret, connection: Connection) -> Trouble | None:
    """What keeps the connection from using the secret, as far as is known; the vault's trouble before its own."""
    vault = secret.vault
    if vault.state != VaultState.WORKING:
        # of a vault that is doubted to be in reach besides, the code is that of the doubt
        is_own = VAULT_STATES.get(vault.state_code) == vault.state
        return Trouble(vault.state_code if is_own else _USUAL[VaultState(vault.state)], vault.state_cause)
    code = SECRET_CODES.get(VaultSecretState(secret.state), "")
    connector = connectors.get(connection.type_key)
    if not code and connector is not None:
        host = connector.target(connection.settings).get("host", "")
        code = "" if names.for_target(secret.portal_target, host) else OTHER_TARGET
    return Trouble(code, errors.problem(code).cause) if code else None
