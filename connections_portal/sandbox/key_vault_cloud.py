"""What the Key Vault double knows: tenants, applications, subscriptions, vaults and their secrets, all invented.

A stand-in for trying the portal out and for its tests, not product code. Nothing of it is kept in a file.
"""

import bisect
import hashlib
import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

TENANT = "11111111-2222-3333-4444-555555555555"
SUBSCRIPTION = "aaaaaaaa-0000-4000-8000-000000000001"
# By cloud: where people sign in, what vaults' hosts end in, where the directory is.
CLOUDS = {
    "public": ("login.microsoftonline.com", "vault.azure.net", "management.azure.com"),
    "government": ("login.microsoftonline.us", "vault.usgovcloudapi.net", "management.usgovcloudapi.net"),
    "china": ("login.chinacloudapi.cn", "vault.azure.cn", "management.chinacloudapi.cn"),
}
# The reasons for which a vault refuses, as its answers name them.
RBAC, POLICY, FIREWALL = "ForbiddenByRbac", "AccessDenied", "ForbiddenByFirewall"
RECOVERABLE_DAYS = 90


@dataclass(frozen=True, kw_only=True)
class Application:
    """A registered application: it signs in by a secret, a certificate (PEM), or a token of its own cluster.

    ``reader`` is whether it may read the directory; the names of the rest are those of the service.
    """

    client_id: str
    tenant_id: str = TENANT
    secret: str = ""
    certificate: str = ""
    federated_token: str = ""
    reader: bool = True


@dataclass(kw_only=True)
class SecretVersion:
    """One version of a secret; times are seconds since 1970."""

    name: str
    version: str
    value: str
    enabled: bool
    created: int
    updated: int
    expires: int | None = None
    not_before: int | None = None
    content_type: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


