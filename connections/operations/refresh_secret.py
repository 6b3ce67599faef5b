"""*Refresh now*: what processes keep of a Key Vault secret is not used any more, and a worker looks at the secret."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from connections import vault_access
from connections.models import Connection, ConnectionSecret, KeyVault
from connections.vault_tasks import check
from connections_portal import audit
from connections_portal.errors import OperationError
from connections_portal.models import User


def refresh_secret(*, connection: Connection, field: str, actor: User) -> ConnectionSecret:
    """Have the secret of this field read anew at its next use, wherever that is, and looked at by a worker at once.

    Raises OperationError when the field is not read from a Key Vault (any more).
    """
    with transaction.atomic():
        row = (
            ConnectionSecret.objects.select_related("vault_secret__vault")
            .filter(connection=connection, field=field, vault_secret__isnull=False)
            .first()
        )
        if row is None or row.vault_secret is None:
            raise OperationError(_("This secret is not read from a Key Vault any more."))
        secret = row.vault_secret
        # the vault before its secret, as whoever unlinks it
        KeyVault.objects.filter(pk=secret.vault_id).update(check_queued_at=timezone.now())
        vault_access.refresh(secret)
        check.enqueue(secret.vault_id)
        audit.record(
            "vault.secret_refreshed",
            actor=actor,
            target=connection,
            vault=secret.vault.host,
            secret=secret.name,
            field=field,
        )
    return row
