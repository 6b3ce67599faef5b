"""Pages of linked vaults that are old, and what is typed or chosen there by mistake: nothing is lost or misread."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections import vault_clients, vault_listing
from connections.models import ConnectionSecret, KeyVault, VaultName
from connections.operations.unlink_vault import unlink_vault
from connections.operations.vault_references import impact_of, references
from connections_portal.models import AuditEntry, User
from tests.connections.filling import error_at, text_of, value_of
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.linking import HTMX, LinkPage, read_from

pytestmark = pytest.mark.django_db(transaction=True)
Clients = Callable[[User | None], Client]
LIST = "/settings/key-vault/"


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("edit", {"action": "save"}),
        ("edit", {"action": "verify"}),
        ("check", {}),
        ("replace", {"to": "other", "shown": "other"}),
        ("unlink", {"action": "preview"}),
        ("unlink", {"action": "unlink"}),
    ],
)
def test_a_page_of_a_vault_that_was_unlinked_leads_back_to_the_list(
    client: Client, linked_vault: LinkVault, admin: User, name: str, data: dict[str, str], htmx: bool
) -> None:
    vault = linked_vault()
    url = reverse(f"key_vault:{name}", args=[vault.uuid])
    typed = {"identity": "portal", "scope": "all", "version": "1", **data}
    unlink_vault(vault=vault, impact=impact_of(vault, references(vault)), choices={}, actor=admin)
    answer = client.post(url, typed, headers=HTMX if htmx else {})
    assert answer.status_code == (204 if htmx else 303)
    assert answer["HX-Redirect" if htmx else "Location"] == LIST
    assert "The vault was unlinked meanwhile." in text_of(client.get(LIST).content.decode())


@pytest.mark.parametrize("name", ["edit", "check", "replace", "unlink"])
def test_a_vault_that_never_was_is_not_found(client: Client, name: str) -> None:
    url = reverse(f"key_vault:{name}", args=["3d6e5f1c-1111-4222-8333-444444444444"])
    assert client.post(url).status_code == 404


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_another_client_is_not_tried_without_its_secret(
    client: Client, double: Double, linked_vault: LinkVault, htmx: bool
) -> None:
    vault = linked_vault(principal=double.cloud.application())
    page = LinkPage(
        client,
        htmx=htmx,
        url=reverse("key_vault:edit", args=[vault.uuid]),
        identity="principal_secret",
        tenant_id=vault.tenant_id,
        client_id="11111111-2222-3333-4444-555555555555",
    )
    assert page.press("verify").status_code == 422
    assert error_at(page.page, "client_secret") == "Type it for this tenant and client."
    assert value_of(page.page, "client_id") == "11111111-2222-3333-4444-555555555555"
    assert not double.cloud.seen
    # a refused sign-in that never was counts for nobody
    assert AuditEntry.objects.filter(action="vault.verified").count() == 1


def test_a_vault_that_was_chosen_stays_although_the_list_cannot_be_shown_again(
    client: Client, double: Double
) -> None:
    other = double.cloud.add_vault("fabrikam-kv")
    page = LinkPage(client, listed=other.host)
    page.open("?lists=1")
    double.troubles.gone.add("management.azure.com")
    vault_clients.forget_all()
    assert page.press("save").status_code == 422
    assert "The list of vaults cannot be read" in text_of(page.page)
    assert value_of(page.page, "address") == other.host
    assert not error_at(page.page, "address")


def test_the_list_offers_no_vault_a_second_time(
    client: Client, double: Double, linked_vault: LinkVault
) -> None:
    linked_vault()
    double.cloud.add_vault("fabrikam-kv")
    page = LinkPage(client)
    page.open("?lists=1")
    found = re.findall(r'<option value="([^"]+)"( selected)?( disabled)?>([^<]*)</option>', page.page)
    offered = {host: (bool(disabled), name) for host, _selected, disabled, name in found}
    assert offered[double.vault.host] == (True, "contoso-kv (linked already)")
    assert offered["fabrikam-kv.vault.azure.net"] == (False, "fabrikam-kv")


def test_vaults_stand_in_the_order_of_their_names(
    client: Client, double: Double, linked_vault: LinkVault
) -> None:
    second = linked_vault(host=double.cloud.add_vault("contoso-kv-2").host)
    first = linked_vault()
    listed = client.get(reverse("key_vault:list")).content.decode()
    assert listed.index(f">{first.name}<") < listed.index(f">{second.name}<")
    offered = client.get("/settings/connections/new/sftp/").content.decode()
    assert offered.index(f">{first.name}<") < offered.index(f">{second.name}<")


def test_asking_what_would_change_is_no_mistake(
    client: Client, double: Double, linked_vault: LinkVault
) -> None:
    vault, other = linked_vault(), linked_vault(host=double.cloud.add_vault("fabrikam-kv").host)
    url = reverse("key_vault:replace", args=[vault.uuid])
    asked = text_of(client.post(url, {"to": str(other.uuid)}).content.decode())
    assert "No connection reads its secrets from contoso-kv." in asked
    assert "Look at what will change" not in asked
    changed = client.post(url, {"to": str(other.uuid), "shown": str(vault.uuid)}).content.decode()
    assert "Look at what will change, then replace." in text_of(changed)


@pytest.mark.parametrize("how", ["another case", "an old list"])
def test_what_a_list_of_names_does_not_tell_is_said_against_no_vault(
    client: Client, double: Double, linked_vault: LinkVault, admin: User, how: str
) -> None:
    double.vault.put("Portal-SFTP", "here")
    there = double.cloud.add_vault("fabrikam-kv")
    vault, other = linked_vault(), linked_vault(host=there.host)
    there.put("portal-sftp", "there")
    at = timezone.now()
    if how == "another case":
        VaultName.objects.create(vault=other, name="portal-sftp", seen="x")
    else:
        at -= dt.timedelta(hours=1)
    KeyVault.objects.filter(pk=other.pk).update(names_at=at)
    connection = read_from(vault, actor=admin, secret="Portal-SFTP")
    url = reverse("key_vault:unlink", args=[vault.uuid])
    assert f"move:{other.uuid}" in client.get(f"{url}?see=1").content.decode()
    impact = impact_of(vault, references(vault))
    choice = {f"choice-{connection.uuid}": f"move:{other.uuid}"}
    assert client.post(url, {"action": "unlink", "impact": impact} | choice).status_code == 303


@pytest.mark.both_databases
def test_a_tile_names_its_own_connections_however_many_other_vaults_have(
    double: Double, linked_vault: LinkVault, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_listing, "NAMED", 2)
    double.vault.put("portal-sftp", "here")
    double.cloud.add_vault("fabrikam-kv").put("portal-sftp", "there")
    vaults = [linked_vault(), linked_vault(host="fabrikam-kv.vault.azure.net")]
    both = read_from(vaults[0], actor=admin, name="A, twice")
    reads = both.secrets.get()
    for field in ("private_key", "passphrase"):
        ConnectionSecret.objects.create(
            connection=both,
            field=field,
            target_digest=reads.target_digest,
            vault_secret=reads.vault_secret,
        )
    for number in range(4):
        read_from(vaults[0], actor=admin, name=f"B {number}")
    read_from(vaults[1], actor=admin, name="Z, the last one")
    found = vault_listing.tiles(vaults, timezone.now())
    told = [(tile.used, [name for name, _url in tile.users], tile.more) for tile in found]
    assert told == [(5, ["A, twice", "B 0"], 3), (1, ["Z, the last one"], 0)]
