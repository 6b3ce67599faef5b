"""Keys of services that come from a Key Vault: they sign in as typed ones do, and are judged as those are."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from connections.connectors.hubspot import HubSpot
from connections.connectors.mailchimp import Mailchimp
from connections.models import Connection, KeyVault
from connections.outgoing import gateway
from connections_portal.models import AuditEntry, User
from tests.connections.filling import SetUp, steps, text_of
from tests.key_vault.double import Double, LinkVault
from tests.services import test_hubspot, test_mailchimp
from tests.services.serving import Asked, Reply, Service

pytestmark = pytest.mark.django_db(transaction=True)

SIGNING = "whsec_" + base64.b64encode(os.urandom(32)).decode()
FIELDS = {"mailchimp": "api_key", "hubspot": "access_token", "webhook": "signing_secret"}
VALUES = {"mailchimp": test_mailchimp.KEY, "hubspot": test_hubspot.TOKEN, "webhook": SIGNING}
ANSWERS: dict[str, Callable[[], Callable[[Asked], Reply]]] = {
    "mailchimp": test_mailchimp.Audience,
    "hubspot": test_hubspot.Account,
    "webhook": lambda: lambda asked: Reply(),
}


@pytest.fixture
def vault(
    double: Double,
    linked_vault: LinkVault,
    service: Service,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> KeyVault:
    """A linked vault, and services whose certificates are believed beside its own."""
    monkeypatch.setattr(Mailchimp, "base_url", f"{service.url}/3.0")
    monkeypatch.setattr(HubSpot, "base_url", service.url)
    both = tmp_path / "both.pem"
    both.write_bytes(service.ca_file.read_bytes() + double.server.ca_file.read_bytes())
    settings.OUTGOING_CA_FILE = str(both)
    gateway.cache_clear()
    return linked_vault()


@pytest.fixture
def form(client_of: Callable[[User | None], Client], admin: User, service: Service) -> Callable[..., SetUp]:
    """A function that fills in the form of a type, its key by the name in the vault."""

    def fill(key: str, name: str = "service-key") -> SetUp:
        service.answer = ANSWERS[key]()
        page = SetUp(client_of(admin), url=f"/settings/connections/new/{key}/")
        settings = {
            "mailchimp": {"data_center": "us21"},
            "hubspot": {"account": "12345678"},
            "webhook": {"url": f"{service.url}/customers"},
        }
        page.typed = {"access": "administrators", "name": f"Our {key}", **settings[key]}
        page.typed |= {f"{FIELDS[key]}-source": "vault", f"{FIELDS[key]}-name": name}
        return page

    return fill


@pytest.mark.parametrize("key", FIELDS)
@pytest.mark.parametrize("end", ["", "\n"], ids=["as it is", "a line end behind it"])
def test_a_key_of_the_vault_signs_in(
    vault: KeyVault, double: Double, form: Callable[..., SetUp], key: str, end: str
) -> None:
    double.vault.put("service-key", VALUES[key] + end)
    page = form(key)
    page.verify()
    assert set(steps(page.page)) == {"ok"}, text_of(page.page)
    assert page.agree().save().status_code == 303, text_of(page.page)
    row = Connection.objects.get().secrets.select_related("vault_secret").get()
    assert row.vault_secret is not None
    assert (row.vault_secret.name, row.ciphertext) == ("service-key", None)
    assert VALUES[key] not in "".join(page.seen)
    assert VALUES[key] not in str(list(AuditEntry.objects.values_list("details", flat=True)))


@pytest.mark.parametrize("key", FIELDS)
@pytest.mark.parametrize("value", ["first line\nsecond line", "x" * 25_000], ids=["two lines", "25 kB"])
def test_what_is_no_key_goes_nowhere(
    vault: KeyVault, double: Double, form: Callable[..., SetUp], service: Service, key: str, value: str
) -> None:
    double.vault.put("service-key", value)
    page = form(key)
    page.verify()
    assert "bad" in steps(page.page), text_of(page.page)
    assert "cannot be used here" in text_of(page.page)
    assert "second line" not in page.page
    assert not service.asked


def test_a_key_of_another_data_center_goes_nowhere(
    vault: KeyVault, double: Double, form: Callable[..., SetUp], service: Service
) -> None:
    double.vault.put("service-key", test_mailchimp.KEY.replace("us21", "us7"))
    page = form("mailchimp")
    page.verify()
    assert "belongs to another data center" in text_of(page.page)
    assert not service.asked
