"""A server that answers in Azure's place with whatever a test wants, also what Azure never would.

It is reached without a proxy: through a gateway that leads every name to it and refuses to resolve any.
"""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

from connections.gateway import OutgoingGateway
from connections.key_vault.base import Principal
from connections.key_vault.client import AzureVault
from connections.key_vault.identity import PrincipalIdentity
from connections.key_vault.transport import Outgoing

TENANT = "11111111-2222-3333-4444-555555555555"
HOST = "odd-kv.vault.azure.net"
LOGIN = "login.microsoftonline.com"
VERSION = "0123456789abcdef0123456789abcdef"
TOKEN = "token-of-the-odd-one"
CLIENT_SECRET = "s3cret-of-the-application"
CHALLENGE = f'Bearer authorization="https://{LOGIN}/{TENANT}", resource="https://vault.azure.net"'


@dataclass
class Reply:
    """An answer; ``length`` is told instead of the body's own, ``pause`` are seconds between any two bytes of it."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    pause: float = 0.0


class OddAzure:
    """``replies`` maps a path of the vault (or directory, or sign-in) to what is answered; ``seen`` what was asked."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.ca_file = directory / "authority.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("*.vault.azure.net", LOGIN, "management.azure.com").configure_cert(self.context)
        self.replies: dict[str, Reply] = {}
        self.seen: list[tuple[str, str, bool]] = []
        self.stopped = threading.Event()
        self.server = _Server(self)
        self.port = self.server.server_address[1]
        self.gateway = Leading(self.port)

    @property
    def outgoing(self) -> Outgoing:
        """The way to this server."""
        return Outgoing(self.gateway, "", str(self.ca_file))

    def identity(self, tenant_id: str = TENANT) -> PrincipalIdentity:
        """A principal that this server signs in."""

        @contextmanager
        def principal() -> Iterator[Principal]:
            yield Principal(tenant_id=tenant_id, client_id="app", secret=CLIENT_SECRET)

        return PrincipalIdentity(tenant_id, principal, self.outgoing, cloud="public")

    def vault(self, *, patient: bool = False, host: str = HOST) -> AzureVault:
        """A client of the vault that it plays."""
        return AzureVault(host, self.identity(), self.outgoing, patient=patient)


class Leading(OutgoingGateway):
    """A gateway that leads every host to one port of this machine and notes which were asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(allow=[("127.0.0.1", port)])
        self.leads_to, self.asked = port, list[tuple[str, int]]()

    def connect(self, host: str, port: int, *, timeout: float) -> socket.socket:
        self.asked.append((host, port))
        return super().connect("127.0.0.1", self.leads_to, timeout=timeout)


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, odd: OddAzure) -> None:
        self.odd = odd
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            with self.odd.context.wrap_socket(request, server_side=True) as line:
                line.settimeout(10)
                _Handler(line, client_address, self)
        except OSError:
            pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""

    def do(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, bearer = urlsplit(self.path).path, bool(self.headers.get("Authorization"))
        self.server.odd.seen.append((self.headers["Host"], self.path, bearer))
        self.close_connection = True
        reply = self.server.odd.replies.get(path)
        if self.headers["Host"].startswith(LOGIN):
            reply = reply or _signed_in(path)
        elif not bearer:
            reply = self.server.odd.replies.get("challenge") or Reply(
                status=401, headers={"WWW-Authenticate": CHALLENGE}
            )
        reply = reply or Reply(status=404, body={"error": {"code": "SecretNotFound", "message": "not there"}})
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if reply.length is None else reply.length))
        self.end_headers()
        pieces = [body] if not reply.pause else [bytes([byte]) for byte in body]
        for piece in pieces:
            self.wfile.write(piece)
            if reply.pause:
                self.server.odd.stopped.wait(reply.pause)

    do_GET = do_POST = do  # noqa: N815


def _signed_in(path: str) -> Reply:
    base = f"https://{LOGIN}/{path.split('/')[1]}"
    if path.endswith("/openid-configuration"):
        endpoints = {name: f"{base}/oauth2/v2.0/{name}" for name in ("token", "authorize")}
        return Reply(
            body={
                "token_endpoint": endpoints["token"],
                "authorization_endpoint": endpoints["authorize"],
                "issuer": f"{base}/v2.0",
            }
        )
    return Reply(body={"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN})


@contextmanager
def running(directory: Path) -> Iterator[OddAzure]:
    """The server, for the length of the block."""
    odd = OddAzure(directory)
    thread = threading.Thread(target=odd.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield odd
    finally:
        odd.stopped.set()
        odd.server.shutdown()
        thread.join()
        odd.server.server_close()


def item(name: str, *, version: str = "", host: str = HOST, **more: Any) -> dict[str, Any]:
    """A secret as lists name it."""
    address = f"https://{host}/secrets/{name}" + (f"/{version}" if version else "")
    return {"id": address, "attributes": {"enabled": True, "created": 1_700_000_000}} | more
