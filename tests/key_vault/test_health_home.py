"""Key Vaults on Home, in the lists and on a connection's page: the same numbers, for administrators alone."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from connections.key_vault.base import SecretFacts
from connections.models import Connection, KeyVault, State, VaultSecretState, VaultState
from connections.operations.vault_health import record_secret_state, record_vault_state
from connections_portal.models import User
from tests.data import write_customers
from tests.factories import make_connection
from tests.key_vault.health_data import DAY, connect, make_secret, make_vault

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
FIREWALL = "The Key Vault's firewall does not let the portal in."


@pytest.fixture(autouse=True)
def customers(tmp_path: Path, settings: Settings) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"


def read(client: Client, url: str) -> str:
    """What is read on a page, with single blanks."""
    main = re.sub(r"(?s).*<main[^>]*>|</main>.*", "", client.get(url).content.decode())
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", main)))


def expire(secret_id: int, days: float) -> None:
    facts = SecretFacts(name="any", expires_at=timezone.now() + days * DAY)
    record_secret_state(secret_id, VaultSecretState.USABLE, facts=facts)


def stock(admin: User, number: int, *, name: str = "C") -> KeyVault:
    """A vault that works, with this number of connections whose secret expires and one whose secret is missing."""
    vault = make_vault(f"{name.lower()}-kv.vault.azure.net")
    for n in range(number):
        secret = make_secret(vault, f"{name}-{n}")
        connect(secret, actor=admin, name=f"{name} {n}")
        expire(secret.pk, 5 + n)
    gone = make_secret(vault, "gone")
    connect(gone, actor=admin, name=f"{name} gone")
    record_secret_state(gone.pk, VaultSecretState.MISSING)
    return vault


def test_home_says_the_numbers_that_its_links_show(admin: User, client_of: Clients) -> None:
    make_connection(actor=admin, name="Stored")
    stock(admin, 4)
    broken = make_vault("broken-kv.vault.azure.net")
    record_vault_state(broken.pk, VaultState.FORBIDDEN, code="vault_firewall", cause=FIREWALL)
    client = client_of(admin)
    notices = {notice.title: notice for notice in client.get(reverse("home")).context["notices"]}
    assert set(notices) >= {
        "1 connection needs attention",
        "1 Key Vault is not working",
        "Secrets of 4 connections expire soon",
    }
    for title, notice in notices.items():
        if "?" in notice.url:
            assert client.get(notice.url).context["page_obj"].paginator.count == notice.total, title
    shown = client.get(notices["1 Key Vault is not working"].url).context["tiles"]
    assert [tile.vault.name for tile in shown if tile.kind == "bad"] == ["broken-kv"]
    # what expires first comes first
    assert [item.text for item in notices["Secrets of 4 connections expire soon"].items] == [
        "C 0",
        "C 1",
        "C 2",
    ]
    page = read(client, reverse("home"))
    assert FIREWALL in page
    assert "The secret is not in the Key Vault." in page
    assert 'The secret "C-0" in the Key Vault "c-kv" expires on' in page


def test_enrichment_connections_are_counted_in_their_own_list(admin: User, client_of: Clients) -> None:
    vault = make_vault()
    secret = make_secret(vault)
    connect(secret, actor=admin)
    Connection.objects.update(type_key="sftp_custom_import")
    expire(secret.pk, 3)
    client = client_of(admin)
    [notice] = [n for n in client.get(reverse("home")).context["notices"] if "expires" in n.title]
    assert notice.title == "A secret of 1 enrichment connection expires soon"
    assert client.get(notice.url).context["page_obj"].paginator.count == 1


@pytest.mark.parametrize("who", ["contributor", "viewer", "support"])
def test_nobody_else_is_told(
    who: str, request: pytest.FixtureRequest, admin: User, client_of: Clients
) -> None:
    vault = stock(admin, 2)
    record_vault_state(vault.pk, VaultState.FORBIDDEN, code="vault_firewall", cause=FIREWALL)
    page = client_of(request.getfixturevalue(who)).get(reverse("home")).content.decode()
    for word in ("c-kv", "C-0", "expire", FIREWALL, "Key Vault"):
        assert word not in html.unescape(page)


def test_the_list_shows_the_cause_and_what_expires(admin: User, client_of: Clients) -> None:
    stock(admin, 1)
    client = client_of(admin)
    page = read(client, reverse("connections:exports"))
    assert "Needs attention The secret is not in the Key Vault." in page
    assert "Ready A secret expires on" in page
    page = read(client, reverse("connections:exports") + f"?status={State.NEEDS_ATTENTION}")
    assert "C gone" in page
    assert "C 0" not in page
    page = read(client, reverse("connections:exports") + "?status=expiring")
    assert "C 0" in page
    assert "C gone" not in page
    assert "Secret expires soon" in page


def test_the_page_of_a_connection_says_what_to_do(admin: User, client_of: Clients) -> None:
    stock(admin, 1)
    client = client_of(admin)
    gone, soon = Connection.objects.get(name="C gone"), Connection.objects.get(name="C 0")
    page = read(client, reverse("connections:detail", args=[gone.uuid]))
    assert "The secret is not in the Key Vault. Check its name and version" in page
    assert "The portal looks again by itself" in page
    page = read(client, reverse("connections:detail", args=[soon.uuid]))
    assert 'The secret "C-0" in the Key Vault "c-kv" expires on' in page
    assert "the portal reads the latest one by itself" in page


@pytest.mark.parametrize("address", ["home", "connections:exports"])
def test_more_of_them_cost_no_more_queries(
    address: str, admin: User, client_of: Clients, django_assert_max_num_queries: Any
) -> None:
    def cost() -> int:
        client = client_of(admin)
        client.get(reverse(address))
        with django_assert_max_num_queries(60) as captured:
            assert client.get(reverse(address)).status_code == 200
        return len(captured)

    first = stock(admin, 4, name="A")
    record_vault_state(first.pk, VaultState.FORBIDDEN, code="vault_firewall", cause=FIREWALL)
    few = cost()
    for name in ("B", "D", "E"):
        more = stock(admin, 5, name=name)
        record_vault_state(more.pk, VaultState.FORBIDDEN, code="vault_firewall", cause=FIREWALL)
    assert cost() == few
