"""The set-up page before a real server."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from connections.models import AccessRequest, Connection
from connections.operations.requests import request_access
from connections_portal.models import User
from connections_portal.sandbox import SandboxServer
from tests.connections.asking import REASON
from tests.connections.filling import Edit, SetUp
from tests.connectors.servers import SandboxFactory, Server
from tests.runs.helpers import connect

Clients = Callable[[User | None], Client]


@pytest.fixture
def sandbox(
    sandbox_server: SandboxFactory, allow_outgoing: Callable[[int], None]
) -> Iterator[tuple[Server, SandboxServer]]:
    """A server that connections may reach."""
    with sandbox_server() as (server, box):
        allow_outgoing(server.port)
        yield server, box


@pytest.fixture
def server(sandbox: tuple[Server, SandboxServer]) -> Server:
    """Whom to sign in as, and where."""
    return sandbox[0]


@pytest.fixture
def box(sandbox: tuple[Server, SandboxServer]) -> SandboxServer:
    """What the server saw, and its faults."""
    return sandbox[1]


@pytest.fixture(params=[False, True], ids=["plain", "htmx"])
def set_up(request: pytest.FixtureRequest, admin: User, client_of: Clients, server: Server) -> SetUp:
    """An administrator before a filled-in set-up page, once without and once with script."""
    return SetUp(client_of(admin), htmx=request.param).fill(server)


@pytest.fixture
def plain(admin: User, client_of: Clients, server: Server) -> SetUp:
    """The same, without script only."""
    return SetUp(client_of(admin)).fill(server)


@pytest.fixture
def connection(admin: User, server: Server) -> Connection:
    """A connection that works."""
    return connect(server, actor=admin)


@pytest.fixture(params=[False, True], ids=["plain", "htmx"])
def edit(request: pytest.FixtureRequest, admin: User, client_of: Clients, connection: Connection) -> Edit:
    """Its edit page, once without and once with script."""
    return Edit(client_of(admin), connection, htmx=request.param)


@pytest.fixture
def asked(outsider: User) -> AccessRequest:
    """A request for access that waits for an answer."""
    return request_access(type_key="sftp", reason=REASON, actor=outsider)
