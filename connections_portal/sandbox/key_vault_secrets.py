"""The secrets of a vault over HTTP as the Key Vault double serves them: challenge, list, get, change, soft-delete.

A stand-in for trying the portal out and for its tests, not product code. It answers as the service was measured
to: pages of 25 at most, expired and not yet valid secrets handed out, disabled ones refused.
"""

import base64
import binascii
import re
import time
from collections.abc import Iterable
from typing import Any

from connections_portal.sandbox import key_vault_sign_in as sign_in
from connections_portal.sandbox.key_vault_cloud import (
    CLOUDS,
    FIREWALL,
    POLICY,
    RECOVERABLE_DAYS,
    Cloud,
    SecretVersion,
    VaultDouble,
)
from connections_portal.sandbox.key_vault_http import Answer, Request, failure

PAGE = 25
_SECRET = re.compile(r"/secrets/([0-9a-zA-Z-]{1,127})(?:/([0-9a-f]{32}|versions))?")
_DELETED = re.compile(r"/deletedsecrets/([0-9a-zA-Z-]{1,127})(/recover)?")


def answer(cloud: Cloud, vault: VaultDouble, request: Request) -> Answer:
    """Answer a request to a vault's host."""
    caller = _caller(cloud, vault, request)
    if isinstance(caller, Answer):
        return caller
    if "api-version" not in request.query:
        return failure(400, "BadParameter", "api-version must be specified")
    if trouble := _trouble(cloud):
        return trouble
    found = _SECRET.fullmatch(request.path)
    action = "list" if request.path in ("/secrets", "/deletedsecrets") else "get"
    if found and found[2] == "versions":
        action = "list"
    if code := vault.refusal(caller.client_id, action, found[1] if found else ""):
        return _forbidden(vault, caller, action, code)
    with vault.lock:
        if request.path == "/secrets":
            return _list(vault, request)
        if request.path == "/deletedsecrets":
            gone = sorted(vault.deleted)
            return _page(vault, request, [_deleted(vault, name) for name in gone], request.path)
        if deleted := _DELETED.fullmatch(request.path):
            return _of_deleted(vault, request, deleted[1], recover=bool(deleted[2]))
        if found is None:
            text = f"The request URI contains an invalid name: {request.path}"
            return failure(400, "BadParameter", text)
        return _of_secret(vault, request, found[1], found[2] or "")


def _caller(cloud: Cloud, vault: VaultDouble, request: Request) -> sign_in.Caller | Answer:
    """Who asks; an answer that says where to sign in when that cannot be told."""
    login, suffix, _directory = next(each for each in CLOUDS.values() if vault.host.endswith(f".{each[1]}"))
    audience = f"https://{suffix}"
    caller = sign_in.caller_of(cloud, request.token) if request.token else None
    if not request.token:
        why = "AKV10000: Request is missing a Bearer or PoP token."
    elif caller is None:
        why = "AKV10022: Invalid issuer or signature."
    elif caller.audience.rstrip("/") != audience:
        why = f"AKV10022: Invalid audience. Expected {audience}, found: {caller.audience}."
    elif caller.expires < time.time():
        why = "AKV10001: Token expired."
    elif caller.tenant_id != vault.tenant_id:
        issuer = "https://sts.windows.net"
        why = (
            f"AKV10032: Invalid issuer. Expected one of {issuer}/{vault.tenant_id}/, "
            f"found {issuer}/{caller.tenant_id}/."
        )
    else:
        return caller
    challenge = f'Bearer authorization="https://{login}/{vault.tenant_id}", resource="{audience}"'
    return failure(401, "Unauthorized", why, headers={"WWW-Authenticate": challenge})


def _trouble(cloud: Cloud) -> Answer | None:
    """What goes wrong with this very request on purpose."""
    with cloud.lock:
        troubles = cloud.troubles
        if troubles.throttled > 0:
            troubles.throttled -= 1
            wait = {} if troubles.retry_after is None else {"Retry-After": str(troubles.retry_after)}
            text = "Request was not processed because too many requests were received. Reason: "
            return failure(429, "Throttled", text + "VaultRequestTypeLimitReached", headers=wait)
        if troubles.broken > 0:
            troubles.broken -= 1
            return failure(500, "InternalServerError", "An error has occurred.")
    return None


def _forbidden(vault: VaultDouble, caller: sign_in.Caller, action: str, code: str) -> Answer:
    """A refusal in the words of the service; they name the application and the vault."""
    who = f"appid={caller.client_id};iss=https://sts.windows.net/{caller.tenant_id}/"
    where = f"{vault.name};location={vault.region}"
    if code == FIREWALL:
        text = (
            "Client address is not authorized and caller is not a trusted service.\r\n"
            f"Client address: 198.51.100.7\r\nCaller: {who}\r\nVault: {where}"
        )
    elif code == POLICY:
        text = f"The user, group or application '{who}' does not have secrets {action} permission on "
        text += f"key vault '{where}'."
    else:
        text = (
            "Caller is not authorized to perform action on resource.\r\n"
            f"Caller: {who}\r\nAction: 'Microsoft.KeyVault/vaults/secrets/{action}Secret/action'\r\nVault: {where}"
        )
    return failure(403, "Forbidden", text, code)


