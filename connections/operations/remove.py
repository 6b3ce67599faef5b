"""*Remove* a connection that nothing uses."""

from uuid import UUID

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from connections import dependents
from connections.models import Connection
from connections_portal import audit
from connections_portal.errors import OperationError, Stale
from connections_portal.models import AuditEntry, User


class InUse(OperationError):
    """Something is built on the connection; it has to be removed or detached first."""

    status = 409


def remove_connection(*, connection: Connection, version: int, actor: User) -> None:
    """Delete the connection with its secrets and grants; consent and audit stay.

    ``version`` is that of the page on which the removal was confirmed. Raises InUse when anything is built on it (the
    attempt is recorded) and Stale when it was changed or removed meanwhile.
    """
    phrases: list[str] = []
    try:
        with transaction.atomic():
            locked = Connection.objects.select_for_update().filter(pk=connection.pk, version=version).first()
            if locked is None:
                raise Stale(_("The connection was changed since you opened this dialog. Look at it again."))
            phrases = dependents.used_by([locked.pk]).get(locked.pk, [])
            if not phrases:
                audit.record("connection.removed", actor=actor, target=locked, type=locked.type_key)
                locked.delete()
    except ProtectedError:
        phrases = [_("something")]
    if phrases:
        audit.record(
            "connection.remove_refused", actor=actor, target=connection, refused=True, used_by=phrases
        )
        using = (kind for kind in dependents.kinds() if kind.count([connection.pk]))
        raise InUse(
            _("This connection is used by %(what)s.") % {"what": ", ".join(phrases)},
            url=next((kind.list_url(connection) for kind in using), ""),
        )


def removed_type(uuid: UUID) -> str:
    """The type of a connection that was removed, from the audit; empty for one that is there or never was."""
    if Connection.objects.filter(uuid=uuid).exists():
        return ""
    removed = AuditEntry.objects.filter(action="connection.removed", object_uuid=uuid).first()
    return str(removed.details.get("type", "")) if removed else ""
