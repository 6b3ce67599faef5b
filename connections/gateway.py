"""The one way out: every connection to another machine is made here (rule S18).

A name is resolved, every address it has is checked against the table below, and the socket is connected to an
address that was checked. What is inside the company's network is refused unless the operator lists host and port
in ``OUTGOING_ALLOW``. No Django here, so that the gateway can be tried on its own.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

from connections.connectors import addresses, network_errors
from connections.connectors.errors import NeedsAttention, TryLater

RESOLVE_SECONDS = 5.0
MAX_ADDRESSES = 8
MAX_WAITING = 16

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What is never reached without permission. Sources: IANA's special-purpose address registries for IPv4 and IPv6
# (RFC 6890 and its updates), read as "not globally reachable"; 168.63.129.16 is Azure's platform address.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b:1::/48",
        "100::/63",
        "2001::/23",
        "2001:db8::/32",
        "2620:4f:8000::/48",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def parse_allow(text: str) -> frozenset[tuple[str, int]]:
    """``127.0.0.1:2222, files.example.internal:22, [fd00::1]:22`` as pairs of host (in one form) and port.

    Raises ValueError that names the entry which cannot be read. A port must be given: permission is for one service.
    """
    permissions: set[tuple[str, int]] = set()
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            address = addresses.parse_address(entry)
        except ValueError:
            address = addresses.Address(host="")
        if not address.host or address.port is None or address.username or address.folder or "://" in entry:
            raise ValueError(f"OUTGOING_ALLOW: {entry!r} must read host:port, for example 10.0.0.5:22")
        permissions.add((address.host, address.port))
    return frozenset(permissions)


class OutgoingGateway:
    """Implements ``connections.connectors.base.Gateway``.

    ``allow`` holds the pairs from ``parse_allow``: host as typed, or the address behind a name, with the
    port. ``refuse`` holds names or addresses which are refused as well unless allowed: the portal's own database. Its
    name is looked up whenever something is to be reached: a database moves, and may be away when the portal starts.
    ``resolve_seconds`` is how long a name may take, ``ca_file`` as in the protocol. Thread-safe; holds no sockets.
    """

    def __init__(
        self,
        allow: Collection[tuple[str, int]] = (),
        *,
        refuse: Collection[str] = (),
        resolve_seconds: float = RESOLVE_SECONDS,
        ca_file: str = "",
    ) -> None:
        self.ca_file = ca_file
        self._allow = frozenset(allow)
        self._refuse = tuple(host.lower().removesuffix(".") for host in refuse)
        self._last_seen: dict[str, tuple[str, ...]] = {}
        self._resolve_seconds = resolve_seconds
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)

    def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """Every address of ``host``, each one checked for ``port``.

        Raises NeedsAttention (``name_unknown``, ``address_refused``) or TryLater (``name_no_answer``, also while
        nobody knows which addresses are to be refused).
        """
        return self._resolve(host, port, self._resolve_seconds)

    def connect(self, host: str, port: int, *, timeout: float) -> socket.socket:
        """A connected TCP socket to a checked address, within ``timeout`` seconds for name and connection.

        Raises as ``resolve``, and TryLater (``server_refused``, ``server_silent``).
        """
        deadline = time.monotonic() + timeout
        found = self._resolve(host, port, min(timeout, self._resolve_seconds))
        failure: OSError = TimeoutError("no time left")
        for tried, address in enumerate(found):
            share = (deadline - time.monotonic()) / (len(found) - tried)
            if share <= 0:
                break
            try:
                return _connected(address, port, share)
            except OSError as error:
                failure = error
        if isinstance(failure, ConnectionRefusedError):
            raise network_errors.connection_refused(f"{host}, port {port}: connection refused")
        raise network_errors.no_answer(f"{host}, port {port}: {failure.strerror or 'no answer in time'}")

    def _resolve(self, host: str, port: int, seconds: float) -> tuple[str, ...]:
        name = host.lower().removesuffix(".")
        deadline = time.monotonic() + seconds
        found = self._look_up(name, port, seconds)
        if (name, port) not in self._allow:
            asked = [address for address in found if (address, port) not in self._allow]
            inside = [address for address in asked if name in self._refuse or is_inside(address)]
            if asked and not inside:
                barred = self._barred(deadline)
                inside = [address for address in asked if address in barred]
            if inside:
                raise network_errors.address_refused(f"{host} is {inside[0]}, port {port}")
        return found

    def _barred(self, deadline: float) -> frozenset[str]:
        """The addresses of what was given as ``refuse``; while a name has no answer, those that it had last.

        Raises TryLater for a name that never had one: then any address could be the one to refuse.
        """
        for name in self._refuse:
            try:
                self._last_seen[name] = self._look_up(name, 0, deadline - time.monotonic())
            except (NeedsAttention, TryLater):
                if name not in self._last_seen:
                    raise network_errors.name_no_answer("the portal's own database has no address") from None
        return frozenset(address for name in self._refuse for address in self._last_seen[name])

    def _look_up(self, name: str, port: int, seconds: float) -> tuple[str, ...]:
        """Addresses as text, without a scope, at most eight; ``getaddrinfo`` has no time limit of its own."""
        with suppress(ValueError):
            return (str(ipaddress.ip_address(name)),)
        if not self._waiting.acquire(blocking=False):
            raise network_errors.name_no_answer(f"{name}: too many names are being looked up")
        answer: queue.SimpleQueue[tuple[str, ...] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                rows = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
                answer.put(tuple(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows)))
            except (OSError, UnicodeError) as error:
                answer.put(error)
            finally:
                self._waiting.release()

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            found = answer.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            raise network_errors.name_no_answer(f"{name}: no answer in {seconds:.0f} s") from None
        if isinstance(found, socket.gaierror) and found.errno not in _UNKNOWN:
            raise network_errors.name_no_answer(f"{name}: {found.strerror or ''}")
        if isinstance(found, Exception) or not found:
            raise network_errors.name_unknown(name)
        return found[:MAX_ADDRESSES]


_UNKNOWN = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _connected(address: str, port: int, seconds: float) -> socket.socket:
    """A socket connected to this very address: nothing that could look a name up again is between."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def is_inside(address: str) -> bool:
    """Whether an address is not for the world: private, local, reserved, multicast, or one of this machine's own.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) is judged as well.
    """
    ip = ipaddress.ip_address(address)
    return any(
        candidate.is_multicast
        or not candidate.is_global
        or any(candidate in network for network in _REFUSED if network.version == candidate.version)
        for candidate in _judged(ip)
    ) or _is_own(address)


def _judged(ip: _Address) -> Iterator[_Address]:
    """The addresses to look at: the one inside where there is one, and the outer one unless it is only a wrapper."""
    if isinstance(ip, ipaddress.IPv4Address):
        yield ip
    elif ip.ipv4_mapped:
        yield ip.ipv4_mapped
    elif ip in _NAT64:
        yield ipaddress.IPv4Address(ip.packed[-4:])
    else:
        if ip.sixtofour:
            yield ip.sixtofour
        yield ip


def _is_own(address: str) -> bool:
    """Whether this machine has the address: it would then be the source of a packet to it. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        return False
