"""The Key Vault double: Azure's sign-in, directory and vaults on one loopback port, behind a proxy.

A stand-in for trying the portal out without Azure and for its tests, not product code. The portal's own code
and Microsoft's libraries run against it unchanged: ``OUTGOING_PROXY`` leads to it, and ``OUTGOING_CA_FILE`` names
the authority that signed its certificate. What it follows and what it leaves out stands in docs/connectors.md.
"""

import os
import ssl
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import trustme

from connections_portal.sandbox.key_vault_cloud import CLOUDS, Cloud
from connections_portal.sandbox.key_vault_proxy import ProxyServer

AUTHORITY = "authority.pem"
AUTHORITY_KEY = "authority.key"


class KeyVaultDouble:
    """The double in ``directory`` (for the certificates) on ``port``; use it as a context manager.

    ``cloud`` is what there is, and may be replaced at any time. ``through`` connects other hosts for real instead of
    refusing them.
    """

    def __init__(
        self, directory: Path, *, cloud: Cloud | None = None, port: int = 0, through: bool = False
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.cloud = cloud or Cloud()
        self.ca_file = directory / AUTHORITY
        authority = _kept_authority(directory)
        names = [name for login, suffix, host in CLOUDS.values() for name in (login, f"*.{suffix}", host)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        self._server = ProxyServer(port, lambda: self.cloud, context, through=through)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="key vault double"
        )

    @property
    def port(self) -> int:
        """The port that was taken."""
        return int(self._server.server_address[1])

    @property
    def proxy(self) -> str:
        """What ``OUTGOING_PROXY`` is to be."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def identity_environment(self) -> Mapping[str, str]:
        """What a machine of the cloud finds in its environment where it has an identity of its own."""
        return {
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "IDENTITY_ENDPOINT": f"{self.proxy}/msi/token",
            "IDENTITY_HEADER": self.cloud.identity_header,
        }

    def cut_all(self) -> None:
        """Break every line that is open."""
        self._server.cut_all()

    def __enter__(self) -> "KeyVaultDouble":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()


def _kept_authority(directory: Path) -> trustme.CA:
    """The authority of the last start, else a new one; its key is readable by the owner only."""
    certificate, key = directory / AUTHORITY, directory / AUTHORITY_KEY
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    authority = trustme.CA(organization_name="Connections Portal sandbox")
    for path, content in (
        (key, authority.private_key_pem.bytes()),
        (certificate, authority.cert_pem.bytes()),
    ):
        descriptor, name = tempfile.mkstemp(dir=directory)  # readable by the owner only
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    return authority
