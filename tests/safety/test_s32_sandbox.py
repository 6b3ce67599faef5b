"""S32: what belongs to the sandbox stops a start outside ``make run``."""

from pathlib import Path

import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from connections_portal import checks
from connections_portal.sandbox.key_vault import KeyVaultDouble


@pytest.fixture
def outside(settings: Settings) -> Settings:
    """A portal that is not `make run`."""
    settings.DEV = False
    settings.OUTGOING_CA_FILE, settings.KEY_VAULT_HOSTS = "", []
    return settings


def test_sandbox_authority_and_vaults_stop_the_start(outside: Settings, db: None, tmp_path: Path) -> None:
    with KeyVaultDouble(tmp_path) as double:
        outside.OUTGOING_CA_FILE = str(double.ca_file)
    with pytest.raises(ImproperlyConfigured, match="OUTGOING_CA_FILE names the sandbox"):
        checks.refuse_unsafe_start()
    company = trustme.CA(organization_name="Contoso").cert_pem.bytes()
    (tmp_path / "both.pem").write_bytes(company + double.ca_file.read_bytes())
    outside.OUTGOING_CA_FILE = str(tmp_path / "both.pem")
    with pytest.raises(ImproperlyConfigured, match="OUTGOING_CA_FILE names the sandbox"):
        checks.refuse_unsafe_start()
    outside.OUTGOING_CA_FILE = ""
    outside.KEY_VAULT_HOSTS = ["Contoso-Sandbox.vault.azure.net"]
    with pytest.raises(ImproperlyConfigured, match="KEY_VAULT_HOSTS names the sandbox"):
        checks.refuse_unsafe_start()
    outside.DEV = True
    checks.refuse_unsafe_start()


def test_own_authority_and_vaults_start(outside: Settings, db: None, tmp_path: Path) -> None:
    (tmp_path / "company.pem").write_bytes(trustme.CA(organization_name="Contoso").cert_pem.bytes())
    outside.OUTGOING_CA_FILE = str(tmp_path / "company.pem")
    outside.KEY_VAULT_HOSTS = ["contoso-kv.vault.azure.net"]
    checks.refuse_unsafe_start()
    outside.OUTGOING_CA_FILE = str(tmp_path / "missing.pem")
    assert checks.sandbox_is_at_home() == []
