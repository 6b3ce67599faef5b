"""The way from Azure's libraries to Azure: one transport, through the gateway or the operator's proxy (rule S18).

Sockets come from the gateway, or lead to the proxy; names and certificates are verified as browsers do. Nothing of
the process's surroundings is used: no proxy, password or certificate of the environment, no redirect, no cookie.
"""

import functools
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError

from connections.connectors import tls
from connections.connectors.base import Gateway
from connections.connectors.errors import ConnectorError
from connections.key_vault import errors

CONNECT_SECONDS = 4.0
READ_SECONDS = 8.0
CALL_SECONDS = 30.0
# Rule S21, of an answer as it is after decompression.
MAX_ANSWER = 10 * 1024 * 1024
_BLOCK = 65_536

_end: ContextVar[float] = ContextVar("end of what is asked of Azure")


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
        reached by http, without gateway or proxy. Any that is not on this machine or its link is left out.
        """
        session = _Session(self, frozenset(hosts), frozenset(filter(None, map(_own_endpoint, endpoints))))
        return RequestsTransport(
            session=session,
            use_env_settings=False,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )

    @functools.cached_property
    def authorities(self) -> ssl.SSLContext:
        """Who is believed; host names are checked. Raises TryLater for a file that cannot be read."""
        try:
            return tls.authorities(self.ca_file)
        except OSError:
            raise errors.problem("vault_unreachable", "The file OUTGOING_CA_FILE cannot be read.") from None


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Everything asked of Azure in the block ends after so many seconds, or earlier if it is to end earlier."""
    token = _end.set(time.monotonic() + min(seconds, left()))
    try:
        yield
    finally:
        _end.reset(token)


def left() -> float:
    """How many seconds there are still; at most 30, also where nobody set an end."""
    end = _end.get(None)
    return CALL_SECONDS if end is None else max(end - time.monotonic(), 0.0)


class _Session(requests.Session):
    """Sends to the listed hosts only, and reads no more than a limit."""

    def __init__(self, way: Outgoing, hosts: frozenset[str], endpoints: frozenset[str]) -> None:
        super().__init__()
        self._way, self._hosts, self._endpoints = way, hosts, endpoints
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.adapters.clear()
        self.mount("https://", _Adapter(way))
        for endpoint in endpoints:
            self.mount(f"{endpoint}/", HTTPAdapter())

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send to a listed host; the whole answer is in memory when this returns. Raises ConnectorError."""
        own = self._checked(request.url or "")
        if left() <= 0:
            raise errors.problem("vault_unreachable", "There was no time left.")
        connect, read = kwargs.pop("timeout")
        kwargs |= {
            "timeout": (min(connect, left()), min(read, left())),
            "proxies": {} if own or not self._way.proxy else {"https": self._way.proxy},
            "verify": True,
            "cert": None,
            "stream": True,
        }
        answer = super().send(request, **kwargs)
        try:
            if 300 <= answer.status_code < 400:
                raise errors.unreadable("The answer leads elsewhere, which is not followed.")
            answer._content = _whole(answer)
            answer._content_consumed = True
        finally:
            answer.close()
        return answer

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect is prepared, let alone followed."""

    def _checked(self, url: str) -> bool:
        """Whether the address is one of the machine's own; raises ConnectorError unless it or its host is listed."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" in self._endpoints:
            return True
        plain = parts.scheme == "https" and parts.username is None and parts.port in (None, 443)
        if not plain or parts.hostname not in self._hosts:
            raise errors.unreadable("Another address was named, which is not one to ask.")
        return False


class _Adapter(HTTPAdapter):
    """HTTPS over sockets of the gateway, or through the proxy, with authorities of our own."""

    def __init__(self, way: Outgoing) -> None:
        self._way = way
        self._pools = {"https": _pool_class(way.gateway)}
        super().__init__(pool_connections=4, pool_maxsize=4)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As requests does it, with connections of our own."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """As requests does it, with connections of our own."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Host and port as in the request; who is believed is our own matter."""
        where, _how = super().build_connection_pool_key_attributes(request, True, None)
        return where, {"ssl_context": self._way.authorities}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Authorities are in the context already."""


def _pool_class(gateway: Gateway) -> type[HTTPSConnectionPool]:
    class Connection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            if self.proxy is not None:
                return super()._new_conn()
            seconds = self.timeout if isinstance(self.timeout, int | float) else CONNECT_SECONDS
            try:
                sock = gateway.connect(self.host, self.port, timeout=seconds)
            except ConnectorError as error:
                raise errors.from_gateway(error) from None
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock

    class Pool(HTTPSConnectionPool):
        ConnectionCls = Connection

    return Pool


def _whole(answer: requests.Response) -> bytes:
    """The body, block by block as it arrives, so that neither its length nor its slowness is without limit."""
    body = bytearray()
    read: Callable[[int], bytes] = functools.partial(answer.raw.read1, decode_content=True)
    try:
        while block := read(_BLOCK):
            body += block
            if len(body) > MAX_ANSWER:
                raise errors.unreadable("The answer is longer than 10 MB.")
            if left() <= 0:
                raise errors.problem("vault_unreachable", "The answer took too long.")
    except (HTTPError, OSError):
        raise errors.problem("vault_unreachable", "The answer broke off.") from None
    return bytes(body)


def _own_endpoint(address: str) -> str:
    """Scheme, host and port of an address of this machine or its link; empty for any other."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return ""
    own = parts.scheme == "http" and (ip.is_loopback or ip.is_link_local) and parts.username is None
    return f"http://{parts.netloc}" if own else ""
