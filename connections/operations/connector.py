"""A live connector for a draft or a connection: the only place where settings, secrets and gateway meet."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from connections import connectors, secret_store
from connections.connectors.base import Connector
from connections.models import ConnectionDraft
from connections.outgoing import gateway
from connections_portal.errors import OperationError
from connections_portal.models import Run, User


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
