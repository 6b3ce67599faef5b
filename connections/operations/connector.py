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

    ``purpose`` is ``verify``, ``run`` or ``tidy``. While a server's key is neither trusted nor pinned no secret is
    even read: such a connector can do no more than ask the server who it is (rule S9). Raises SecretError, and
    ConnectorError for a secret that the Key Vault does not hand out.
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


def has_other_secrets(
    owner: secret_store.Owner,
    connector: Connector,
    *,
    purpose: str,
    actor: User | None,
    run: Run | None = None,
) -> bool:
    """Whether the Key Vault hands out other secrets now than the ones ``connector`` has; false where none is from one.

    Reads them again, so that the next use has them. Raises what ``open_connector`` raises.
    """
    if not secret_store.uses_vault(owner):
        return False
    with secret_store.resolve(owner, purpose=purpose, actor=actor, run=run, fresh=True) as secrets:
        return dict(secrets) != dict(connector.secrets)
