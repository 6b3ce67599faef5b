"""What can go wrong at a Key Vault, drawn once: codes, sentences, and what Azure's libraries raise in these terms.

Causes name no vault and no secret, for whoever may view an export may read them. Details quote the service.
"""

import email.utils
import re
import time
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError

from connections.connectors.base import N_
from connections.connectors.errors import ConnectorError, NeedsAttention, TryLater

# What libraries raise over an answer; anything else is a fault of ours, or of the database, and passes through.
LIBRARY_ERRORS = (
    AzureError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

# Nothing waits longer than this for a vault that asks for patience.
LONGEST_WAIT = 300.0

_CHECK_IDENTITY = N_("Check tenant, client ID and credential of the linked vault.")
_NETWORK = N_("Check the vault's address, and whether network and proxy let the portal through to it.")

_CERTIFICATE = N_(
    "Something on the way opens encrypted lines. If it is meant, the portal's operator names its certificate in "
    "OUTGOING_CA_FILE."
)

# Code to the sentence for everybody and the one that says what to do.
_TEXTS = {
    "vault_unreachable": (N_("The Key Vault could not be reached."), _NETWORK),
    "vault_name_unknown": (
        N_("No Key Vault has this name."),
        N_("Check the vault's name, and in Azure whether the vault was deleted."),
    ),
    "vault_address_refused": (
        N_("The Key Vault's address belongs to an internal network, which the portal does not reach."),
        N_(
            "For a vault with a private endpoint the portal's operator lists its host with port 443 in OUTGOING_ALLOW."
        ),
    ),
    "vault_throttled": (
        N_("The Key Vault had too many requests and asks to wait."),
        N_("The portal tries again by itself."),
    ),
    "vault_identity_missing": (
        N_("The portal has no identity of its own for Azure."),
        N_(
            "The portal's operator sets AZURE_TOKEN_CREDENTIALS, or the vault is linked with a service principal."
        ),
    ),
    "vault_identity_not_for_host": (
        N_("The portal's own identity is not meant for this Key Vault."),
        N_(
            "The portal's operator lists the vault in KEY_VAULT_HOSTS, or it is linked with a service principal."
        ),
    ),
    "vault_sign_in_refused": (N_("Azure refused the sign-in for the Key Vault."), _CHECK_IDENTITY),
    "vault_foreign_tenant": (
        N_("The Key Vault belongs to another tenant than the identity that signs in."),
        N_("Link it with a service principal of the vault's own tenant."),
    ),
    "vault_forbidden": (
        N_("The identity has no permission to do this in the Key Vault."),
        N_("Give it the role Key Vault Secrets User on the vault. Azure may take some minutes to apply it."),
    ),
    "vault_firewall": (
        N_("The Key Vault's firewall does not let the portal in."),
        N_(
            "Add the portal's outgoing address to the vault's networking settings, or use a private endpoint."
        ),
    ),
    "vault_secret_missing": (
        N_("The secret is not in the Key Vault."),
        N_(
            "Check its name and version, and in Azure whether it was deleted. A deleted secret can be recovered."
        ),
    ),
    "vault_secret_disabled": (
        N_("The secret is disabled in the Key Vault."),
        N_("Enable it in Azure, or choose another one."),
    ),
    "vault_secret_expired": (
        N_("The secret in the Key Vault has expired."),
        N_("Give it a new version or another expiration date in Azure."),
    ),
    "vault_secret_not_yet_valid": (
        N_("The secret in the Key Vault is not valid yet."),
        N_("Wait for its activation date, or change it in Azure."),
    ),
    "vault_not_allowed": (
        N_("The secret is not among those that may be used here."),
        N_("Choose one that the vault's link allows, or change what the link allows."),
    ),
    "vault_target_refused": (
        N_("The secret in the Key Vault is kept for another target."),
        N_("Choose another secret, or change its tag portal-target in Azure."),
    ),
    "vault_secret_unfit": (
        N_("The secret in the Key Vault cannot be used here."),
        N_("Check what is stored: it must not be empty, and has the form that the field asks for."),
    ),
    "vault_unlinked": (
        N_("The Key Vault is not linked any more."),
        N_("Link the vault again, or type the secret."),
    ),
    "vault_credential_unusable": (
        N_("The credential that is stored for the Key Vault cannot be used any more."),
        N_("Link the vault again and type its credential."),
    ),
    "vault_key_unknown": (
        N_("The credential that is stored for the Key Vault cannot be read just now."),
        N_("Whoever operates the portal looks at CONNECTION_SECRET_KEYS."),
    ),
}
CODES = tuple(_TEXTS)

# Nobody must act on these: the run is tried again.
_PASSING = {"vault_unreachable", "vault_throttled", "vault_key_unknown"}

# What Azure's sign-in says by number. Source: Microsoft's list of AADSTS error codes.
_SIGN_IN = {
    "7000215": N_(
        "The client secret is wrong. Copy the secret's value, not its ID, from the app registration."
    ),
    "7000222": N_("The client secret has expired. Make a new one in the app registration."),
    "700016": N_("The tenant knows no application with this client ID."),
    "7000112": N_("The application is disabled in the tenant."),
    "700027": N_("The certificate is not the one of the app registration, or has expired."),
    "90002": N_("There is no tenant with this ID."),
    "900023": N_("There is no tenant with this ID."),
    "53003": N_("A Conditional Access policy of the tenant refuses this sign-in."),
}
_FORBIDDEN = {"SecretDisabled": "vault_secret_disabled", "ForbiddenByFirewall": "vault_firewall"}
# What requests and urllib3 say, in whatever they wrap it.
_NETWORK_WORDS = (
    (r"(certificate verify failed: [^(']+?) *[('.]", "{0}."),
    (r"Tunnel connection failed: ([0-9]+ [A-Za-z ]*)", "The proxy answers {0}."),
    (r"(?i)timed out", "No answer in time."),
    (r"Remote end closed|EOF occurred|reset by peer|Connection aborted", "The line broke."),
    (r"to proxy", "The proxy cannot be reached."),
)
_AADSTS = re.compile(r"AADSTS([0-9]{4,8})")
# AKV10032: the token's issuer is another tenant than the vault's.
_FOREIGN = ("AKV10032", "is not configured to acquire tokens for tenant")
# What the gateway says, in the vault's terms.
_GATEWAY = {"name_unknown": "vault_name_unknown", "address_refused": "vault_address_refused"}


def problem(code: str, detail: str = "", after: float | None = None) -> ConnectorError:
    """The error of this code; TryLater (``after`` in seconds, 300 at most) or NeedsAttention."""
    return _error(code, "", detail, after)


def translate(error: BaseException) -> ConnectorError:
    """What a library raised, as one of our errors; nothing of the answer but Azure's own error message is quoted.

    A ConnectorError comes back as it is, also from inside another one.
    """
    found: BaseException | None = error
    for _depth in range(8):
        if isinstance(found, ConnectorError):
            return found
        found = found.__cause__ if found is not None else None
    if isinstance(error, CredentialUnavailableError):
        return problem("vault_identity_missing", error.message)
    if isinstance(error, HttpResponseError) and error.response is not None:
        return _answered(error)
    if isinstance(error, ClientAuthenticationError):
        # azure-identity makes this of everything that happens while signing in, the network's troubles included
        lost = isinstance(error.__cause__, ServiceRequestError | ServiceResponseError)
        return _lost(error) if lost else _sign_in(error.message)
    if isinstance(error, AzureError):
        return _lost(error)
    # whatever else a library stumbles over is an answer that it cannot read; its words may quote that answer
    return unreadable()


def unreadable(detail: str = "") -> ConnectorError:
    """The answer is not one that a Key Vault gives."""
    return problem("vault_unreachable", detail or "The answer is not one of Azure Key Vault.")


def from_gateway(error: ConnectorError) -> ConnectorError:
    """What the gateway said of a host, in a vault's terms."""
    return problem(_GATEWAY.get(error.code, "vault_unreachable"), error.detail)


def seconds_asked(header: str | None) -> float | None:
    """``Retry-After`` in seconds from now, 300 at most; None where it is not there or cannot be read."""
    if not header:
        return None
    if header.strip().isdecimal():
        return min(float(header), LONGEST_WAIT)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return min(max(at.timestamp() - time.time(), 0.0), LONGEST_WAIT)


def _error(code: str, remedy: str, detail: str, after: float | None) -> ConnectorError:
    cause, usual = _TEXTS[code]
    if code in _PASSING:
        wait = None if after is None else min(after, LONGEST_WAIT)
        return TryLater(cause, code=code, detail=detail, remedy=remedy or usual, after=wait)
    return NeedsAttention(cause, code=code, detail=detail, remedy=remedy or usual)


def _answered(error: HttpResponseError) -> ConnectorError:
    """The service answered with a status that says why not."""
    status, (code, inner, message) = error.status_code, _said(error)
    asked = seconds_asked(getattr(error.response, "headers", {}).get("Retry-After"))
    detail = ": ".join(filter(None, [inner or code, message])) or f"HTTP {status}"
    if status == 429:
        return problem("vault_throttled", detail, asked)
    if status is None or status >= 500:
        return problem("vault_unreachable", f"HTTP {status} {detail}", asked)
    if status == 403:
        return problem(_FORBIDDEN.get(inner, "vault_forbidden"), detail)
    if status == 404 and code == "SecretNotFound":
        return problem("vault_secret_missing", detail)
    if status == 401 or isinstance(error, ClientAuthenticationError):
        return _sign_in(message or error.message)
    return problem("vault_unreachable", f"HTTP {status} {detail}", asked)


def _said(error: HttpResponseError) -> tuple[str, str, str]:
    """Code, inner code and message of Azure's error document; empty where it is something else."""
    document: Any = error.error
    if document is None:
        return "", "", ""
    inner = document.innererror
    inner_code = inner.get("code") if isinstance(inner, dict) else ""
    texts = (document.code, inner_code, document.message)
    code, inner_text, message = (text if isinstance(text, str) else "" for text in texts)
    return code, inner_text, message


def _sign_in(message: str) -> ConnectorError:
    if any(sign in message for sign in _FOREIGN):
        return problem("vault_foreign_tenant", message)
    number = _AADSTS.search(message)
    remedy = _SIGN_IN.get(number[1], "") if number else ""
    return _error("vault_sign_in_refused", remedy, message, None)


def _lost(error: AzureError) -> ConnectorError:
    """What the network said, in few words instead of the representations of every layer around it."""
    text = str(error.message)
    for pattern, words in _NETWORK_WORDS:
        if found := re.search(pattern, text):
            remedy = _CERTIFICATE if "certificate" in pattern else ""
            return _error("vault_unreachable", remedy, words.format(*found.groups()), None)
    return problem("vault_unreachable", text.rpartition("Caused by ")[2])
