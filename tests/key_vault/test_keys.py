"""SSH keys of a vault, with a passphrase and without, at a server that lets them in."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from connections.models import Connection, KeyVault
from connections_portal.models import User
from tests.connections.filling import ALL_OK, SetUp, steps, text_of
from tests.connectors.servers import Server, make_key
from tests.key_vault.double import Double, LinkVault

pytestmark = pytest.mark.django_db(transaction=True)
PASSPHRASE = "open sesame"


@pytest.fixture
def protected(openssh_server: Server, tmp_path: Path) -> str:
    """A key with a passphrase that the server knows."""
    text = make_key(tmp_path / "key", "-t", "ed25519", passphrase=PASSPHRASE)
    with (openssh_server.files.parent / "authorized_keys").open("a") as file:
        file.write((tmp_path / "key.pub").read_text())
    return text


@pytest.fixture
def vault(linked_vault: LinkVault) -> KeyVault:
    return linked_vault()


@pytest.fixture(params=[False, True], ids=["plain", "htmx"])
def page(
    request: pytest.FixtureRequest,
    admin: User,
    client_of: Callable[[User | None], Client],
    openssh_server: Server,
    allow_outgoing: Callable[[int], None],
    vault: KeyVault,
) -> SetUp:
    """The set-up page, filled in but for the key."""
    allow_outgoing(openssh_server.port)
    page = SetUp(client_of(admin), htmx=request.param).fill(
        openssh_server, auth_method="key", export_folder=f"vault-{request.param}"
    )
    page.typed.pop("password")
    return page


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("passphrase", ["none", "typed", "vault"])
def test_a_key_of_the_vault_signs_in(
    page: SetUp, double: Double, openssh_server: Server, protected: str, passphrase: str, ends: str
) -> None:
    key = openssh_server.private_key if passphrase == "none" else protected
    double.vault.put("the-key", key.replace("\n", ends))
    page.typed |= {"private_key-source": "vault", "private_key-name": "the-key"}
    if passphrase == "typed":
        page.typed["passphrase"] = PASSPHRASE
    elif passphrase == "vault":
        double.vault.put("the-passphrase", PASSPHRASE)
        page.typed |= {"passphrase-source": "vault", "passphrase-name": "the-passphrase"}
    page.verify()
    page.trust()
    assert steps(page.page) == ALL_OK, text_of(page.page)
    assert page.agree().save().status_code in (204, 303), text_of(page.page)
    rows = {row.field: row for row in Connection.objects.get().secrets.select_related("vault_secret")}
    assert set(rows) == {"private_key"} | ({"passphrase"} if passphrase != "none" else set())
    assert rows["private_key"].ciphertext is None
    if passphrase != "none":
        assert (rows["passphrase"].ciphertext is None) == (passphrase == "vault")
    seen = "".join(page.seen)
    assert "PRIVATE KEY" not in seen
    assert PASSPHRASE not in seen
