"""No name outside this machine is looked up: for the tests, and for each Python process that they start.

Python imports a module of this name when it starts, if its folder is in PYTHONPATH. ``looked_up`` are names refused.
"""

import ipaddress
import socket
from typing import Any

# Invented names (RFC 2606, RFC 6761), which tests may use: refused like any other, but no slip.
RESERVED = (".invalid", ".test", ".example", ".localhost", ".example.com", ".example.net", ".example.org")

looked_up: list[str] = []
_resolve = socket.getaddrinfo


def guarded(host: Any, *rest: Any, **more: Any) -> Any:
    """As ``socket.getaddrinfo`` for addresses and this machine; any other name is unknown, and remembered."""
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name == "localhost":
        return _resolve(host, *rest, **more)
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if not name.rstrip(".").endswith(RESERVED):
            looked_up.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    return _resolve(host, *rest, **more)


socket.getaddrinfo = guarded
