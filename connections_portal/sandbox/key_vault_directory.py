"""Azure's directory as the Key Vault double serves it: subscriptions, and questions to Resource Graph.

A stand-in for trying the portal out and for its tests, not product code. Of the query language it knows what is needed:
which tables are asked, hosts and ids in quotes, and what the last ``project`` calls its columns.
"""

import re
import time
from typing import Any

from connections_portal.sandbox import key_vault_sign_in as sign_in
from connections_portal.sandbox.key_vault_cloud import CLOUDS, Cloud, Subscription, VaultDouble
from connections_portal.sandbox.key_vault_http import Answer, Request, failure

TOP = 100
_QUOTED = re.compile(r"['\"]([^'\"]*)['\"]")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PROJECT = re.compile(r"\|\s*(?:project|extend)\s+([^|]+)")


def answer(cloud: Cloud, request: Request) -> Answer:
    """Answer a request to the host of the directory."""
    caller = _caller(cloud, request)
    if isinstance(caller, Answer):
        return caller
    mine = [each for each in cloud.subscriptions.values() if _may_see(cloud, caller, each)]
    path = request.path.rstrip("/")
    if path == "/subscriptions":
        return Answer(body={"value": [_subscription(each) for each in mine]})
    if path.lower() == "/providers/microsoft.resourcegraph/resources" and request.method == "POST":
        try:
            return _graph(cloud, request.json(), mine)
        except (ValueError, KeyError):
            return failure(
                400, "BadRequest", "Please provide below info when asking for support.", "InvalidQuery"
            )
    return failure(404, "ResourceNotFound", f"No HTTP resource was found that matches {path}")


def _caller(cloud: Cloud, request: Request) -> sign_in.Caller | Answer:
    login, _suffix, host = next(each for each in CLOUDS.values() if each[2] == request.host)
    caller = sign_in.caller_of(cloud, request.token) if request.token else None
    if caller is not None and caller.expires > time.time():
        expected = (f"https://{host}", f"https://{host.replace('management.', 'management.core.')}")
        if caller.audience.rstrip("/") in (*expected, "https://management.core.windows.net"):
            return caller
    why = "The access token is invalid." if request.token else "The 'Authorization' header is missing."
    challenge = (
        f'Bearer authorization_uri="https://{login}/", error="invalid_token", error_description="{why}"'
    )
    return failure(401, "AuthenticationFailed", why, headers={"WWW-Authenticate": challenge})


def _may_see(cloud: Cloud, caller: sign_in.Caller, subscription: Subscription) -> bool:
    """Whether the caller has the role Reader; without one the directory looks empty."""
    application = cloud.applications.get((caller.tenant_id, caller.client_id))
    managed = cloud.managed if cloud.managed and cloud.managed.client_id == caller.client_id else None
    known = application or managed
    return bool(known and known.reader and subscription.tenant_id == caller.tenant_id)


def _graph(cloud: Cloud, body: dict[str, Any], mine: list[Subscription]) -> Answer:
    """Rows for a query, ``$top`` of them from ``$skipToken`` on, as ``objectArray``."""
    query = body["query"].lower()
    asked = body.get("subscriptions")
    if asked is not None:
        mine = [each for each in mine if each.subscription_id in asked]
        if not mine:
            text = "The query has no valid subscriptions."
            return failure(400, "BadRequest", text, "NoValidSubscriptionsInQueryRequest")
    if "microsoft.keyvault/vaults" in query:
        by_id = {each.subscription_id: each for each in mine}
        rows = [
            _vault(vault, by_id[vault.subscription_id])
            for vault in cloud.vaults.values()
            if vault.listed and vault.subscription_id in by_id
        ]
    elif "resourcecontainers" in query:
        rows = [_subscription(each) | {"name": each.name} for each in mine]
    else:
        rows = []
    rows = [_projected(row, body["query"]) for row in rows if _is_meant(row, query)]
    rows.sort(key=lambda row: (str(row.get("name", "")), str(row.get("id", ""))))
    options = body.get("options") or {}
    begin, top = int(options.get("$skipToken") or 0), int(options.get("$top") or TOP)
    page = rows[begin : begin + top]
    more = begin + top < len(rows)
    found: dict[str, Any] = {"totalRecords": len(rows), "count": len(page), "data": page, "facets": []}
    found["resultTruncated"] = "false"
    if more:
        found["$skipToken"] = str(begin + top)
    return Answer(body=found)


def _is_meant(row: dict[str, Any], query: str) -> bool:
    """Whether a row is among the hosts and subscriptions that the query names in quotes, if it names any."""
    quoted = [text.removeprefix("https://").rstrip("/") for text in _QUOTED.findall(query)]
    hosts = [text for text in quoted if ".vault." in text]
    ids = [text for text in quoted if _ID.fullmatch(text)]
    host = str(row.get("vaultUri", "")).removeprefix("https://").rstrip("/")
    return (not hosts or host in hosts) and (not ids or row["subscriptionId"] in ids)


def _projected(row: dict[str, Any], query: str) -> dict[str, Any]:
    """The row with what the query names in its own way, such as ``address = tostring(properties.vaultUri)``."""
    named: dict[str, Any] = {}
    for columns in _PROJECT.findall(query):
        for column in columns.split(","):
            name, equals, expression = (part.strip() for part in column.partition("="))
            if equals and name not in row:
                named[name] = _value(row, re.sub(r"^\w+\((.*)\)$", r"\1", expression))
    return row | named


def _value(row: dict[str, Any], path: str) -> Any:
    found: Any = row
    for part in path.split("."):
        found = found.get(part, "") if isinstance(found, dict) else ""
    return found


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription.subscription_id}",
        "subscriptionId": subscription.subscription_id,
        "displayName": subscription.name,
        "subscriptionName": subscription.name,
        "tenantId": subscription.tenant_id,
        "state": subscription.state,
        "type": "microsoft.resources/subscriptions",
        "properties": {"state": subscription.state},
    }


def _vault(vault: VaultDouble, subscription: Subscription) -> dict[str, Any]:
    group = f"/subscriptions/{vault.subscription_id}/resourceGroups/{vault.resource_group}"
    return {
        "id": f"{group}/providers/Microsoft.KeyVault/vaults/{vault.name}",
        "name": vault.name,
        "type": "microsoft.keyvault/vaults",
        "tenantId": vault.tenant_id,
        "location": vault.region,
        "resourceGroup": vault.resource_group,
        "subscriptionId": vault.subscription_id,
        "subscriptionName": subscription.name,
        "vaultUri": f"https://{vault.host}/",
        "properties": {"vaultUri": f"https://{vault.host}/", "tenantId": vault.tenant_id},
    }
