"""Requests through the gateway: urllib3 with our sockets, TLS by public authorities or the operator's, no redirect."""

import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from connections.connectors.base import N_, Gateway
from connections.connectors.errors import NeedsAttention, TryLater
from connections.connectors.http.answers import MAX_BYTES, Answer, read
from connections.connectors.network_errors import no_answer
from connections.connectors.tls import authorities

CONNECT_SECONDS = 10.0


class _Through:
    """Mixed into urllib3's connections: the socket comes from the gateway, which has checked where it leads."""

    gateway: Gateway
    host: str
    port: int
    timeout: Any

    def _new_conn(self) -> Any:
        return self.gateway.connect(self.host, self.port, timeout=CONNECT_SECONDS)


def sender(gateway: Gateway, base_url: str, *, parallel: int = 1) -> "UrllibSender":
    """A sender to the host of ``base_url`` alone, with at most ``parallel`` lines that are kept open."""
    return UrllibSender(gateway, base_url, parallel=parallel)


class UrllibSender:
    """Implements ``client.Sender``. Thread-safe; ``close`` ends its lines."""

    def __init__(self, gateway: Gateway, base_url: str, *, parallel: int) -> None:
        parts = urlsplit(base_url)
        self._origin = (parts.scheme, parts.netloc)
        kind: Any = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        pool: Any = urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
        options: dict[str, Any] = {"maxsize": parallel, "block": True, "retries": False}
        if parts.scheme == "https":
            options["ssl_context"] = authorities(gateway.ca_file)
        self._pool = pool(parts.hostname, parts.port, **options)
        self._pool.ConnectionCls = type("GatewayConnection", (_Through, kind), {"gateway": gateway})

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """See ``client.Sender.send``; ``seconds`` are for the whole answer."""
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == self._origin, "a sender is for one host"
        deadline = time.monotonic() + seconds
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            answer = self._pool.urlopen(
                method,
                path or "/",
                body=body or None,
                headers=dict(headers),
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
                preload_content=False,
            )
            try:
                whole = read(_until(deadline, answer.stream(65_536, decode_content=True)), MAX_BYTES)
                answer.release_conn()
            except BaseException:
                answer.close()  # what is left of it would be read as the next answer
                raise
        except (urllib3.exceptions.SSLError, ssl.SSLError) as error:
            raise not_trusted(type(error).__name__) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(type(error).__name__) from None
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(status=answer.status, headers=named, body=whole)

    def close(self) -> None:
        """End all lines."""
        self._pool.close()


def _until(deadline: float, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts as long as there is time: an answer that never ends is none."""
    for part in parts:
        if time.monotonic() > deadline:
            raise too_slow()
        yield part


def too_slow() -> TryLater:
    """The body goes on for longer than there is time."""
    return TryLater(
        N_("The service's answer did not end in time."),
        code="answer_too_slow",
        detail="no end in time",
        remedy=N_("Nothing to do: it is tried again."),
    )


def not_trusted(detail: str = "") -> NeedsAttention:
    """The server's certificate does not prove that it is the one that was named."""
    return NeedsAttention(
        N_("The server's certificate is not one that the portal believes."),
        code="certificate",
        detail=detail,
        remedy=N_(
            "Check the address. An authority of your own is named in OUTGOING_CA_FILE by the portal's operator."
        ),
    )
