"""The proxy through which the Key Vault double is reached under Azure's own host names, and its HTTP.

A stand-in for trying the portal out and for its tests, not product code. A client asks for a tunnel to a host
(CONNECT). For the double's own hosts the tunnel ends here, in TLS; any other host is refused, or connected for real
where ``through`` allows it. Asked without a tunnel it answers as the endpoint of managed identities.
"""

import contextlib
import ipaddress
import json
import select
import socket
import ssl
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connections_portal.sandbox import key_vault_directory, key_vault_secrets, key_vault_sign_in
from connections_portal.sandbox.key_vault_cloud import CLOUDS, Cloud, Seen
from connections_portal.sandbox.key_vault_http import Answer, Request

IDLE_SECONDS = 120
LONGEST_BODY = 1_000_000
THROUGH_SECONDS = 10


def is_own(host: str) -> bool:
    """Whether a host is one of those that the double stands in for."""
    return any(
        host in (login, directory) or host.endswith(f".{suffix}")
        for login, suffix, directory in CLOUDS.values()
    )


def _is_unknown(cloud: Cloud, host: str) -> bool:
    """Whether a host under the suffix of vaults is that of none: such a name is not known to the world."""
    return ".vault." in host and host not in cloud.vaults


class ProxyServer(ThreadingHTTPServer):
    """Serves on a loopback port until ``stop``, each client in a thread of its own that ends with it.

    ``cloud`` gives what there is now. ``context`` holds the certificate for the double's hosts.
    """

    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True

    def __init__(
        self, port: int, cloud: Callable[[], Cloud], context: ssl.SSLContext, *, through: bool
    ) -> None:
        super().__init__(("127.0.0.1", port), _Tunnel)
        self.cloud, self.context, self.through = cloud, context, through
        self.stopping = threading.Event()
        self._lines: set[socket.socket] = set()
        self._lock = threading.Lock()

    def opened(self, line: socket.socket) -> None:
        """Remember a line, to cut it off in the end."""
        with self._lock:
            self._lines.add(line)

    def closed(self, line: socket.socket) -> None:
        """Forget a line."""
        with self._lock:
            self._lines.discard(line)

    def cut_all(self) -> None:
        """Cut every line off; clients see a connection that broke."""
        with self._lock:
            for line in self._lines:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Take no more clients, cut the present ones off, and wait until their threads have ended."""
        self.stopping.set()
        self.shutdown()
        self.cut_all()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; everything else is a mistake of the double."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Http(BaseHTTPRequestHandler):
    """What both kinds of conversation share."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: ProxyServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the parent calls it
        """Nothing is written anywhere: addresses hold names."""

    def read_request(self, host: str) -> Request:
        """The request with its body."""
        parts = urlsplit(self.path)
        length = min(int(self.headers.get("Content-Length") or 0), LONGEST_BODY)
        return Request(
            method=self.command,
            host=host,
            path=parts.path.rstrip("/"),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
        )

    def reply(self, request: Request, answer: Answer) -> None:
        """Send the answer and note both."""
        cloud = self.server.cloud()
        cloud.note(
            Seen(
                method=request.method,
                host=request.host,
                path=request.path,
                query=request.query,
                bearer=bool(request.token),
                status=answer.status,
            )
        )
        if cloud.troubles.latency:
            time.sleep(cloud.troubles.latency)
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("x-ms-request-id", str(uuid.uuid4()))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Served(_Http):
    """HTTP inside a tunnel to one of the double's hosts."""

    def __init__(self, line: socket.socket, client: Any, server: ProxyServer, host: str) -> None:
        self.host = host
        super().__init__(line, client, server)

    def do(self) -> None:
        """Answer by what the host stands for."""
        cloud, request = self.server.cloud(), self.read_request(self.host)
        if self.host in cloud.troubles.gone or _is_unknown(cloud, self.host):
            self.close_connection = True
            return
        asked = self.headers.get("Host", "").lower().removesuffix(":443")
        if asked != self.host:
            answer = Answer(status=HTTPStatus.MISDIRECTED_REQUEST)
        elif self.host in cloud.vaults:
            answer = key_vault_secrets.answer(cloud, cloud.vaults[self.host], request)
        elif any(self.host == login for login, _suffix, _directory in CLOUDS.values()):
            answer = key_vault_sign_in.answer(cloud, request)
        else:
            answer = key_vault_directory.answer(cloud, request)
        self.reply(request, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  # as the parent looks for them


class _Tunnel(_Http):
    """A client of the proxy, before its tunnel is made."""

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def do_GET(self) -> None:
        """The endpoint of managed identities: ``IDENTITY_ENDPOINT``, or a machine's own address in the cloud."""
        cloud = self.server.cloud()
        request = self.read_request(urlsplit(self.path).hostname or "identity-endpoint")
        if request.path in key_vault_sign_in.IDENTITY_PATHS:
            self.reply(request, key_vault_sign_in.managed_identity(cloud, request))
        else:
            self.reply(request, Answer(status=HTTPStatus.BAD_GATEWAY))

    def do_CONNECT(self) -> None:
        """Make a tunnel and serve it to its end."""
        self.close_connection = True
        host, _, port = self.path.rpartition(":")
        host = host.lower().strip("[]")
        cloud = self.server.cloud()
        if is_own(host):
            if host in cloud.troubles.gone or port != "443" or _is_unknown(cloud, host):
                self._refuse(host)
            else:
                self._serve(host)
        elif self.server.through:
            self._relay(host, int(port) if port.isdigit() else 0)
        else:
            self._refuse(host)

    def _refuse(self, host: str) -> None:
        """As a proxy says that it cannot reach a host."""
        self.reply(
            Request(method="CONNECT", host=host, path="", query={}, headers={}),
            Answer(status=HTTPStatus.BAD_GATEWAY),
        )

    def _accept(self) -> None:
        self.send_response(HTTPStatus.OK, "Connection established")
        self.end_headers()
        self.wfile.flush()

    def _serve(self, host: str) -> None:
        troubles = self.server.cloud().troubles
        if troubles.latency:
            time.sleep(troubles.latency)
        self._accept()
        if host in troubles.silent:
            self.server.stopping.wait(IDLE_SECONDS)
            return
        if host in troubles.cut:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        try:
            line = self.server.context.wrap_socket(self.connection, server_side=True)
        except (OSError, ValueError):
            return  # a client that does not believe the certificate goes away
        self.server.closed(self.connection)
        self.server.opened(line)
        try:
            with line:
                _Served(line, self.client_address, self.server, host)
        finally:
            self.server.closed(line)

    def _relay(self, host: str, port: int) -> None:
        """Connect a host for real: one of the world's, never this machine or its network."""
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            address = next(str(row[4][0]) for row in rows if ipaddress.ip_address(row[4][0]).is_global)
            other = socket.create_connection((address, port), timeout=THROUGH_SECONDS)
        except (OSError, StopIteration, UnicodeError, ValueError):
            self._refuse(host)
            return
        with other:
            self._accept()
            lines: dict[Any, Any] = {self.connection: other, other: self.connection}
            while ready := select.select(list(lines), [], [], IDLE_SECONDS)[0]:
                for line in ready:
                    data = line.recv(65536)
                    if not data:
                        return
                    lines[line].sendall(data)
