"""The one order in which everything here is locked: the connection, the enrichment, its run."""

from django.utils import timezone
from django.utils.translation import gettext as _

from connections.models import Connection
from connections_portal.errors import Stale
from connections_portal.models import User
from enrichments.models import Enrichment


def lock_connection(connection: Connection) -> Connection | None:
    """The connection as it is now, locked for the rest of the transaction; None when it was removed meanwhile."""
    return Connection.objects.select_for_update().filter(pk=connection.pk).first()


def lock(enrichment: Enrichment) -> Enrichment:
    """The enrichment as it is now, locked for the rest of the transaction. Raises Stale when it was deleted."""
    locked = Enrichment.objects.select_for_update(of=("self",)).filter(pk=enrichment.pk).first()
    if locked is None:
        raise Stale(_("The enrichment was deleted meanwhile."))
    return locked


def lock_with_connection(enrichment_id: int) -> Enrichment:
    """The enrichment and its connection as they are now, both locked. Raises Stale when it was deleted meanwhile."""
    rows = Enrichment.objects.filter(pk=enrichment_id)
    for _try in range(3):
        connection_id = rows.values_list("connection", flat=True).first()
        if connection_id:
            Connection.objects.select_for_update().filter(pk=connection_id).first()
        locked = rows.select_for_update(of=("self",)).select_related("connection__consent").first()
        if locked is None:
            raise Stale(_("The enrichment was deleted meanwhile."))
        if locked.connection_id == connection_id:
            return locked
    raise Stale(_("The enrichment was changed meanwhile. Try again."))


def changed_since(enrichment: Enrichment, actor: User) -> Stale:
    """What is said to ``actor``, whose page shows an earlier version: who saved it since, and when."""
    words = {
        "person": enrichment.updated_by or _("Somebody"),
        "time": timezone.localtime(enrichment.updated_at).strftime("%H:%M"),
    }
    if enrichment.updated_by_id == actor.pk:
        return Stale(_("You saved this enrichment at %(time)s, on another page.") % words)
    return Stale(_("%(person)s saved this enrichment at %(time)s, after you opened it.") % words)
