"""Which types can use a Key Vault is said by the code: on Discover, on the help pages, on the Key Vault page."""

from collections.abc import Callable

import pytest
from django.test import Client

from connections.connectors import CONNECTORS
from connections.connectors.sftp import Sftp
from connections.views import discover
from connections_portal.models import User
from tests.connections.filling import text_of

pytestmark = pytest.mark.django_db


class Open(Sftp):
    """A type without a secret."""

    key = "open"
    connection_name = "Open door"
    fields = tuple(field for field in Sftp.fields if not field.secret)


@pytest.fixture
def read(admin: User, client_of: Callable[[User | None], Client]) -> Callable[[str], str]:
    client = client_of(admin)
    return lambda url: client.get(url).content.decode()


def test_the_filter(read: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "CONNECTORS", (*CONNECTORS, Open))
    everything, some = read("/settings/connections/"), read("/settings/connections/?key_vault=1")
    assert 'id="set-up-open"' in everything
    assert 'id="set-up-open"' not in some
    assert 'id="set-up-sftp"' in some
    assert 'name="key_vault" value="1" checked' in some
    assert "More services planned" in text_of(everything)
    assert "More services planned" not in text_of(some)


def test_help_names_every_secret_field(read: Callable[[str], str]) -> None:
    for connector in CONNECTORS:
        page = text_of(read(f"/settings/connections/help/{connector.key}/"))
        secrets = [field.label for field in connector.fields if field.secret]
        assert f"From a linked Key Vault may come: {', '.join(secrets)}." in page
        assert page.count("Supports Key Vault") == len(secrets)


def test_the_key_vault_page_lists_the_types(read: Callable[[str], str]) -> None:
    page = read("/settings/key-vault/")
    for connector in CONNECTORS:
        assert f'href="/settings/connections/help/{connector.key}/"' in page
