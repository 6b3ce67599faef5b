"""*Use Key Vault* in the form of a connection: what can be chosen, what is refused, and what is kept of it."""

import html
from collections.abc import Callable

import asyncssh
import pytest
from django.test import Client

from connections.connectors import CONNECTORS
from connections.connectors.base import Connector
from connections.models import Connection, ConnectionDraft, ConnectionSecret, KeyVault, VaultSecret
from connections_portal.models import AuditEntry, User
from tests.connections.filling import SetUp, error_at, steps, text_of, value_of
from tests.connectors.servers import Server
from tests.key_vault.double import Double, LinkVault

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "sftp-password"
ANOTHER = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def vault(double: Double, linked_vault: LinkVault, server: Server) -> KeyVault:
    """A linked vault with the server's password."""
    double.vault.put(NAME, server.password)
    return linked_vault()


def choose(page: SetUp, name: str = NAME, *, field: str = "password", **more: str) -> SetUp:
    """Switch *Use Key Vault* on and type a name."""
    page.typed.pop(field, None)
    page.typed |= {f"{field}-source": "vault", f"{field}-name": name}
    page.typed |= {f"{field}-{part}": value for part, value in more.items()}
    return page


def errors(page: SetUp, field: str = "password-name") -> str:
    return error_at(page.page, field)


def test_without_a_vault_there_is_a_line_that_leads_to_one(plain: SetUp) -> None:
    assert "Use Key Vault" not in text_of(plain.page)
    assert 'href="/settings/key-vault/link/"' in plain.page


@pytest.mark.parametrize("connector", CONNECTORS, ids=lambda connector: connector.key)
def test_with_a_vault_every_secret_of_every_type_has_the_switch(
    client_of: Callable[[User | None], Client], admin: User, vault: KeyVault, connector: type[Connector]
) -> None:
    page = client_of(admin).get(f"/settings/connections/new/{connector.key}/").content.decode()
    for field in connector.fields:
        assert (f'name="{field.key}-source"' in page) == field.secret
    assert "Link a vault" not in text_of(page)


def test_a_connection_is_made_with_a_secret_of_the_vault(
    set_up: SetUp, vault: KeyVault, double: Double, server: Server
) -> None:
    choose(set_up)
    set_up.verify()
    assert steps(set_up.page)[2] == "ask", text_of(set_up.page)
    set_up.trust()
    assert steps(set_up.page) == ["ok"] * 6, text_of(set_up.page)
    set_up.agree().save()
    connection = Connection.objects.get()
    row = connection.secrets.get()
    assert row.vault_secret is not None
    assert (row.vault_secret.name, row.vault_secret.pinned, row.vault_secret.vault) == (NAME, "", vault)
    assert row.ciphertext is None
    read = AuditEntry.objects.filter(action="vault.secret_read")
    assert read.exists()
    assert server.password not in "".join(set_up.seen)
    assert server.password not in str(list(AuditEntry.objects.values_list("details", flat=True)))


def test_what_is_chosen_survives_verify_and_a_refused_save(set_up: SetUp, vault: KeyVault) -> None:
    choose(set_up)
    set_up.verify()
    # a page made from the draft has an empty field and says what is kept
    set_up.typed["password-name"] = ""
    set_up.trust()
    assert steps(set_up.page) == ["ok"] * 6, text_of(set_up.page)
    assert set_up.save().status_code == 422
    assert f"{NAME} of contoso-kv, always the latest version" in text_of(set_up.page)
    assert "Kept for this set-up until" in text_of(set_up.page)
    assert not errors(set_up)
    set_up.agree().save()
    assert Connection.objects.get().secrets.get().vault_secret is not None


def test_saving_asks_the_vault_nothing_more(set_up: SetUp, vault: KeyVault, double: Double) -> None:
    choose(set_up).verify()
    set_up.trust()
    double.cloud.seen.clear()
    set_up.agree().save()
    assert Connection.objects.exists()
    assert not double.cloud.requests(host=double.vault.host)


def test_another_target_asks_for_it_anew(set_up: SetUp, vault: KeyVault, server: Server) -> None:
    choose(set_up).verify()
    set_up.typed |= {"hostname": "another.example", "password-name": ""}
    assert set_up.verify().status_code == 422
    assert errors(set_up) == "The target has changed, so this has to be chosen again."


def test_what_is_typed_beside_it_does_not_count(set_up: SetUp, vault: KeyVault) -> None:
    choose(set_up)
    set_up.typed["password"] = "typed-and-not-meant" * 400
    set_up.verify()
    row = ConnectionSecret.objects.get(draft__isnull=False)
    assert row.vault_secret is not None
    assert row.ciphertext is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../secrets/other", "letters, digits and hyphens only"),
        ("a/b", "letters, digits and hyphens only"),
        ("sftp-password?api-version=1", "letters, digits and hyphens only"),
        ("%2e%2e", "letters, digits and hyphens only"),
        ("x" * 128, "127 at most"),
        ("", "Choose a secret"),
        ("no-such-secret", "not in the Key Vault"),
    ],
)
def test_a_name_that_cannot_be(set_up: SetUp, vault: KeyVault, double: Double, name: str, says: str) -> None:
    double.cloud.seen.clear()
    choose(set_up, name)
    assert set_up.verify().status_code == 422
    assert says in errors(set_up), text_of(set_up.page)
    assert value_of(set_up.page, "password-name") == name
    assert not VaultSecret.objects.exists()
    if name != "no-such-secret":
        assert not double.cloud.seen


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"enabled": False}, "disabled"),
        ({"expires": -10}, "has expired"),
        ({"not_before": 3600}, "not valid yet"),
        ({"tags": {"portal-target": "elsewhere.example"}}, "kept for another target"),
    ],
)
def test_a_secret_that_cannot_be_used_now(
    set_up: SetUp, vault: KeyVault, double: Double, state: dict[str, object], says: str
) -> None:
    double.vault.put("unusable", "value-of-no-use", **state)  # type: ignore[arg-type]
    choose(set_up, "unusable")
    assert set_up.verify().status_code == 422
    assert says in errors(set_up)
    assert not VaultSecret.objects.exists()


