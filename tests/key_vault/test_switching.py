"""From a stored secret to one of a Key Vault and back, without a new connection."""

import pytest

from connections.models import Connection, ConnectionSecret, Consent, KeyVault
from connections_portal.models import AuditEntry
from tests.connections.filling import Edit, error_at, steps, text_of
from tests.connectors.servers import Server
from tests.key_vault.double import Double, LinkVault

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "sftp-password"


@pytest.fixture
def vault(double: Double, linked_vault: LinkVault, server: Server) -> KeyVault:
    """A linked vault with the server's password under two names."""
    double.vault.put(NAME, server.password)
    double.vault.put("sftp-spare", server.password)
    return linked_vault()


def row(connection: Connection) -> ConnectionSecret:
    return connection.secrets.select_related("vault_secret").get(field="password")


def to_vault(edit: Edit, name: str = NAME) -> None:
    """Switch to the vault and save."""
    edit.typed |= {"password-source": "vault", "password-name": name}
    edit.verify()
    assert steps(edit.page) == ["ok"] * 6, text_of(edit.page)
    edit.typed["password-name"] = ""
    assert edit.save().status_code in (204, 303), text_of(edit.page)


def test_stored_to_vault_erases_the_value_at_save_and_keeps_the_agreement(
    edit: Edit, connection: Connection, vault: KeyVault
) -> None:
    stored, consent = row(connection), connection.consent
    edit.typed |= {"password-source": "vault", "password-name": NAME}
    edit.verify()
    assert row(connection) == stored, "the connection stays as it is until Save"
    assert bytes(row(connection).ciphertext or b"") == bytes(stored.ciphertext or b"")
    edit.typed["password-name"] = ""
    edit.save()
    connection.refresh_from_db()
    assert not ConnectionSecret.objects.filter(pk=stored.pk).exists()
    now = row(connection)
    assert now.ciphertext is None
    assert now.vault_secret is not None
    assert now.vault_secret.name == NAME
    assert connection.consent == consent
    assert Consent.objects.filter(connection_uuid=connection.uuid).count() == 1
    assert connection.epoch == 1
    assert AuditEntry.objects.get(action="connection.edited").details["changed"] == ["password"]


def test_a_switch_is_not_saved_before_it_is_verified(
    edit: Edit, connection: Connection, vault: KeyVault
) -> None:
    edit.typed |= {"password-source": "vault", "password-name": NAME}
    assert edit.save().status_code == 422
    assert row(connection).vault_secret is None
    assert "Verify the connection first" in text_of(edit.page)


def test_back_to_a_typed_one(edit: Edit, connection: Connection, vault: KeyVault, server: Server) -> None:
    to_vault(edit)
    edit.get(edit.url.partition("?")[0])
    edit.url = edit.url.partition("?")[0]
    edit.typed.pop("draft", None)
    edit.typed.pop("password-source")
    edit.typed["password"] = ""
    assert edit.save().status_code == 422
    assert error_at(edit.page, "password") == "Type it, or leave Use Key Vault on."
    edit.typed["password"] = server.password
    edit.verify()
    assert steps(edit.page) == ["ok"] * 6, text_of(edit.page)
    edit.save()
    assert row(connection).vault_secret is None
    assert row(connection).ciphertext
    assert connection.secrets.count() == 1


def test_the_form_says_what_is_used_and_empty_keeps_it(
    edit: Edit, connection: Connection, vault: KeyVault, double: Double
) -> None:
    to_vault(edit)
    before = row(connection)
    again = Edit(edit.client, Connection.objects.get(), htmx=edit.htmx)
    assert f"Used now: {NAME} of contoso-kv, always the latest version" in text_of(again.page)
    double.cloud.seen.clear()
    again.typed |= {"password-source": "vault", "password-name": "", "name": "Another name"}
    assert again.save().status_code in (204, 303), text_of(again.page)
    connection.refresh_from_db()
    assert connection.name == "Another name"
    assert row(connection) == before
    assert not double.cloud.seen


def test_another_secret_of_the_vault_replaces_the_one_that_is_used(
    edit: Edit, connection: Connection, vault: KeyVault
) -> None:
    to_vault(edit)
    again = Edit(edit.client, Connection.objects.get(), htmx=edit.htmx)
    to_vault(again, "sftp-spare")
    chosen = row(connection).vault_secret
    assert chosen is not None
    assert chosen.name == "sftp-spare"
    assert connection.secrets.count() == 1


def test_another_version_of_the_same_secret(
    edit: Edit, connection: Connection, vault: KeyVault, double: Double
) -> None:
    to_vault(edit)
    version = double.vault.find(NAME).version  # type: ignore[union-attr]
    again = Edit(edit.client, Connection.objects.get(), htmx=edit.htmx)
    again.typed |= {"password-source": "vault", "password-name": "", "password-version": version}
    again.verify()
    again.typed.pop("password-version")
    assert again.save().status_code in (204, 303), text_of(again.page)
    chosen = row(connection).vault_secret
    assert chosen is not None
    assert (chosen.name, chosen.pinned) == (NAME, version)


def test_another_target_asks_for_the_reference_anew(
    edit: Edit, connection: Connection, vault: KeyVault
) -> None:
    to_vault(edit)
    again = Edit(edit.client, Connection.objects.get(), htmx=edit.htmx)
    again.typed |= {"password-source": "vault", "password-name": "", "hostname": "another.example"}
    assert again.verify().status_code == 422
    assert error_at(again.page, "password-name") == "The target has changed, so this has to be chosen again."


def test_a_switch_back_in_the_draft_leaves_the_stored_one(
    edit: Edit, connection: Connection, vault: KeyVault
) -> None:
    stored = row(connection)
    edit.typed |= {"password-source": "vault", "password-name": NAME}
    edit.verify()
    edit.typed.pop("password-source")
    edit.typed["password"] = ""
    assert edit.save().status_code in (204, 303), text_of(edit.page)
    assert row(connection) == stored


def test_a_verification_is_bound_to_the_reference(
    edit: Edit, connection: Connection, vault: KeyVault
) -> None:
    edit.typed |= {"password-source": "vault", "password-name": NAME}
    edit.verify()
    edit.typed["password-name"] = "sftp-spare"
    assert edit.save().status_code == 422
    assert row(connection).vault_secret is None
    # behind the portal's back
    edit.typed["password-name"] = "sftp-spare"
    edit.verify()
    kept = ConnectionSecret.objects.get(draft__isnull=False)
    assert kept.vault_secret is not None
    other = type(kept.vault_secret).objects.create(vault=vault, name="planted")
    ConnectionSecret.objects.filter(pk=kept.pk).update(vault_secret=other)
    edit.typed["password-name"] = ""
    assert edit.save().status_code == 422
    assert row(connection).vault_secret is None