def _list(vault: VaultDouble, request: Request) -> Answer:
    rows, rest = vault.page(_begin(request), _size(request))
    items = [_item(vault, version, whole=False) for version in rows]
    return Answer(body={"value": items, "nextLink": _next(vault, request, "/secrets", rest)})


def _page(vault: VaultDouble, request: Request, items: list[dict[str, Any]], path: str) -> Answer:
    """A page of a short list, continued by number."""
    size = _size(request)
    begin = int(_begin(request) or 0)
    rest = str(begin + size) if begin + size < len(items) else ""
    return Answer(body={"value": items[begin : begin + size], "nextLink": _next(vault, request, path, rest)})


def _of_secret(vault: VaultDouble, request: Request, name: str, version: str) -> Answer:
    """What is done with one secret."""
    key = name.lower()
    if request.method == "PUT":
        return _put(vault, request, name)
    if key not in vault.live:
        return _missing(name)
    if request.method == "DELETE":
        vault.delete(name)
        return Answer(body=_deleted(vault, name))
    if version == "versions":
        # in no order of time: whoever wants the newest has to look at the dates
        versions = sorted(vault.live[key], key=lambda each: each.version)
        items = [_item(vault, each, whole=True) for each in versions]
        return _page(vault, request, items, request.path)
    found = vault.find(name, version)
    if found is None:
        return _missing(f"{name}/{version}")
    if request.method == "PATCH":
        given = request.json().get("attributes", {})
        vault.change(name, version, enabled=given.get("enabled"))
        return Answer(body=_item(vault, found, whole=True))
    if not found.enabled:
        return failure(
            403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"
        )
    return Answer(body=_item(vault, found, whole=True) | {"value": found.value})


def _put(vault: VaultDouble, request: Request, name: str) -> Answer:
    if name.lower() in vault.deleted:
        text = f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused"
        return failure(409, "Conflict", text, "ObjectIsDeletedButRecoverable")
    body, now = request.json(), time.time()
    given = body.get("attributes") or {}
    version = vault.put(
        name,
        body["value"],
        enabled=given.get("enabled", True),
        expires=None if given.get("exp") is None else given["exp"] - now,
        not_before=None if given.get("nbf") is None else given["nbf"] - now,
        content_type=body.get("contentType") or "",
        tags=body.get("tags"),
    )
    found = vault.find(name, version)
    assert found is not None
    return Answer(body=_item(vault, found, whole=True) | {"value": found.value})


def _of_deleted(vault: VaultDouble, request: Request, name: str, *, recover: bool) -> Answer:
    key = name.lower()
    if key not in vault.deleted:
        return _missing(name)
    if recover:
        vault.recover(name)
        return Answer(body=_item(vault, vault.live[key][-1], whole=True))
    if request.method == "DELETE":
        del vault.deleted[key]
        return Answer(status=204)
    return Answer(body=_deleted(vault, name))


def _deleted(vault: VaultDouble, name: str) -> dict[str, Any]:
    now = int(time.time())
    return _item(vault, vault.deleted[name.lower()][-1], whole=True) | {
        "recoveryId": f"https://{vault.host}/deletedsecrets/{name}",
        "deletedDate": now,
        "scheduledPurgeDate": now + RECOVERABLE_DAYS * 86400,
    }


def _item(vault: VaultDouble, version: SecretVersion, *, whole: bool) -> dict[str, Any]:
    """What is said of a secret besides its value; its id names the version only where it is ``whole``."""
    attributes: dict[str, Any] = {
        "enabled": version.enabled,
        "created": version.created,
        "updated": version.updated,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": RECOVERABLE_DAYS,
    }
    if version.expires is not None:
        attributes["exp"] = version.expires
    if version.not_before is not None:
        attributes["nbf"] = version.not_before
    address = f"https://{vault.host}/secrets/{version.name}"
    item: dict[str, Any] = {"id": f"{address}/{version.version}" if whole else address}
    item |= {"attributes": attributes, "tags": dict(version.tags)}
    if version.content_type:
        item["contentType"] = version.content_type
    return item


def _missing(name: str) -> Answer:
    text = f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret "
    return failure(
        404, "SecretNotFound", text + "you may be able to recover it using the correct recovery command."
    )


def _size(request: Request) -> int:
    """How many a page holds: 25 at most, whatever is asked for."""
    asked = request.query.get("maxresults", str(PAGE))
    return min(int(asked), PAGE) if asked.isdigit() and int(asked) else PAGE


def _begin(request: Request) -> str:
    """Where a page begins, from the token of the page before it."""
    token = request.query.get("$skiptoken", "")
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _next(vault: VaultDouble, request: Request, path: str, begin: str) -> str | None:
    """The address of the next page, with ``:443`` as the service writes it; None at the end."""
    if not begin:
        return None
    token = base64.urlsafe_b64encode(begin.encode()).decode()
    query = _joined(
        (
            ("api-version", request.query["api-version"]),
            ("$skiptoken", token),
            ("maxresults", str(_size(request))),
        )
    )
    return f"https://{vault.host}:443{path}?{query}"


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in pairs)
