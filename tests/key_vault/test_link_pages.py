"""Settings > Key Vault in the browser's eyes: the list, the form with and without script, bad input, check now."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from connections.models import Connection, KeyVault, VaultNotice
from connections_portal.models import AuditEntry, User
from tests.connections.filling import error_at, is_ticked, text_of, value_of, verify_error
from tests.key_vault.double import Double
from tests.key_vault.linking import HTMX, LINK, LinkPage, read_from

pytestmark = pytest.mark.django_db(transaction=True)
Clients = Callable[[User | None], Client]
Linked = Callable[..., KeyVault]
LIST = "/settings/key-vault/"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
SECRET = "typed-client-secret-that-nobody-sees"


@pytest.fixture
def client(admin: User, client_of: Clients) -> Client:
    return client_of(admin)


def steps(body: str) -> list[str]:
    return re.findall(r'<li class="(ok|warn|ask|bad|todo)">', body)


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_from_the_empty_page_to_a_linked_vault(client: Client, double: Double, htmx: bool) -> None:
    empty = client.get(LIST).content.decode()
    assert "No vault is linked" in empty
    assert LINK in empty
    page = LinkPage(client, htmx=htmx, address=f"https://{double.vault.host}/")
    answer = page.press("verify")
    assert answer.status_code == 200
    assert steps(page.page) == ["ok", "ok", "ok", "warn"]
    assert ("<html" in page.page) is not htmx
    assert not KeyVault.objects.exists()
    if htmx:
        # only the result: what is typed stays in the browser
        assert 'name="address"' not in page.page
    else:
        assert value_of(page.page, "address") == f"https://{double.vault.host}/"
    page.agree()
    answer = page.press("save")
    assert answer.status_code == (204 if htmx else 303)
    assert answer["HX-Redirect" if htmx else "Location"] == LIST
    vault = KeyVault.objects.get()
    listed = text_of(client.get(LIST).content.decode())
    assert "contoso-kv is linked." in listed
    assert vault.host in listed
    assert "No connection" in listed
    assert "All of them" in listed


def test_save_says_everything_that_is_missing(client: Client, double: Double) -> None:
    page = LinkPage(client, scope="prefix", identity="principal_secret")
    answer = page.press("save")
    assert answer.status_code == 422
    assert error_at(page.page, "address") == "Choose a vault from the list, or type its address."
    for name in ("tenant_id", "client_id", "client_secret"):
        assert error_at(page.page, name) == "Fill in this field."
    assert error_at(page.page, "name_prefix") == "Type how their names begin, or choose otherwise."
    assert error_at(page.page, "agree") == "Read the text and agree to it."
    assert not double.cloud.seen


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://contoso-kv.vault.azure.net", "https only"),
        ("https://files.example.com", "Only Azure Key Vaults can be linked"),
        ("https://contoso-kv.vault.azure.net.example.com", "Only Azure Key Vaults can be linked"),
        ("https://contoso-kv.vault.azure.net/secrets/x", "without the name of a secret"),
        ("https://user:pw@contoso-kv.vault.azure.net", "not the address of a Key Vault"),
        ("https://contoso-kv.vault.azure.net:8443", "not the address of a Key Vault"),
        ("../../etc/passwd", "without the name of a secret"),
        ("contoso kv", "not the address of a Key Vault"),
        ("\u202econtoso-kv.vault.azure.net", "not the address of a Key Vault"),
    ],
)
def test_what_is_not_a_vault_is_refused_at_its_field(
    client: Client, double: Double, address: str, said: str
) -> None:
    page = LinkPage(client, address=address, name_prefix="portal-", scope="prefix")
    for action in ("verify", "save"):
        assert page.press(action).status_code == 422
        assert said in error_at(page.page, "address")
        assert value_of(page.page, "address") == address
        assert value_of(page.page, "name_prefix") == "portal-"
    assert not double.cloud.seen


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tenant_id", "contoso.onmicrosoft.com", "This is not an ID."),
        ("client_id", "11111111-2222-3333-4444-55555555555", "This is not an ID."),
        ("client_secret", "two\nlines", "on one line"),
        ("client_secret", "x" * 501, "at most 500"),
        ("secret_name", "../other", "letters, digits and hyphens"),
        ("tag", "a=b=c" + "x" * 200, "at most 127"),
        ("tag", "", "Type the tag's name"),
    ],
)
def test_junk_in_other_fields(client: Client, double: Double, field: str, value: str, said: str) -> None:
    page = LinkPage(
        client,
        address=double.vault.host,
        identity="principal_secret",
        tenant_id=double.portal.tenant_id,
        client_id=double.portal.client_id,
        client_secret=SECRET,
        scope="tag",
        tag="used-by",
    )
    page.typed[field] = value
    assert page.press("verify").status_code == 422
    assert said in error_at(page.page, field)
    assert not double.cloud.seen


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        ("hello", "both as PEM text"),
        (CERTIFICATE, "both as PEM text"),
        (f"{CERTIFICATE}\n-----BEGIN ENCRYPTED PRIVATE KEY-----", "has a password"),
        ("x" * 25_001, "at most 25000"),
    ],
)
def test_junk_as_certificate(client: Client, double: Double, pem: str, said: str) -> None:
    page = LinkPage(
        client,
        address=double.vault.host,
        identity="principal_certificate",
        tenant_id=double.portal.tenant_id,
        client_id=double.portal.client_id,
        certificate=pem,
    )
    assert page.press("save").status_code == 422
    assert said in error_at(page.page, "certificate").replace(",", "")
    assert "BEGIN" not in page.page


def test_a_certificate_that_only_looks_like_one_is_refused_by_the_steps(
    client: Client, double: Double
) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    page = LinkPage(
        client,
        address=double.vault.host,
        identity="principal_certificate",
        tenant_id=double.portal.tenant_id,
        client_id=double.portal.client_id,
        certificate=pem + pem.replace("CERTIFICATE", "PRIVATE KEY"),
    )
    assert page.press("verify").status_code == 200
    assert steps(page.page)[:2] in (["ok", "bad"], ["bad", "todo"])


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_typed_secret_is_never_sent_back(client: Client, double: Double, htmx: bool) -> None:
    page = LinkPage(
        client,
        htmx=htmx,
        address=double.vault.host,
        identity="principal_secret",
        tenant_id=double.portal.tenant_id,
        client_id=double.portal.client_id,
        client_secret=SECRET,
    )
    page.press("verify")
    assert "bad" in steps(page.page)
    page.press("save")
    page.agree()
    answer = page.press("save")
    assert answer.status_code == 422
    assert "did not pass the verification" in verify_error(page.page)
    assert value_of(page.page, "client_id") == double.portal.client_id
    assert is_ticked(page.page, "agree")
    assert all(SECRET not in seen for seen in page.seen)
    # with script the input itself stays as it is, with what is typed in it
    assert re.search(r'<input type="password" name="client_secret"[^>]* hx-preserve="true"', page.page)
    assert SECRET not in str(list(AuditEntry.objects.values_list("details", flat=True)))
    assert not KeyVault.objects.exists()


def test_another_vault_takes_the_agreement_back(client: Client, double: Double) -> None:
    other = double.cloud.add_vault("fabrikam-kv")
    page = LinkPage(client, address=double.vault.host)
    page.agree()
    page.typed["address"] = other.host
    page.press("terms")
    assert other.host in page.page
    assert "your agreement was taken back" in page.page
    assert not is_ticked(page.page, "agree")
    # what was shown above the tick counts, whatever is typed by then
    page.hidden["wording"] = "0" * 64
    assert page.press("save").status_code == 422
    assert "The text has changed since you agreed" in error_at(page.page, "agree")
    assert not KeyVault.objects.exists()


def test_the_lists_of_azure_s_directory(client: Client, double: Double) -> None:
    double.cloud.add_subscription("bbbbbbbb-0000-4000-8000-000000000002", "Fabrikam test")
    double.cloud.add_vault(
        "fabrikam-kv", subscription_id="bbbbbbbb-0000-4000-8000-000000000002", resource_group="rg-other"
    )
    page = LinkPage(client)
    assert f'hx-get="{LINK}?lists=1" hx-trigger="load"' in page.page
    fragment = client.get(f"{LINK}?lists=1", headers=HTMX).content.decode()
    assert "<html" not in fragment
    for shown in (
        "Contoso production",
        "Fabrikam test",
        "rg-portal",
        "rg-other",
        ">contoso-kv<",
        ">fabrikam-kv<",
    ):
        assert shown in fragment
    page.open("?lists=1")
    page.press("narrow", subscription="bbbbbbbb-0000-4000-8000-000000000002")
    assert ">fabrikam-kv<" in page.page
    assert ">contoso-kv<" not in page.page
    page.typed["listed"] = "fabrikam-kv.vault.azure.net"
    page.agree()
    assert page.press("save").status_code == 303, text_of(page.page)
    vault = KeyVault.objects.get()
    assert (vault.subscription_name, vault.resource_group, vault.region) == (
        "Fabrikam test", "rg-other", "westeurope",
    )  # fmt: skip


def test_a_choice_and_another_address_are_not_guessed_at(client: Client, double: Double) -> None:
    page = LinkPage(client, listed=double.vault.host, address="fabrikam-kv.vault.azure.net")
    assert page.press("save").status_code == 422
    assert error_at(page.page, "address") == "Another vault is chosen in the list. Keep one of the two."


@pytest.mark.parametrize("why", ["no role", "no vault", "out of reach"])
def test_without_lists_the_address_is_typed(client: Client, double: Double, why: str) -> None:
    if why == "no role":
        double.cloud.vaults[double.vault.host].listed = False
    elif why == "no vault":
        double.cloud.vaults.clear()
    else:
        double.troubles.gone.add("management.azure.com")
    fragment = text_of(client.get(f"{LINK}?lists=1", headers=HTMX).content.decode())
    assert "Type the vault's address." in fragment
    page = LinkPage(client)
    page.open("?lists=1")
    assert 'name="address"' in page.page


def test_an_already_linked_vault_is_refused_at_the_field(
    client: Client, double: Double, linked_vault: Linked
) -> None:
    linked_vault()
    page = LinkPage(client, address=double.vault.host)
    page.agree()
    assert page.press("save").status_code == 422
    assert "linked already" in error_at(page.page, "address")


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_editing_keeps_the_credential_and_says_what_it_takes_away(
    client: Client, double: Double, admin: User, linked_vault: Linked, htmx: bool
) -> None:
    application = double.cloud.application()
    vault = linked_vault(principal=application)
    double.vault.put("crm-password", "value")
    read_from(vault, actor=admin, secret="crm-password")
    page = LinkPage(
        client,
        url=reverse("key_vault:edit", args=[vault.uuid]),
        htmx=htmx,
        identity="principal_secret",
        tenant_id=vault.tenant_id,
        client_id=vault.client_id,
        scope="prefix",
        name_prefix="portal-",
        subscription_name="Contoso production",
    )
    assert "Stored, never shown." in page.page
    assert page.press("save").status_code == 422
    assert "1 connection could no longer read its secret." in page.page
    assert "Newsletter, SFTP EU" in page.page
    answer = page.press("save")
    assert answer.status_code == (204 if htmx else 303)
    vault.refresh_from_db()
    assert (vault.scope_value, vault.subscription_name) == ("portal-", "Contoso production")
    assert vault.secrets.count() == 1


def test_an_old_edit_page_is_told_so(
    client: Client, double: Double, admin: User, linked_vault: Linked
) -> None:
    vault = linked_vault()
    url = reverse("key_vault:edit", args=[vault.uuid])
    page = LinkPage(client, url=url, resource_group="mine")
    other = LinkPage(client, url=url, resource_group="theirs")
    assert other.press("save").status_code == 303
    assert page.press("save").status_code == 409
    assert "changed this link at" in page.page
    assert value_of(page.page, "resource_group") == "mine"
    assert page.press("save").status_code == 303
    vault.refresh_from_db()
    assert (vault.resource_group, vault.version) == ("mine", 3)


def test_check_now_is_queued_once(client: Client, double: Double, linked_vault: Linked) -> None:
    vault = linked_vault()
    before = DBTaskResult.objects.count()
    url = reverse("key_vault:check", args=[vault.uuid])
    for _press in range(2):
        assert client.post(url)["Location"] == LIST
    assert DBTaskResult.objects.count() == before + 1
    assert AuditEntry.objects.filter(action="vault.check_requested").count() == 1
    assert "Being checked" in client.get(LIST).content.decode()


def test_the_list_asks_as_much_for_one_vault_as_for_many(
    client: Client, double: Double, admin: User, linked_vault: Linked
) -> None:
    double.vault.put("portal-sftp", "value")
    others = [double.cloud.add_vault(f"more-kv-{number}") for number in range(3)]
    vault = linked_vault()
    for number in range(3):
        read_from(vault, actor=admin, name=f"Connection {number}")
    client.get(LIST)
    with CaptureQueriesContext(database) as one:
        body = client.get(LIST).content.decode()
    assert "3 connections" in text_of(body)
    for number, other in enumerate(others):
        other.put("portal-sftp", "value")
        read_from(linked_vault(host=other.host), actor=admin, name=f"Other {number}")
    with CaptureQueriesContext(database) as many:
        client.get(LIST)
    assert len(many) == len(one)


def test_notices_are_paged(client: Client, double: Double, linked_vault: Linked) -> None:
    vault = linked_vault()
    for number in range(12):
        VaultNotice.objects.create(
            kind="secret",
            vault_uuid=vault.uuid,
            vault_name=vault.name,
            secret_name=f"secret-{number:02}",
            before="usable",
            after="missing",
        )
    VaultNotice.objects.update(at=timezone.now() - dt.timedelta(hours=1))
    first = text_of(client.get(LIST).content.decode())
    assert "secret-11" in first
    assert "secret-00" not in first
    second = client.get(f"{LIST}?page=2", headers=HTMX).content.decode()
    assert "secret-00" in second
    assert "<html" not in second


def test_nobody_else_sees_any_of_it(
    double: Double, contributor: User, viewer: User, client_of: Clients, linked_vault: Linked
) -> None:
    vault = linked_vault()
    for person in (contributor, viewer):
        theirs = client_of(person)
        assert "/settings/key-vault/" not in theirs.get("/").content.decode()
        for url in (LIST, LINK, reverse("key_vault:edit", args=[vault.uuid])):
            answer = theirs.get(url)
            assert answer.status_code == 403
            assert vault.name not in answer.content.decode()
    assert not Connection.objects.exists()


def test_ways_to_the_page(client: Client) -> None:
    assert 'href="/settings/key-vault/"' in client.get("/").content.decode()
    tabs = client.get("/settings/permissions/").content.decode().partition('class="tabs"')[2]
    assert 'href="/settings/key-vault/"' in tabs.partition("</nav>")[0]
