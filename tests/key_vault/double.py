"""The Key Vault double for tests, and a guard that no test looks up a name outside this machine.

``double`` is Azure as a test meets it: sign-in, directory and vaults under their real names, behind
``OUTGOING_PROXY``. It has one vault, ``double.vault``, and one application, ``double.portal``, which is the portal's
own identity. Each test begins with a new one; nothing that a process keeps of Key Vaults outlives a test.
"""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django import Settings

from connections import consent, vault_cache, vault_clients
from connections.models import KeyVault, VaultIdentity, VaultScope
from connections.outgoing import gateway
from connections_portal.models import User
from connections_portal.sandbox.key_vault import KeyVaultDouble
from connections_portal.sandbox.key_vault_cloud import Application, Cloud, Troubles, VaultDouble
from tests.guard import sitecustomize

# Processes that tests start look up no names of the world either.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(sitecustomize.__file__).parent), os.environ.get("PYTHONPATH")])
)


@pytest.fixture
def looked_up() -> list[str]:
    """The names that were looked up so far in this test; what is taken out of it is forgiven."""
    return sitecustomize.looked_up


@pytest.fixture(autouse=True)
def nothing_leaves_this_machine() -> Iterator[None]:
    """A test that looks up a name of the world fails, whatever became of it."""
    sitecustomize.looked_up.clear()
    yield
    check_nothing_left()


def check_nothing_left() -> None:
    """Fail if a name of the world was looked up in this test."""
    names = sitecustomize.looked_up
    assert not names, f"looked up outside this machine: {names}"


@dataclass
class Double:
    """The double as a test uses it; see the module."""

    server: KeyVaultDouble
    cloud: Cloud
    portal: Application
    vault: VaultDouble

    @property
    def troubles(self) -> Troubles:
        """What goes wrong on purpose."""
        return self.cloud.troubles

    @property
    def environment(self) -> dict[str, str]:
        """What a process of its own needs to reach it as the portal."""
        return {
            "OUTGOING_PROXY": self.server.proxy,
            "OUTGOING_CA_FILE": str(self.server.ca_file),
            "KEY_VAULT_HOSTS": self.vault.host,
            **self.identity,
        }

    @property
    def identity(self) -> dict[str, str]:
        """The environment of the portal's own identity, as a service principal with a secret."""
        return {
            "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
            "AZURE_TENANT_ID": self.portal.tenant_id,
            "AZURE_CLIENT_ID": self.portal.client_id,
            "AZURE_CLIENT_SECRET": self.portal.secret,
        }


def forget_vaults() -> None:
    """Drop what this process keeps of Key Vaults: clients, tokens, values, challenges."""
    vault_clients.forget_all()
    vault_cache.cache.clear()
    gateway.cache_clear()
    if challenges := sys.modules.get("azure.keyvault.secrets._shared.http_challenge_cache"):
        challenges.clear()


@pytest.fixture(scope="session")
def double_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVaultDouble]:
    """One server for all tests; ``double`` gives it a new cloud for each."""
    with KeyVaultDouble(tmp_path_factory.mktemp("key-vault")) as server:
        yield server


@pytest.fixture
def double(
    double_server: KeyVaultDouble, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Double]:
    """Azure, empty but for one vault and the portal's own identity."""
    double_server.cloud = cloud = Cloud()
    made = Double(double_server, cloud, cloud.application(), cloud.add_vault("contoso-kv"))
    settings.OUTGOING_PROXY = double_server.proxy
    settings.OUTGOING_CA_FILE = str(double_server.ca_file)
    settings.KEY_VAULT_HOSTS = [made.vault.host]
    settings.AZURE_TENANT_ID = made.portal.tenant_id
    for name, value in made.identity.items():
        monkeypatch.setenv(name, value)
    forget_vaults()
    yield made
    forget_vaults()
    double_server.cut_all()


LinkVault = Callable[..., KeyVault]


@pytest.fixture
def linked_vault(double: Double, admin: User) -> LinkVault:
    """A function that links ``double.vault``, or another, as an administrator does.

    What was asked of the double meanwhile is forgotten. Example:
    ``linked_vault(scope="prefix", scope_value="portal-")``; ``host`` and ``actor`` may be others, and ``principal`` an
    Application to sign in as with its secret.
    """
    from connections.operations.link_vault import VaultLink, link_vault

    def build(
        *,
        host: str = "",
        scope: str = VaultScope.ALL,
        scope_value: str = "",
        principal: Application | None = None,
        actor: User = admin,
    ) -> KeyVault:
        signs_in: dict[str, str] = {"identity": VaultIdentity.PORTAL}
        if principal is not None:
            signs_in = {
                "identity": VaultIdentity.PRINCIPAL_SECRET,
                "tenant_id": principal.tenant_id,
                "client_id": principal.client_id,
                "credential": principal.secret,
            }
        link = VaultLink(host=host or double.vault.host, scope=scope, scope_value=scope_value, **signs_in)
        vault = link_vault(
            link=link, agreed=True, wording_hash=consent.vault_wording(link.host).hash, actor=actor
        )
        double.cloud.seen.clear()
        return vault

    return build


@pytest.fixture(scope="session")
def certificate() -> tuple[str, str]:
    """A certificate of an application, alone and together with its private key (PEM)."""
    return make_certificate()


def make_certificate() -> tuple[str, str]:
    """A new self-signed certificate with an RSA key: the certificate, and both in one PEM."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "portal")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    alone = made.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return alone, private + alone
