"""What the Key Vault double of ``make run`` holds: two vaults, and secrets in every state that there is.

A stand-in for trying the portal out, not product code. Versions are the same after a restart, dates move along with it.
"""

import hashlib

from connections_portal.sandbox.key_vault_cloud import SUBSCRIPTION, TENANT, Application, Cloud

DAY = 86_400
MARKETING = "aaaaaaaa-0000-4000-8000-000000000002"
# Names that fill the list, by what the secret opens.
_AREAS = ("crm", "web-shop", "loyalty", "newsletter", "pos-terminals", "warehouse", "call-centre", "surveys")
_OPENS = ("api-key", "db-password", "sftp-password", "webhook-secret", "signing-key")


def stocked(
    vault: str, other_vault: str, *, sftp_password: str, sftp_host: str, client_id: str, client_secret: str
) -> Cloud:
    """A cloud with both vaults (names), and the application that the portal signs in as.

    The secret ``portal-sandbox-sftp-password`` of the first one opens the sandbox's SFTP server.
    """
    cloud = Cloud(token_key=hashlib.sha256(client_secret.encode()).digest())
    cloud.register(Application(client_id=client_id, tenant_id=TENANT, secret=client_secret))
    cloud.add_subscription(SUBSCRIPTION, "Contoso sandbox")
    cloud.add_subscription(MARKETING, "Contoso sandbox, marketing")
    first = cloud.add_vault(vault, resource_group="rg-connections-portal", repeatable=True)
    first.put("portal-sandbox-sftp-password", sftp_password, tags={"portal-target": sftp_host})
    first.put("rotated-last-week", "invented-1")
    first.put("rotated-last-week", "invented-2")
    first.put("switched-off", "invented", enabled=False)
    first.put("expired-last-month", "invented", expires=-30 * DAY)
    first.put("expires-in-five-days", "invented", expires=5 * DAY + 3600)
    first.put("valid-from-next-month", "invented", not_before=30 * DAY)
    first.put("for-another-server-only", "invented", tags={"portal-target": "reports.contoso.example"})
    for area in _AREAS:
        for opens in _OPENS:
            first.put(f"{area}-{opens}", "invented", expires=365 * DAY)
    second = cloud.add_vault(
        other_vault,
        subscription_id=MARKETING,
        resource_group="rg-marketing",
        region="northeurope",
        repeatable=True,
    )
    second.put("portal-sandbox-sftp-password", sftp_password, tags={"portal-target": sftp_host})
    for area in _AREAS:
        second.put(f"campaign-{area}-password", "invented")
    return cloud
