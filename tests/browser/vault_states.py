"""Linked vaults in every state, made inside a running portal beside the one that ``make run`` has linked."""

import datetime as dt
from typing import Any

from django.utils import timezone

from connections.models import KeyVault, VaultNotice, VaultSecretState, VaultState
from connections_portal.models import User
from tests.key_vault.health_data import connect, make_secret, make_vault


def vaults(admin: User) -> dict[str, Any]:
    """Two connections that read from the sandbox's vault, a vault that is out of reach, and what was told of both."""
    now = timezone.now()
    working = KeyVault.objects.order_by("pk").first() or make_vault("contoso-sandbox.vault.azure.net")
    names = ("portal-sandbox-sftp-password", "crm-sftp-password")
    for name, title in zip(
        names, ("Newsletter from the vault", "Loyalty programme from the vault"), strict=True
    ):
        secret, _made = working.referenced.get_or_create(name=name, pinned="")
        reading = connect(secret, actor=admin, name=title)
    gone = make_vault(
        "fabrikam-campaigns.vault.azure.net",
        state=VaultState.UNREACHABLE,
        state_code="vault_unreachable",
        state_cause="The Key Vault could not be reached.",
        subscription_name="Fabrikam production",
        resource_group="rg-campaigns-westeurope",
        region="westeurope",
        scope="prefix",
        scope_value="portal-",
        can_list=False,
        last_contact_at=now - dt.timedelta(hours=3),
    )
    connect(make_secret(gone, "portal-print-shop"), actor=admin, name="Print shop from the vault")
    for minutes, before, after in ((180, "working", "unreachable"), (1440, "unreachable", "working")):
        VaultNotice.objects.create(
            kind=VaultNotice.Kind.VAULT,
            vault_uuid=gone.uuid,
            vault_name=gone.name,
            before=before,
            after=after,
        )
        VaultNotice.objects.filter(after=after).update(at=now - dt.timedelta(minutes=minutes))
    VaultNotice.objects.create(
        kind=VaultNotice.Kind.SECRET,
        vault_uuid=working.uuid,
        vault_name=working.name,
        secret_name=names[0],
        before=VaultSecretState.USABLE,
        after=VaultSecretState.EXPIRES_7,
        expires_at=now + dt.timedelta(days=6),
        connections=["Newsletter from the vault"],
    )
    return {
        "vault": str(working.uuid),
        "vault_gone": str(gone.uuid),
        "vault_connection": str(reading.uuid),
    }
