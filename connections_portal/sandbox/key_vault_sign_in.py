"""Sign-in as the Key Vault double knows it: discovery, tokens for applications, tokens for managed identities.

A stand-in for trying the portal out and for its tests, not product code. Tokens say of themselves whom they are
for and are signed, so that a double that is started again knows them.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from connections_portal.sandbox.key_vault_cloud import CLOUDS, TENANT, Application, Cloud
from connections_portal.sandbox.key_vault_http import Answer, Request

IDENTITY_PATHS = ("/msi/token", "/metadata/identity/oauth2/token")
_DISCOVERY = re.compile(r"/([^/]+)/v2\.0/\.well-known/openid-configuration")
_TOKEN = re.compile(r"/([^/]+)/oauth2/v2\.0/token")


class Refused(Exception):
    """Nobody is signed in; ``answer`` says why."""

    def __init__(self, status: int, error: str, code: int, text: str) -> None:
        super().__init__(text)
        self.answer = Answer(
            status=status,
            body={"error": error, "error_description": f"AADSTS{code}: {text}", "error_codes": [code]},
        )


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whom a token was given to, and for what (``https://vault.azure.net``)."""

    client_id: str
    tenant_id: str
    audience: str
    expires: float


def answer(cloud: Cloud, request: Request) -> Answer:
    """Answer a request to the host where people sign in."""
    path = request.path.rstrip("/")
    if path == "/common/discovery/instance":
        return _instance(request.host)
    if found := _DISCOVERY.fullmatch(path):
        return _configuration(cloud, request.host, found[1])
    if (found := _TOKEN.fullmatch(path)) and request.method == "POST":
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        try:
            return _token(cloud, f"https://{request.host}{path}", found[1], form)
        except Refused as refused:
            return refused.answer
    return Answer(status=404)


def managed_identity(cloud: Cloud, request: Request) -> Answer:
    """Answer a request to the endpoint that a machine of the cloud has for its own identity."""
    named = request.query.get("client_id", "")
    headers = request.headers
    trusted = hmac.compare_digest(headers.get("x-identity-header", ""), cloud.identity_header)
    if not trusted and headers.get("metadata") != "true":
        return Answer(status=401, body={"statusCode": 401, "message": "The header is missing."})
    if cloud.managed is None or named not in ("", cloud.managed.client_id):
        message = "Unable to load the proper Managed Identity."
        return Answer(
            status=400,
            body={
                "statusCode": 400,
                "message": message,
                "error": "invalid_request",
                "error_description": message,
            },
        )
    audience = request.query.get("resource", "").rstrip("/")
    expires = int(time.time()) + cloud.token_seconds
    return Answer(
        body={
            "access_token": issue(cloud, cloud.managed, audience),
            "expires_in": str(cloud.token_seconds),
            "expires_on": str(expires),
            "resource": audience,
            "token_type": "Bearer",
        }
    )


def issue(cloud: Cloud, application: Application, audience: str) -> str:
    """A token for an application; opaque to whoever gets it."""
    said = {
        "appid": application.client_id,
        "tid": application.tenant_id,
        "aud": audience,
        "exp": time.time() + cloud.token_seconds,
    }
    body = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return f"double.{body}.{_signature(cloud, body)}"


def caller_of(cloud: Cloud, token: str) -> Caller | None:
    """Whom the token was given to; None for one that was not issued here. Whether it still counts is not looked at."""
    kind, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    if kind != "double" or not hmac.compare_digest(signature, _signature(cloud, body)):
        return None
    said = json.loads(_decoded(body))
    return Caller(client_id=said["appid"], tenant_id=said["tid"], audience=said["aud"], expires=said["exp"])


def _signature(cloud: Cloud, body: str) -> str:
    return hmac.new(cloud.token_key, body.encode(), hashlib.sha256).hexdigest()


