"""Start checks: what would make the portal unsafe stops it (``manage.py check`` and every start)."""

import base64
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register

from connections_portal import append_only


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


@register(Tags.database)
def append_only_tables(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    """Refuse a database in which audit or consent could be rewritten (rule S17)."""
    return [
        Error(f"The trigger {name} is missing: run manage.py migrate.", id="portal.E004")
        for alias in databases or []
        for name in append_only.missing(using=alias)
    ]
