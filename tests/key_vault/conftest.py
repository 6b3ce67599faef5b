"""The set-up page before a real server, as tests of connections have it."""

from tests.connections.conftest import (  # noqa: F401 - fixtures
    box,
    connection,
    edit,
    plain,
    sandbox,
    server,
    set_up,
)
from tests.key_vault.checking import look, secret, vault  # noqa: F401 - fixtures