def _instance(host: str) -> Answer:
    """What the cloud's sign-in hosts are called."""
    names = [login for login, _suffix, _directory in CLOUDS.values()]
    return Answer(
        body={
            "tenant_discovery_endpoint": f"https://{host}/{TENANT}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [
                {"preferred_network": name, "preferred_cache": name, "aliases": [name]} for name in names
            ],
        }
    )


def _configuration(cloud: Cloud, host: str, tenant_id: str) -> Answer:
    """Where a tenant's tokens come from."""
    if tenant_id not in cloud.tenants:
        return Refused(400, "invalid_tenant", 90002, f"Tenant '{tenant_id}' not found.").answer
    base = f"https://{host}/{tenant_id}"
    return Answer(
        body={
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "issuer": f"{base}/v2.0",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "tenant_region_scope": None,
        }
    )


def _token(cloud: Cloud, endpoint: str, tenant_id: str, form: Mapping[str, str]) -> Answer:
    """A token for what the form proves; raises Refused."""
    if cloud.troubles.sign_in:
        raise Refused(
            cloud.troubles.sign_in, "temporarily_unavailable", 90033, "A transient error has occurred."
        )
    if tenant_id not in cloud.tenants:
        raise Refused(400, "invalid_request", 90002, f"Tenant '{tenant_id}' not found.")
    if form.get("grant_type") != "client_credentials":
        raise Refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    client_id = form.get("client_id", "")
    application = cloud.applications.get((tenant_id, client_id))
    if application is None:
        raise Refused(
            400,
            "unauthorized_client",
            700016,
            f"Application with identifier '{client_id}' was not found in the directory '{tenant_id}'.",
        )
    if assertion := form.get("client_assertion", ""):
        _check_assertion(application, endpoint, assertion)
    elif not application.secret or not hmac.compare_digest(
        form.get("client_secret", "").encode(), application.secret.encode()
    ):
        raise Refused(401, "invalid_client", 7000215, "Invalid client secret provided.")
    scope = form.get("scope", "").partition(" ")[0]
    if not scope.endswith("/.default"):
        raise Refused(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
    return Answer(
        body={
            "token_type": "Bearer",
            "expires_in": cloud.token_seconds,
            "ext_expires_in": cloud.token_seconds,
            "access_token": issue(cloud, application, scope.removesuffix("/.default")),
        }
    )


def _check_assertion(application: Application, endpoint: str, assertion: str) -> None:
    """Whether the assertion was signed with the application's certificate, or is its cluster's; raises Refused."""
    if application.federated_token and hmac.compare_digest(assertion, application.federated_token):
        return
    try:
        header_text, claims_text, signature = assertion.split(".")
        header, claims = json.loads(_decoded(header_text)), json.loads(_decoded(claims_text))
        signed = f"{header_text}.{claims_text}".encode()
        known = _is_signed(application, header, signed, _decoded(signature))
    except (ValueError, binascii.Error, InvalidSignature):
        raise Refused(401, "invalid_client", 700027, "The assertion's signature is not valid.") from None
    if not known:
        raise Refused(
            401,
            "invalid_client",
            700027,
            "The certificate used to sign the client assertion is not registered on application.",
        )
    if claims.get("aud") != endpoint or claims.get("exp", 0) < time.time():
        raise Refused(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")


def _is_signed(application: Application, header: dict[str, Any], signed: bytes, signature: bytes) -> bool:
    """Whether the header names the registered certificate; raises InvalidSignature if its key did not sign."""
    if not application.certificate:
        return False
    certificate = x509.load_pem_x509_certificate(application.certificate.encode())
    sha256 = "x5t#S256" in header
    thumbprint = certificate.fingerprint(hashes.SHA256() if sha256 else hashes.SHA1())  # noqa: S303
    if not hmac.compare_digest(_decoded(header.get("x5t#S256" if sha256 else "x5t", "")), thumbprint):
        return False
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
    key.verify(
        signature, signed, pss if header.get("alg") == "PS256" else padding.PKCS1v15(), hashes.SHA256()
    )
    return True


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
