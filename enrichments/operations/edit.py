"""*Save enrichment*: a new one, or changes to one. Saving starts no run."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from connections import connectors
from connections.connectors.base import Connector
from connections.connectors.errors import InvalidSettings
from connections.models import Connection, State
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User
from connections_portal.names import clean_name, name_key
from enrichments import tables
from enrichments.models import Enrichment
from enrichments.operations.locks import changed_since, lock, lock_connection
from enrichments.operations.run import cancel_active_runs
from enrichments.permissions import require_edit


def create_enrichment(
    *,
    name: str,
    type_key: str,
    table_name: str,
    connection: Connection | None,
    segment: str,
    options: Mapping[str, str],
    actor: User,
) -> Enrichment:
    """Save a new enrichment, active, which waits for the system refresh or for *Run*.

    ``segment`` is empty for all customers, ``options`` answers the type's ``enrichment_options``; the output table's
    name is set once. Raises NotAllowed, and OperationError with messages at ``name``, ``table_name``,
    ``connection``, ``segment`` or ``option_KEY``.
    """
    require_edit(actor)
    connector = _connector(type_key)
    name = valid_name(name)
    table_name = valid_table_name(table_name)
    answers = valid_options(connector, options)
    try:
        with transaction.atomic():
            locked = _usable(type_key, connection, actor)
            _require_room(connector)
            enrichment = Enrichment(
                name=name,
                name_key=free_name_key(name, except_for=None),
                type_key=type_key,
                connection=locked,
                needs_connection=True,
                active=True,
                segment=segment,
                options=answers,
                table_name=table_name,
                table_key=free_table_key(table_name),
                responsible=actor,
                created_by=actor,
                updated_by=actor,
            )
            enrichment.save(force_insert=True)
            audit.record("enrichment.created", actor=actor, target=enrichment, **_facts(enrichment))
            return enrichment
    except IntegrityError:
        # two people saved the same name, or the same table, at the same moment: the other one is seen by now
        free_name_key(name, except_for=None)
        free_table_key(table_name)
        raise


def edit_enrichment(
    *,
    enrichment: Enrichment,
    version: int,
    name: str,
    connection: Connection | None,
    segment: str,
    options: Mapping[str, str],
    actor: User,
) -> Enrichment:
    """Save changes made on the page that showed ``version``; ``actor`` becomes responsible.

    None as ``connection`` leaves one without connection as it is; giving it one does not activate it. Another
    connection cancels the run under way. Raises Stale, FinishingRun, NotAllowed, and OperationError as
    ``create_enrichment``.
    """
    require_edit(actor)
    connector = _connector(enrichment.type_key)
    name = valid_name(name)
    answers = valid_options(connector, options)
    try:
        with transaction.atomic():
            chosen = lock_connection(connection) if connection else None
            locked = lock(enrichment)
            if locked.version != version:
                raise changed_since(locked, actor)
            if connection is None and locked.connection_id is not None:
                raise _not_saved(connection=_("Choose a connection."))
            if connection is not None and connection.pk != locked.connection_id:
                locked.connection = _require_usable(locked.type_key, chosen, actor)
                cancel_active_runs(enrichment=locked, actor=actor)
            locked.name, locked.name_key = name, free_name_key(name, except_for=locked)
            locked.segment, locked.options = segment, answers
            locked.responsible = locked.updated_by = actor
            locked.version += 1
            locked.save()
            audit.record("enrichment.edited", actor=actor, target=locked, **_facts(locked))
            return locked
    except IntegrityError:
        raise _not_saved(name=_name_taken()) from None


def is_ready_for(type_key: str, connection: Connection, user: User) -> bool:
    """Whether the person may choose this connection for an enrichment of the type: open to them and verified, neither
    paused nor waiting for an administrator.
    """
    ready = Connection.objects.filter(pk=connection.pk, type_key=type_key, state=State.READY)
    return ready.usable_by(user, "enrichment").exists()


def valid_name(name: str) -> str:
    """The name as it is stored (rule S23); raises OperationError with the message at ``name``."""
    try:
        return clean_name(name)
    except ValidationError as error:
        raise _not_saved(name=error.messages[0]) from None


def valid_table_name(table_name: str) -> str:
    """The output table's name as it is stored; raises OperationError with the message at ``table_name``."""
    try:
        return tables.valid_table_name(table_name)
    except ValidationError as error:
        raise _not_saved(table_name=error.messages[0]) from None


def valid_options(connector: type[Connector], options: Mapping[str, str]) -> dict[str, str]:
    """The answers to the type's ``enrichment_options``; raises OperationError with messages at ``option_KEY``."""
    try:
        return connector.clean_options(options)
    except InvalidSettings as error:
        raise _not_saved(**{f"option_{key}": _(message) for key, message in error.errors.items()}) from None


def free_name_key(name: str, *, except_for: Enrichment | None) -> str:
    """The key of a name that no other enrichment has; raises OperationError with the message at ``name``."""
    key = name_key(name)
    others = Enrichment.objects.filter(name_key=key)
    if except_for is not None:
        others = others.exclude(pk=except_for.pk)
    if others.exists():
        raise _not_saved(name=_name_taken())
    return key


def free_table_key(table_name: str) -> str:
    """The key of an output table that no other enrichment writes; raises OperationError at ``table_name``."""
    key = table_name.lower()
    if Enrichment.objects.filter(table_key=key).exists():
        raise _not_saved(
            table_name=_("Another enrichment writes a table with this name. Choose another one.")
        )
    return key


def _connector(type_key: str) -> type[Connector]:
    connector = connectors.get(type_key)
    if connector is None or not connector.brings_files():
        raise OperationError(_("This type of enrichment is no longer available."))
    return connector


def _require_room(connector: type[Connector]) -> None:
    most = connector.limits.max_enrichments
    if most is not None and Enrichment.objects.filter(type_key=connector.key).count() >= most:
        raise OperationError(
            _("There are %(most)d enrichments of this type, and that is all it allows. Delete one first.")
            % {"most": most}
        )


def _usable(type_key: str, connection: Connection | None, actor: User) -> Connection:
    if connection is None:
        raise _not_saved(connection=_("Choose a connection."))
    return _require_usable(type_key, lock_connection(connection), actor)


def _require_usable(type_key: str, connection: Connection | None, actor: User) -> Connection:
    # unknown, forbidden and not ready look the same (rule S13)
    if connection is None or not is_ready_for(type_key, connection, actor):
        raise _not_saved(connection=_("Choose a connection from the list."))
    return connection


def _name_taken() -> str:
    return _("An enrichment already has this name. Choose another one.")


def _not_saved(**fields: str) -> OperationError:
    return OperationError(_("The enrichment is not saved yet."), fields=fields)


def _facts(enrichment: Enrichment) -> dict[str, Any]:
    """What the audit keeps of the settings: names, no data."""
    return {
        "type": enrichment.type_key,
        "connection": str(enrichment.connection) if enrichment.connection else "",
        "table": enrichment.table_name,
        "segment": enrichment.segment,
        "version": enrichment.version,
    }