@pytest.mark.parametrize("scope", [("prefix", "portal-"), ("tag", "portal=yes")])
def test_what_the_link_does_not_allow_is_refused(
    set_up: SetUp, double: Double, linked_vault: LinkVault, server: Server, scope: tuple[str, str]
) -> None:
    double.vault.put("portal-password", server.password, tags={"portal": "yes"})
    double.vault.put(NAME, server.password)
    linked_vault(scope=scope[0], scope_value=scope[1])
    choose(set_up)
    assert set_up.verify().status_code == 422
    assert "not among those that may be used here" in errors(set_up)
    choose(set_up, "portal-password").verify()
    assert steps(set_up.page)[2] == "ask"


def test_a_fixed_version(set_up: SetUp, vault: KeyVault, double: Double, server: Server) -> None:
    first = double.vault.find(NAME)
    assert first is not None
    double.vault.put(NAME, "a-newer-and-wrong-one")
    choose(set_up, version=first.version).verify()
    set_up.trust()
    assert steps(set_up.page) == ["ok"] * 6
    set_up.agree().save()
    chosen = Connection.objects.get().secrets.get().vault_secret
    assert chosen is not None
    assert chosen.pinned == first.version


@pytest.mark.parametrize(
    ("version", "says"), [("latest", "32 letters and digits"), (ANOTHER, "not in the Key Vault")]
)
def test_a_version_that_cannot_be(set_up: SetUp, vault: KeyVault, version: str, says: str) -> None:
    choose(set_up, version=version)
    assert set_up.verify().status_code == 422
    assert says in errors(set_up, "password-version") or says in errors(set_up)


def test_a_vault_that_is_not_linked(set_up: SetUp, vault: KeyVault) -> None:
    choose(set_up, vault=str(ConnectionDraft().uuid))
    assert set_up.verify().status_code == 422
    assert ConnectionSecret.objects.filter(draft__isnull=False).count() == 0


def test_a_vault_out_of_reach_is_said_at_the_field(set_up: SetUp, vault: KeyVault, double: Double) -> None:
    double.troubles.gone.add(double.vault.host)
    double.server.cut_all()
    choose(set_up)
    assert set_up.verify().status_code == 422
    assert "could not be reached" in errors(set_up)
    assert value_of(set_up.page, "password-name") == NAME


def test_a_vault_that_does_not_list_takes_a_typed_name(
    set_up: SetUp, vault: KeyVault, double: Double
) -> None:
    double.vault.forbid("list")
    KeyVault.objects.update(can_list=False)
    choose(set_up).verify()
    set_up.trust()
    assert steps(set_up.page) == ["ok"] * 6, text_of(set_up.page)
    set_up.agree().save()
    assert Connection.objects.exists()


@pytest.mark.parametrize("secret", ["line one\nline two", "x" * 25_000])
def test_a_secret_that_is_no_password(set_up: SetUp, vault: KeyVault, double: Double, secret: str) -> None:
    double.vault.put("odd", secret)
    choose(set_up, "odd").verify()
    set_up.trust()
    assert steps(set_up.page)[3] == "bad"
    assert "cannot be used here" in text_of(set_up.page)
    assert "line two" not in set_up.page


@pytest.fixture
def key() -> str:
    """A protected key that the server does not know, with the passphrase *right one*."""
    made = asyncssh.generate_private_key("ssh-ed25519")
    return made.export_private_key("openssh", passphrase="right one").decode()


@pytest.mark.parametrize("from_vault", ["private_key", "passphrase", "both"])
def test_a_key_and_its_passphrase_come_from_wherever(
    set_up: SetUp, vault: KeyVault, double: Double, key: str, from_vault: str
) -> None:
    double.vault.put("the-key", key)
    double.vault.put("the-passphrase", "right one")
    set_up.typed.pop("password")
    set_up.typed |= {"auth_method": "key", "private_key": key, "passphrase": "right one"}
    if from_vault != "passphrase":
        choose(set_up, "the-key", field="private_key")
    if from_vault != "private_key":
        choose(set_up, "the-passphrase", field="passphrase")
    set_up.verify()
    set_up.trust()
    # the server does not know this key, which could be opened
    assert steps(set_up.page)[3] == "bad", text_of(set_up.page)
    assert "refused" in text_of(set_up.page)
    assert "BEGIN" not in set_up.page


def test_a_wrong_passphrase_for_a_key_of_the_vault_is_said(
    set_up: SetUp, vault: KeyVault, double: Double, key: str
) -> None:
    double.vault.put("the-key", key)
    set_up.typed.pop("password")
    set_up.typed |= {"auth_method": "key", "passphrase": "wrong one"}
    choose(set_up, "the-key", field="private_key").verify()
    set_up.trust()
    assert "does not open" in text_of(set_up.page)


def test_somebody_else_learns_no_name(
    client_of: Callable[[User | None], Client], contributor: User, vault: KeyVault
) -> None:
    client = client_of(contributor)
    assert client.get(f"/settings/key-vault/{vault.uuid}/secrets/").status_code == 403
    answer = client.post("/settings/connections/new/sftp/", {"action": "secrets:password"})
    assert answer.status_code == 403
    assert NAME not in html.unescape(answer.content.decode())
