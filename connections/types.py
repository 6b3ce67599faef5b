"""What connection types are called where people read it."""

from django.utils.translation import gettext

from connections import connectors


def type_name(key: str) -> str:
    """What connections of this type are called; the key itself for a type that is no longer built in."""
    connector = connectors.get(key)
    return gettext(connector.connection_name) if connector else key
