"""The catalogue of what can be set up: this list, in display order, and nothing else."""

from django.utils.translation import gettext

from connections.connectors.base import Connector
from connections.connectors.sftp import Sftp
from connections.connectors.sftp_custom_import import SftpCustomImport

CONNECTORS: tuple[type[Connector], ...] = (Sftp, SftpCustomImport)

_BY_KEY = {connector.key: connector for connector in CONNECTORS}


def get(key: str) -> type[Connector] | None:
    """The connection type with this key, or None."""
    return _BY_KEY.get(key)


def keys_for(direction: str) -> list[str]:
    """The keys of the types that serve ``export`` or ``enrichment``."""
    return [connector.key for connector in CONNECTORS if connector.serves(direction)]


def type_name(key: str) -> str:
    """What connections of this type are called; the key itself for a type that is no longer built in."""
    connector = get(key)
    return gettext(connector.connection_name) if connector else key
