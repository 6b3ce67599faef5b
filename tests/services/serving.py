"""A service over TLS on loopback that answers as a test says, and keeps what it was asked."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme


@dataclass
class Asked:
    """One request as it arrived; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Reply:
    """What to answer: JSON, unless ``body`` has other bytes. ``cut`` ends the line instead of answering,
    ``cut_inside`` in the middle of the body; an ``endless`` body goes on for as long as anybody reads it.
    """

    status: int = 200
    data: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: bool = False
    cut_inside: bool = False
    endless: bool = False


@dataclass
class Service:
    """The running service: ``answer`` is asked for each reply and may be replaced any time."""

    url: str
    port: int
    ca_file: Path
    answer: Callable[[Asked], Reply] = lambda asked: Reply()
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
        """Nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        with self.service.lock:
            self.service.asked.append(asked)
            reply = self.service.answer(asked)
        if reply.cut:
            self.close_connection = True
            return
        body = json.dumps(reply.data).encode() if reply.body is None else reply.body
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        if reply.endless:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while True:
                self.wfile.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection = self.close_connection or reply.cut_inside
        self.wfile.write(body[: len(body) // 2] if reply.cut_inside else body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  # the base class looks for these


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that ended early is what some tests are about."""


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """A service on a free port of loopback; the authority of its certificate is in ``ca_file`` below ``folder``."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        service = Service(f"https://127.0.0.1:{port}", port, ca_file)
        handler.service = service  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield service
        server.shutdown()
        thread.join()
