"""The catalogue of what can be set up: this list, in display order, and nothing else."""

from connections.connectors.base import Connector
from connections.connectors.hubspot import HubSpot
from connections.connectors.mailchimp import Mailchimp
from connections.connectors.sftp import Sftp
from connections.connectors.sftp_custom_import import SftpCustomImport
from connections.connectors.webhook import Webhook

CONNECTORS: tuple[type[Connector], ...] = (Sftp, SftpCustomImport, Mailchimp, HubSpot, Webhook)

_BY_KEY = {connector.key: connector for connector in CONNECTORS}


def get(key: str) -> type[Connector] | None:
    """The connection type with this key, or None."""
    return _BY_KEY.get(key)


def keys_for(direction: str) -> list[str]:
    """The keys of the types that serve ``export`` or ``enrichment``."""
    return [connector.key for connector in CONNECTORS if connector.serves(direction)]
