"""What people type for a vault, a secret and a version, in one form, and what a link lets be used (rules S8, S19).

Pure functions. Those that clean raise ``ValueError`` with a sentence marked for translation.
"""

import re
from datetime import datetime
from urllib.parse import urlsplit

from connections.connectors.addresses import has_hidden
from connections.connectors.base import N_
from connections.key_vault.base import TARGET_TAG, SecretFacts
from connections.key_vault.clouds import CLOUDS

# Sources: Azure's naming rules (vaults: 3 to 24 letters, digits and single hyphens, beginning with a letter; names of
# secrets: 1 to 127 letters, digits and hyphens; neither tells upper from lower case) and the versions of the service.
_VAULT = re.compile(r"(?!.*--)[a-z][a-z0-9-]{1,22}[a-z0-9]")
_SECRET = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9a-f]{32}")

BAD_HOST = N_("This is not the address of a Key Vault. Type it like https://contoso-kv.vault.azure.net.")
BAD_SUFFIX = N_(
    "Only Azure Key Vaults can be linked: the address ends with the Key Vault domain of your cloud."
)
BAD_SCHEME = N_("Key Vaults are reached over https only.")
BAD_PATH = N_("Type the vault's address alone, without the name of a secret or anything else behind it.")
BAD_SECRET = N_("The name of a secret has letters, digits and hyphens only, 127 at most.")
BAD_VERSION = N_("A version is the 32 letters and digits that Azure shows for it.")


def clean_host(text: str, *, cloud: str) -> str:
    """``https://Contoso-KV.vault.azure.net/`` as ``contoso-kv.vault.azure.net``; a vault's bare name is enough.

    ``cloud`` is a key of ``CLOUDS``. Raises ValueError for http, for anything behind the host, and for a host that is
    not a vault of this cloud.
    """
    text = text.strip()
    if not text or has_hidden(text) or any(c.isspace() for c in text) or not text.isascii() or "\\" in text:
        raise ValueError(BAD_HOST)
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() != "https":
        raise ValueError(BAD_SCHEME)
    try:
        parts = urlsplit(f"https://{rest if mark else text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(BAD_HOST) from None
    if parts.username is not None or parts.password is not None or port not in (None, 443):
        raise ValueError(BAD_HOST)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(BAD_PATH)
    suffix = f".{CLOUDS[cloud].suffix}"
    name = host.removesuffix(suffix)
    if "." in host and name == host:
        raise ValueError(BAD_SUFFIX)
    if not _VAULT.fullmatch(name):
        raise ValueError(BAD_HOST)
    return name + suffix


def clean_secret_name(text: str) -> str:
    """A secret's name as typed, without blanks around it. Raises ValueError."""
    name = text.strip()
    if not _SECRET.fullmatch(name):
        raise ValueError(BAD_SECRET)
    return name


def clean_version(text: str) -> str:
    """A version in its one form, or empty for *always the latest*. Raises ValueError."""
    version = text.strip().lower()
    if version and not _VERSION.fullmatch(version):
        raise ValueError(BAD_VERSION)
    return version


def allows(scope: str, scope_value: str, facts: SecretFacts) -> bool:
    """Whether a link with this scope (a value of VaultScope) lets the secret be used (rule S8).

    A prefix is compared as the service compares names, whatever the case. A tag is ``name`` (with any value) or
    ``name=value``. An unknown scope, or one without the value it needs, lets nothing.
    """
    if scope == "all":
        return True
    if not scope_value:
        return False
    if scope == "prefix":
        return facts.name.lower().startswith(scope_value.lower())
    if scope == "tag":
        name, mark, value = scope_value.partition("=")
        found = _tag(facts, name.strip())
        return found is not None and (not mark or found.strip() == value.strip())
    return False


def rules_out(scope: str, scope_value: str, name: str) -> bool:
    """Whether the name alone says that a link with this scope does not let the secret be used; a tag is not in it."""
    return scope != "tag" and not allows(scope, scope_value, SecretFacts(name=name))


def target_tag(facts: SecretFacts) -> str:
    """What the tag ``portal-target`` says, empty where there is none; its case does not matter."""
    return _tag(facts, TARGET_TAG) or ""


def for_target(tag: str, host: str) -> bool:
    """Whether a secret whose tag ``portal-target`` reads ``tag`` may be used for ``host``; an empty tag for any."""
    if not tag.strip():
        return True
    hosts = {entry.lower().removesuffix(".") for entry in re.split(r"[\s,]+", tag) if entry}
    return host.lower().removesuffix(".") in hosts


def usable(facts: SecretFacts, now: datetime) -> str:
    """Why a secret must not be used at ``now``, as a code of ``errors``; empty when it may."""
    if not facts.enabled:
        return "vault_secret_disabled"
    if facts.expires_at is not None and facts.expires_at <= now:
        return "vault_secret_expired"
    if facts.not_before is not None and facts.not_before > now:
        return "vault_secret_not_yet_valid"
    return ""


def _tag(facts: SecretFacts, name: str) -> str | None:
    return next((value for key, value in facts.tags.items() if key.lower() == name.lower()), None)
