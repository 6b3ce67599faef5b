"""*Needs attention* because of a Key Vault: it goes with its cause, and not before, however that comes about."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from connections import connectors, consent
from connections.key_vault.errors import problem
from connections.models import Access, Connection, KeyVault, State, VaultSecret, VaultSecretState, VaultState
from connections.operations.attention import settle_vault_connections
from connections.operations.create import create_connection
from connections.operations.drafts import verified_digest
from connections.operations.replace_vault import plan_replacement, replace_vault
from connections.operations.unlink_vault import unlink_vault
from connections.operations.vault_health import record_secret_state, record_vault_state
from connections.operations.vault_references import impact_of, references
from connections_portal.models import AuditEntry, User
from tests.connections.filling import Edit, steps, text_of
from tests.connectors.servers import Server
from tests.factories import make_draft
from tests.key_vault import linking
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from
from tests.runs.helpers import Delivery, carry, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
FIREWALL: dict[str, Any] = {
    "code": "vault_firewall",
    "cause": "The Key Vault's firewall does not let the portal in.",
}


def state_of(connection: Connection) -> tuple[str, str]:
    connection.refresh_from_db()
    return connection.state, connection.state_code


def test_a_run_that_had_read_its_secret_before_says_nothing_of_the_vault_now(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, delivery.server.password)
    vault = linked_vault()
    secret = read_from(delivery.connection, vault)
    export = delivery.export()
    assert carry(start(export)) == "successful"
    record_vault_state(vault.pk, VaultState.FORBIDDEN, **FIREWALL)
    assert state_of(delivery.connection) == (State.NEEDS_ATTENTION, "vault_firewall")
    # with what is in memory
    assert carry(start(export)) == "successful"
    assert state_of(delivery.connection) == (State.NEEDS_ATTENTION, "vault_firewall")
    record_vault_state(vault.pk, VaultState.WORKING)
    assert state_of(delivery.connection) == (State.READY, "")
    # and what a run found wrong before is not what keeps it from being well
    record_secret_state(secret.pk, VaultSecretState.DISABLED)
    Connection.objects.update(state_code="sign_in_refused", state_cause="Refused.")
    assert carry(start(export)) == "successful"
    assert state_of(delivery.connection) == (State.NEEDS_ATTENTION, "vault_secret_disabled")


@pytest.fixture
def two_vaults(double: Double, linked_vault: LinkVault) -> tuple[KeyVault, KeyVault]:
    """Both have the secret; a connection of the test reads it from the first one."""
    other = double.cloud.add_vault("fabrikam-kv")
    for vault in (double.vault, other):
        vault.put("portal-sftp", "value")
    return linked_vault(), linked_vault(host=other.host)


def replaced(vault: KeyVault, other: KeyVault, admin: User) -> None:
    replace_vault(vault=vault, other=other, impact=plan_replacement(vault, other).impact, actor=admin)


def unlinked(vault: KeyVault, other: KeyVault, admin: User) -> None:
    found = references(vault)
    choices = {one.connection.uuid: other.uuid for one in found}
    unlink_vault(vault=vault, impact=impact_of(vault, found), choices=choices, actor=admin)


@pytest.mark.parametrize("move", [replaced, unlinked])
def test_what_was_wrong_with_one_vault_is_over_with_another(
    two_vaults: tuple[KeyVault, KeyVault],
    admin: User,
    move: Callable[[KeyVault, KeyVault, User], None],
) -> None:
    vault, other = two_vaults
    connection = linking.read_from(vault, actor=admin)
    record_vault_state(vault.pk, VaultState.FORBIDDEN, **FIREWALL)
    assert state_of(connection) == (State.NEEDS_ATTENTION, "vault_firewall")
    # what is remembered of the other vault's secret from another time
    old = VaultSecret.objects.create(vault=other, name="portal-sftp", state=VaultSecretState.MISSING)
    move(vault, other, admin)
    assert state_of(connection) == (State.READY, "")
    old.refresh_from_db()
    assert old.state == VaultSecretState.USABLE
    assert AuditEntry.objects.filter(action="connection.well_again").count() == 1


def test_another_reason_stays_when_the_vault_is_another_one(
    two_vaults: tuple[KeyVault, KeyVault], admin: User
) -> None:
    vault, other = two_vaults
    connection = linking.read_from(vault, actor=admin)
    Connection.objects.update(state=State.NEEDS_ATTENTION, state_code="sign_in_refused", state_cause="No.")
    replaced(vault, other, admin)
    assert state_of(connection) == (State.NEEDS_ATTENTION, "sign_in_refused")


def test_back_to_a_typed_one_while_the_vault_gets_into_trouble(
    edit: Edit, connection: Connection, double: Double, linked_vault: LinkVault, server: Server
) -> None:
    """Found between *Verify* and *Save*: the connection does not read from the vault any more."""
    double.vault.put(NAME, server.password)
    vault = linked_vault()
    read_from(connection, vault)
    VaultSecret.objects.update(checked_at=timezone.now())
    again = Edit(edit.client, Connection.objects.get(), htmx=edit.htmx)
    again.typed["password"] = server.password
    again.verify()
    assert steps(again.page) == ["ok"] * 6, text_of(again.page)
    record_vault_state(vault.pk, VaultState.FORBIDDEN, **FIREWALL)
    assert state_of(connection) == (State.NEEDS_ATTENTION, "vault_firewall")
    assert again.save().status_code in (204, 303), text_of(again.page)
    assert connection.secrets.get().vault_secret is None
    assert state_of(connection) == (State.READY, "")


def test_to_a_vault_that_gets_into_trouble_before_it_is_saved(
    edit: Edit, connection: Connection, double: Double, linked_vault: LinkVault, server: Server
) -> None:
    double.vault.put(NAME, server.password)
    vault = linked_vault()
    edit.typed |= {"password-source": "vault", "password-name": NAME}
    edit.verify()
    assert steps(edit.page) == ["ok"] * 6, text_of(edit.page)
    record_vault_state(vault.pk, VaultState.FORBIDDEN, **FIREWALL)
    edit.typed["password-name"] = ""
    assert edit.save().status_code in (204, 303), text_of(edit.page)
    assert state_of(connection) == (State.NEEDS_ATTENTION, "vault_firewall")


def test_a_new_one_whose_vault_got_into_trouble_before_it_is_saved(
    admin: User, double: Double, linked_vault: LinkVault
) -> None:
    double.vault.put(NAME, "value")
    vault, draft = linked_vault(), make_draft(actor=admin)
    read_from(draft, vault)
    draft.verified_digest = verified_digest(draft)
    draft.save()
    record_vault_state(vault.pk, VaultState.FORBIDDEN, **FIREWALL)
    connector = connectors.get(draft.type_key)
    assert connector is not None
    shown = consent.wording(connector, connector.consent_target(draft.settings))
    saved = create_connection(
        draft=draft,
        name="New",
        access=Access.ADMINISTRATORS,
        agreed=True,
        wording_hash=shown.hash,
        actor=admin,
    )
    assert (saved.state, saved.state_code) == (State.NEEDS_ATTENTION, "vault_firewall")
    record_vault_state(vault.pk, VaultState.WORKING)
    assert state_of(saved) == (State.READY, "")


def test_a_doubt_beside_what_is_known_does_not_mix_the_two(
    two_vaults: tuple[KeyVault, KeyVault], admin: User
) -> None:
    """What to do about one cause would be said of the other."""
    vault, _other = two_vaults
    connection = linking.read_from(vault, actor=admin)
    refused = problem("vault_sign_in_refused")
    record_vault_state(vault.pk, VaultState.SIGN_IN_REFUSED, code=refused.code, cause=refused.cause)
    record_vault_state(vault.pk, VaultState.UNREACHABLE, code="vault_unreachable", cause="Out of reach.")
    settle_vault_connections(vault_id=vault.pk)
    assert state_of(connection) == (State.NEEDS_ATTENTION, "vault_sign_in_refused")
    assert connection.state_cause == refused.cause
