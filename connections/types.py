"""What connection types are called where people read it."""

from django.utils.translation import gettext

from connections import connectors


def type_name(key: str) -> str:
    """What connections of this type are called; the key itself for a type that is no longer built in."""
    connector = connectors.get(key)
    return gettext(connector.connection_name) if connector else key


def takes_files(key: str) -> bool:
    """Whether exports over connections of this type are files; true for a type that is no longer built in."""
    connector = connectors.get(key)
    return connector is None or connector.takes_files()


def target_names(key: str) -> dict[str, str]:
    """What the fields of a service that takes records are called, by key."""
    connector = connectors.get(key)
    return {target.key: gettext(target.label) for target in connector.targets} if connector else {}
