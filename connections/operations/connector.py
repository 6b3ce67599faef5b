"""A live connector for a draft or a connection: the only place where settings, secrets and gateway meet."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.translation import gettext as _

from connections import connectors, secret_store
from connections.connectors.base import Connector
from connections.gateway import OutgoingGateway, parse_allow
from connections.models import ConnectionDraft
from connections_portal.errors import OperationError
from connections_portal.models import Run, User


@functools.cache
def gateway() -> OutgoingGateway:
    """The way out with the operator's permissions (OUTGOING_ALLOW); never to the portal's own database."""
    return OutgoingGateway(allow=parse_allow(settings.OUTGOING_ALLOW), refuse=_database_hosts())


def _database_hosts() -> list[str]:
    """Where the portal's databases are: names and addresses, not sockets in the file system.

    As libpq takes them: several separated by commas, also from what follows the ``?`` in DATABASE_URL, where
    ``hostaddr`` says what is connected to and ``host`` is then only a name in a certificate.
    """
    hosts = []
    for database in settings.DATABASES.values():
        options = database.get("OPTIONS", {})
        given = options.get("hostaddr") or database.get("HOST") or options.get("host") or ""
        hosts += [host for part in given.split(",") if (host := part.strip()) and host[0] not in "/@"]
    return hosts


@contextmanager
def open_connector(
    owner: secret_store.Owner, *, purpose: str, actor: User | None, run: Run | None = None
) -> Iterator[Connector]:
    """The connector of ``owner`` with its secrets resolved, for the length of the block.

    ``purpose`` is ``verify``, ``run`` or ``tidy``. While a server's key is neither trusted nor pinned no secret is even
    read: such a connector can do no more than ask the server who it is (rule S9). Raises SecretError.
    """
    connector = connectors.get(owner.type_key)
    if connector is None:
        raise OperationError(_("This connection type does not exist any more."))
    host_key = owner.host_key_trusted if isinstance(owner, ConnectionDraft) else owner.host_key
    if connector.host_key_pinned and not host_key:
        yield connector(owner.settings, {}, gateway())
        return
    with secret_store.resolve(owner, purpose=purpose, actor=actor, run=run) as secrets:
        yield connector(owner.settings, secrets, gateway(), host_key=host_key)
