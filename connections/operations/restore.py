"""*Restore* a removed connection within thirty days; afterwards it is forgotten."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import connectors, secret_store
from connections.models import Access, Connection, RemovedConnection, State
from connections.operations.create import is_taken, name_taken
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import User
from connections_portal.names import clean_name, name_key


def restorable(now: datetime | None = None) -> QuerySet[RemovedConnection]:
    """The removed connections that can still be restored, the latest first."""
    return RemovedConnection.objects.filter(keep_until__gt=now or timezone.now())


def restore_connection(*, removed: RemovedConnection, name: str, actor: User) -> Connection:
    """Bring the connection back under its identifier: paused, for administrators, without secrets and agreement.

    It runs nothing until somebody resumes it, which asks for the secrets, a verification and an agreement. What it
    was used for is not given back to it. Raises Stale when it was restored or forgotten meanwhile, and OperationError
    with a message at ``name`` for a name that is none or taken.
    """
    try:
        name = clean_name(name)
    except ValidationError as error:
        raise _not_restored(error.messages[0]) from None
    try:
        with transaction.atomic():
            kept = restorable().select_for_update().filter(pk=removed.pk).first()
            if kept is None:
                raise Stale(_("It was restored meanwhile, or is kept no longer."))
            if connectors.get(kept.type_key) is None:
                raise OperationError(_("This type of connection is no longer available."))
            if is_taken(name, kept.type_key):
                raise _not_restored(name_taken())
            connection = _bring_back(kept, name, actor)
            audit.record(
                "connection.restored", actor=actor, target=connection, type=kept.type_key, before=kept.name
            )
            kept.delete()
            return connection
    except IntegrityError:
        # somebody took the name at the same moment
        raise _not_restored(name_taken()) from None


def purge_removed(now: datetime) -> int:
    """Forget the removed connections that were kept long enough; returns how many."""
    with transaction.atomic():
        gone = list(RemovedConnection.objects.select_for_update().filter(keep_until__lte=now))
        RemovedConnection.objects.filter(pk__in=[kept.pk for kept in gone]).delete()
        forgotten = [(Connection(uuid=kept.uuid, name=kept.name), {"type": kept.type_key}) for kept in gone]
        audit.record_each("connection.forgotten", forgotten, actor=None)
    return len(gone)


def _bring_back(kept: RemovedConnection, name: str, actor: User) -> Connection:
    connection = Connection(
        uuid=kept.uuid,
        name=name,
        name_key=name_key(name),
        type_key=kept.type_key,
        settings=kept.settings,
        target_digest=secret_store.target_digest(kept.type_key, kept.settings),
        host_key=kept.host_key,
        state=State.PAUSED,
        access=Access.ADMINISTRATORS,
        max_parallel=kept.max_parallel,
        # above every version and epoch that it ever had: no page and no run from before fits it
        version=kept.epoch,
        epoch=kept.epoch,
        updated_by=actor,
    )
    connection.save(force_insert=True)
    Connection.objects.filter(pk=connection.pk).update(created_at=kept.created_at)
    return connection


def _not_restored(message: str) -> OperationError:
    return OperationError(_("The connection is not restored yet."), fields={"name": message})
