"""A live connector for a draft or a connection: the only place where settings, secrets and gateway meet."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from django.utils.translation import gettext as _

from connections import connectors, secret_store
from connections.connectors.base import Connector
from connections.connectors.errors import ConnectorError
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
    ConnectorError for a secret that the Key Vault does not hand out; a verification says so at the step that needs it.
    """
    connector = connectors.get(owner.type_key)
    if connector is None:
        raise OperationError(_("This connection type does not exist any more."))
    host_key = owner.host_key_trusted if isinstance(owner, ConnectionDraft) else owner.host_key
    if connector.host_key_pinned and not host_key:
        yield connector(owner.settings, {}, gateway())
        return
    started = time.monotonic()
    with ExitStack() as stack:
        resolving = secret_store.resolve(owner, purpose=purpose, actor=actor, run=run)
        secrets: Mapping[str, str]
        try:
            secrets = stack.enter_context(resolving)
        except ConnectorError as error:
            if purpose != "verify":
                raise
            secrets = _Withheld(error)
        live = connector(owner.settings, secrets, gateway(), host_key=host_key)
        live.spent = time.monotonic() - started
        yield live


class _Withheld(Mapping[str, str]):
    """In place of secrets that the Key Vault did not hand out: whoever asks for one is told why not."""

    def __init__(self, why: ConnectorError) -> None:
        self._why = why

    def __getitem__(self, key: str) -> str:
        raise self._why

    def __iter__(self) -> Iterator[str]:
        raise self._why

    def __len__(self) -> int:
        raise self._why


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
