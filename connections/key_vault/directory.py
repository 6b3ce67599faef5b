"""Which vaults Azure's directory (Resource Graph) shows to an identity."""

import re
from typing import Any, cast

from azure.core import PipelineClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy, HeadersPolicy
from azure.core.rest import HttpRequest, HttpResponse

from connections.key_vault import errors, names, transport
from connections.key_vault.base import ListedVault
from connections.key_vault.clouds import CLOUDS
from connections.key_vault.identity import Identity
from connections.key_vault.transport import Outgoing

API_VERSION = "2021-03-01"
TOP = 1000
MAX_PAGES = 10
# Without a list of subscriptions the question is put to all that the identity may read. A page needs the column id.
QUERY = """resources
| where type =~ 'microsoft.keyvault/vaults'
| project id, name, subscriptionId, resourceGroup, location, vaultUri = tostring(properties.vaultUri)
| join kind=leftouter (
    resourcecontainers
    | where type =~ 'microsoft.resources/subscriptions'
    | project subscriptionId, subscriptionName = name
  ) on subscriptionId
| project-away subscriptionId1
| order by name asc, id asc"""

_SKIP = re.compile(r"[\x21-\x7e]{1,8000}")


def listed_vaults(
    identity: Identity, outgoing: Outgoing, *, cloud: str, seconds: float
) -> tuple[ListedVault, ...]:
    """Every vault of every subscription that the identity may read, by name; empty where it may read none.

    What is no vault of this cloud is left out; after 10,000 vaults the rest is. Raises ConnectorError, also when it
    takes longer than ``seconds``.
    """
    where = CLOUDS[cloud]
    client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
        f"https://{where.management}",
        policies=[HeadersPolicy(), BearerTokenCredentialPolicy(cast(Any, identity), where.management_scope)],
        transport=outgoing.transport([where.management]),
    )
    found: dict[str, ListedVault] = {}
    with transport.within(seconds), client:
        skip = ""
        for _number in range(MAX_PAGES):
            rows, skip = _page(client, skip)
            for vault in filter(None, (_vault(row, cloud) for row in rows)):
                found.setdefault(vault.host, vault)
            if not skip:
                break
    return tuple(sorted(found.values(), key=lambda vault: (vault.name, vault.host)))


def _page(client: "PipelineClient[HttpRequest, HttpResponse]", skip: str) -> tuple[list[Any], str]:
    """Rows, and what leads to the next ones. An identity without any role is refused by some tenants: no rows."""
    options = {"resultFormat": "objectArray", "$top": TOP} | ({"$skipToken": skip} if skip else {})
    request = HttpRequest(
        "POST",
        f"/providers/Microsoft.ResourceGraph/resources?api-version={API_VERSION}",
        json={"query": QUERY, "options": options},
    )
    request.url = client.format_url(request.url)
    try:
        answer = client.send_request(request)
        if answer.status_code == 403:
            return [], ""
        if answer.status_code == 401:
            raise ClientAuthenticationError(response=answer)
        if answer.status_code != 200:
            raise HttpResponseError(response=answer)
        document = answer.json()
        rows, after = document["data"], document.get("$skipToken") or ""
    except errors.LIBRARY_ERRORS as error:
        raise errors.translate(error) from None
    if not isinstance(rows, list) or not isinstance(after, str) or (after and not _SKIP.fullmatch(after)):
        raise errors.unreadable("The directory's answer cannot be read.")
    return rows, after


def _vault(row: Any, cloud: str) -> ListedVault | None:
    """A row as a vault; None for one that is none of this cloud's."""
    if not isinstance(row, dict):
        return None
    try:
        host = names.clean_host(_text(row, "vaultUri", 255), cloud=cloud)
    except ValueError:
        return None
    return ListedVault(
        host=host,
        name=host.partition(".")[0],
        subscription_id=_text(row, "subscriptionId", 36),
        subscription_name=_text(row, "subscriptionName", 200),
        resource_group=_text(row, "resourceGroup", 90),
        region=_text(row, "location", 60),
    )


def _text(row: dict[str, Any], key: str, longest: int) -> str:
    """One column as text that prints, no longer than its place."""
    value = row.get(key)
    return "".join(c for c in value if c.isprintable())[:longest] if isinstance(value, str) else ""
