"""The way from Azure's libraries to Azure: one transport, through the gateway or the operator's proxy (rule S18)."""

from collections.abc import Collection

from azure.core.pipeline.transport import RequestsTransport

from connections.connectors.base import Gateway


class Outgoing:
    """How hosts of Azure are reached. Thread-safe; opens nothing by itself.

    ``proxy`` is ``http://[user:password@]host:port`` or empty; it is then asked for every host and looks the names
    up. ``ca_file`` names certificates (PEM) of authorities that are believed besides the public ones.
    """

    def __init__(self, gateway: Gateway, proxy: str = "", ca_file: str = "") -> None:
        self.gateway = gateway
        self.proxy = proxy
        self.ca_file = ca_file

    def transport(self, hosts: Collection[str], endpoints: Collection[str] = ()) -> RequestsTransport:
        """A transport to these hosts (https, port 443) and to nothing else.

        ``endpoints`` are addresses of the machine's own identity service (``http://169.254.169.254``): they alone are
        reached by http, without gateway or proxy.
        """
        raise NotImplementedError