class VaultDouble:
    """One vault and its secrets: ``live`` and ``deleted`` hold, by name in small letters (the service does not tell
    them from capital ones), the versions in the order they were made.

    ``listed`` is whether the directory shows it. Versions are drawn at random, or follow from name and number where
    ``repeatable`` asks that a vault stocked again has the same ones.
    """

    def __init__(
        self,
        host: str,
        *,
        tenant_id: str = TENANT,
        subscription_id: str = SUBSCRIPTION,
        resource_group: str = "rg-portal",
        region: str = "westeurope",
        listed: bool = True,
        repeatable: bool = False,
    ) -> None:
        self.host, self.tenant_id, self.subscription_id = host, tenant_id, subscription_id
        self.resource_group, self.region, self.listed = resource_group, region, listed
        self.live: dict[str, list[SecretVersion]] = {}
        self.deleted: dict[str, list[SecretVersion]] = {}
        self.lock = threading.RLock()
        self._repeatable = repeatable
        self._refusals: dict[tuple[str, str, str], str] = {}
        self._sorted: list[str] | None = None

    @property
    def name(self) -> str:
        """The first part of its host."""
        return self.host.partition(".")[0]

    def put(
        self,
        name: str,
        value: str,
        *,
        enabled: bool = True,
        expires: float | None = None,
        not_before: float | None = None,
        content_type: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Add a version and return its id; ``expires`` and ``not_before`` are seconds from now."""
        now = int(time.time())
        with self.lock:
            versions = self.live.setdefault(name.lower(), [])
            created = max(now, versions[-1].created + 1) if versions else now
            versions.append(
                SecretVersion(
                    name=versions[0].name if versions else name,
                    version=self._new_version(name, len(versions)),
                    value=value,
                    enabled=enabled,
                    created=created,
                    updated=created,
                    expires=None if expires is None else int(now + expires),
                    not_before=None if not_before is None else int(now + not_before),
                    content_type=content_type,
                    tags=dict(tags or {}),
                )
            )
            if len(versions) == 1:
                self._sorted = None
            return versions[-1].version

    def stock(self, count: int, *, prefix: str = "secret-") -> None:
        """Put ``count`` secrets there: ``secret-00000`` and so on."""
        for number in range(count):
            self.put(f"{prefix}{number:05d}", f"value-{number}")

    def change(
        self,
        name: str,
        version: str = "",
        *,
        enabled: bool | None = None,
        expires: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Change what is said of a version (the latest unless named); ``expires`` is in seconds from now."""
        with self.lock:
            found = self.find(name, version)
            if found is None:
                raise KeyError(name)
            found.updated = int(time.time())
            if enabled is not None:
                found.enabled = enabled
            if expires is not None:
                found.expires = int(time.time() + expires)
            if tags is not None:
                found.tags = dict(tags)

    def find(self, name: str, version: str = "") -> SecretVersion | None:
        """The version (the latest unless named) of a secret that is there."""
        with self.lock:
            versions = self.live.get(name.lower(), [])
            if not version:
                return versions[-1] if versions else None
            return next((each for each in versions if each.version == version), None)

    def delete(self, name: str) -> None:
        """Delete softly; raises KeyError when it is not there."""
        with self.lock:
            self.deleted[name.lower()] = self.live.pop(name.lower())
            self._sorted = None

    def recover(self, name: str) -> None:
        """Bring a softly deleted secret back; raises KeyError when there is none."""
        with self.lock:
            self.live[name.lower()] = self.deleted.pop(name.lower())
            self._sorted = None

    def page(self, after: str, size: int) -> tuple[list[SecretVersion], str]:
        """The latest versions of ``size`` secrets from the name ``after`` on, and where the next page begins."""
        with self.lock:
            if self._sorted is None:
                self._sorted = sorted(self.live)
            begin = bisect.bisect_left(self._sorted, after)
            names = self._sorted[begin : begin + size]
            rest = self._sorted[begin + size : begin + size + 1]
            return [self.live[name][-1] for name in names], rest[0] if rest else ""

    def forbid(self, action: str = "*", code: str = RBAC, *, client_id: str = "*", name: str = "*") -> None:
        """Refuse ``get`` or ``list`` (``*``: both) to an application or all, for one secret or all."""
        self._refusals[client_id, action, name] = code

    def permit(self) -> None:
        """Refuse nothing any more."""
        self._refusals.clear()

    def refusal(self, client_id: str, action: str, name: str = "") -> str:
        """Why this is refused, as the service names it; empty when it is not."""
        for (who, what, which), code in tuple(self._refusals.items()):
            if who in ("*", client_id) and what in ("*", action) and which.lower() in ("*", name.lower()):
                return code
        return ""

    def _new_version(self, name: str, number: int) -> str:
        if self._repeatable:
            text = f"{self.host}/{name}/{number}"
            return hashlib.sha256(text.lower().encode()).hexdigest()[:32]
        return secrets.token_hex(16)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription that the directory shows to the readers of its tenant."""

    subscription_id: str
    name: str
    tenant_id: str = TENANT
    state: str = "Enabled"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request that came: ``bearer`` is whether it brought a token, ``status`` what was answered."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    bearer: bool
    status: int


@dataclass(kw_only=True)
class Troubles:
    """What goes wrong on purpose.

    ``latency`` are seconds before each answer. The next ``throttled`` requests to a vault get 429, with
    ``retry_after`` in seconds or without it; the next ``broken`` ones get 500. ``gone`` are hosts that the proxy cannot
    reach (502), ``cut`` those whose line breaks at once, ``silent`` those that never answer. ``sign_in`` is a status
    with which each request for a token fails.
    """

    latency: float = 0.0
    throttled: int = 0
    retry_after: int | None = None
    broken: int = 0
    gone: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    sign_in: int = 0


class Cloud:
    """Everything there is, and what was asked of it. Safe to use from several threads."""

    def __init__(self, *, token_key: bytes = b"") -> None:
        self.applications: dict[tuple[str, str], Application] = {}
        self.vaults: dict[str, VaultDouble] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.tenants: set[str] = {TENANT}
        self.troubles = Troubles()
        self.token_seconds = 3599
        self.token_key = token_key or secrets.token_bytes(32)
        # who gets tokens from the endpoint of managed identities, and the header that the endpoint asks for
        self.managed: Application | None = None
        self.identity_header = "identity-header-of-the-double"
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self.add_subscription(SUBSCRIPTION, "Contoso production")

    def add_subscription(
        self, subscription_id: str, name: str, *, tenant_id: str = TENANT, state: str = "Enabled"
    ) -> Subscription:
        """A subscription of a tenant; one of another tenant makes that tenant known."""
        self.tenants.add(tenant_id)
        added = Subscription(subscription_id=subscription_id, name=name, tenant_id=tenant_id, state=state)
        self.subscriptions[subscription_id] = added
        return added

    def add_vault(
        self,
        name: str,
        *,
        cloud: str = "public",
        tenant_id: str = TENANT,
        subscription_id: str = SUBSCRIPTION,
        resource_group: str = "rg-portal",
        region: str = "westeurope",
        listed: bool = True,
        repeatable: bool = False,
    ) -> VaultDouble:
        """An empty vault ``name``, by the cloud's suffix; see VaultDouble."""
        self.tenants.add(tenant_id)
        vault = VaultDouble(
            f"{name}.{CLOUDS[cloud][1]}",
            tenant_id=tenant_id,
            subscription_id=subscription_id,
            resource_group=resource_group,
            region=region,
            listed=listed,
            repeatable=repeatable,
        )
        self.vaults[vault.host] = vault
        return vault

    def register(self, application: Application) -> Application:
        """Make an application known; one with the same ids is replaced."""
        self.tenants.add(application.tenant_id)
        self.applications[application.tenant_id, application.client_id] = application
        return application

    def application(self, client_id: str = "", *, tenant_id: str = TENANT, **more: str | bool) -> Application:
        """Register an application with an id and a secret of its own unless given."""
        given = {"secret": secrets.token_urlsafe(24), **more}
        return self.register(
            Application(client_id=client_id or str(uuid.uuid4()), tenant_id=tenant_id, **given)  # type: ignore[arg-type]
        )

    def end_tokens(self) -> None:
        """No token that was issued so far is worth anything any more."""
        self.token_key = secrets.token_bytes(32)

    def note(self, seen: Seen) -> None:
        """Remember a request."""
        with self.lock:
            self.seen.append(seen)

    def requests(self, *, host: str = "", path: str = "") -> list[Seen]:
        """What came so far, in order: to this host, and whose path begins like this, where given."""
        with self.lock:
            return [each for each in self.seen if host in ("", each.host) and each.path.startswith(path)]
