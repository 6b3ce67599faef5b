"""Start checks: what would make the portal unsafe stops it (``manage.py check`` and every start)."""

import base64
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from django import db
from django.conf import settings
from django.core import checks
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from connections_portal import append_only

logger = logging.getLogger(__name__)

# The Key Vaults that the sandbox invents, and who signs its certificate (connections_portal/sandbox).
SANDBOX_VAULTS = {"contoso-sandbox.vault.azure.net", "contoso-sandbox-2.vault.azure.net"}
SANDBOX_AUTHORITY = "Connections Portal sandbox"


@register(Tags.security)
def keys_are_real(**kwargs: Any) -> list[Error]:
    """Refuse the keys that the tests bring with them (rule S3)."""
    if settings.TESTING:
        return []
    public = base64.b64decode(settings.TEST_CONNECTION_KEYS.partition(":")[2])
    errors = []
    if settings.SECRET_KEY == settings.TEST_SECRET_KEY or len(settings.SECRET_KEY) < 32:
        errors.append(Error("SECRET_KEY is known or too short: use 50 random characters.", id="portal.E001"))
    if public in settings.CONNECTION_SECRET_KEYS.values():
        errors.append(Error("CONNECTION_SECRET_KEYS holds a key that is public.", id="portal.E002"))
    if settings.SECRET_KEY.encode() in settings.CONNECTION_SECRET_KEYS.values():
        errors.append(Error("CONNECTION_SECRET_KEYS must differ from SECRET_KEY.", id="portal.E003"))
    return errors


@register(Tags.security)
def sandbox_is_at_home(**kwargs: Any) -> list[Error]:
    """Refuse the sandbox's Key Vault outside ``make run``: an authority whose key lies in a folder, invented vaults."""
    if settings.DEV:
        return []
    errors = []
    if _believes_the_sandbox(settings.OUTGOING_CA_FILE):
        errors.append(
            Error("OUTGOING_CA_FILE names the sandbox: that is for make run only.", id="portal.E005")
        )
    if SANDBOX_VAULTS.intersection(host.lower() for host in settings.KEY_VAULT_HOSTS):
        errors.append(
            Error("KEY_VAULT_HOSTS names the sandbox: that is for make run only.", id="portal.E006")
        )
    return errors


def _believes_the_sandbox(path: str) -> bool:
    """Whether the sandbox's authority is in the file; one that cannot be read has none (and stops nothing here)."""
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes()) if path else []
    except (OSError, ValueError):
        return False
    organization = x509.NameOID.ORGANIZATION_NAME
    names = [name.value for each in found for name in each.subject.get_attributes_for_oid(organization)]
    return SANDBOX_AUTHORITY in names


@register(Tags.database)
def append_only_tables(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.Warning]:
    """Report a database in which audit or consent could be rewritten (rule S17).

    A warning, because ``migrate`` checks first and is what puts the triggers back; every start refuses it.
    """
    return [
        checks.Warning(
            f"The trigger {name} is missing or was changed: run manage.py migrate.", id="portal.W004"
        )
        for alias in databases or []
        for name in append_only.missing(using=alias)
    ]


def refuse_unsafe_start() -> None:
    """Raise ImproperlyConfigured with all that makes the portal unsafe: for web and workers, before they serve.

    A database that is away cannot be asked; nothing can be rewritten in it meanwhile either.
    """
    problems = [problem.msg for problem in [*keys_are_real(), *sandbox_is_at_home()]]
    try:
        problems += [problem.msg for problem in append_only_tables(databases=[db.DEFAULT_DB_ALIAS])]
    except db.Error:
        logger.warning("start: the database did not answer, its triggers were not looked at")
    finally:
        # a web server may fork from here on
        db.connections.close_all()
    if problems:
        raise ImproperlyConfigured("The portal does not start. " + " ".join(problems))
