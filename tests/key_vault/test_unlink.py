"""*Unlink* a vault: a choice per connection, all or nothing, and what goes with the link."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections import secret_store, vault_access, vault_clients
from connections.key_vault import transport
from connections.models import Connection, ConnectionSecret, Consent, KeyVault, State, VaultName, VaultSecret
from connections.operations.unlink_vault import unlink_vault
from connections.operations.vault_references import impact_of, references
from connections_portal.errors import FinishingRun, OperationError, Stale
from connections_portal.models import AuditEntry, RunState, User
from exports.models import Export, ExportRun, ExportSchedule
from tests.connections.filling import text_of
from tests.factories import make_draft
from tests.key_vault.double import Double
from tests.key_vault.linking import HTMX, read_from, shown
from tests.runs.helpers import DAILY, make_export, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
Clients = Callable[[User | None], Client]
Linked = Callable[..., KeyVault]
LIST = "/settings/key-vault/"


@pytest.fixture
def vault(double: Double, linked_vault: Linked) -> KeyVault:
    """The one that is to be unlinked."""
    double.cloud.add_vault("fabrikam-kv")
    double.vault.put("portal-sftp", "value-one")
    return linked_vault()


@pytest.fixture
def other(vault: KeyVault, double: Double, linked_vault: Linked) -> KeyVault:
    """Another linked vault, with a secret of the same name."""
    made = double.cloud.vaults["fabrikam-kv.vault.azure.net"]
    made.put("portal-sftp", "value-two")
    return linked_vault(host=made.host)


def token(vault: KeyVault) -> str:
    return impact_of(vault, references(vault))


def test_one_that_nothing_uses(vault: KeyVault, admin: User) -> None:
    VaultName.objects.create(vault=vault, name="portal-sftp", seen="x")
    done = unlink_vault(vault=vault, impact=token(vault), choices={}, actor=admin)
    assert (done.moved, done.paused) == (0, 0)
    assert not KeyVault.objects.exists()
    assert not VaultName.objects.exists()
    newest = Consent.objects.first()
    assert newest is not None
    assert (newest.action, newest.type_key, newest.target_label) == (
        "withdrawn", "azure_key_vault", "contoso-kv.vault.azure.net",
    )  # fmt: skip
    entry = AuditEntry.objects.get(action="vault.unlinked")
    assert (entry.object_label, entry.actor_id) == ("contoso-kv", admin.pk)


def test_a_stored_credential_goes_with_the_link(double: Double, admin: User, linked_vault: Linked) -> None:
    vault = linked_vault(principal=double.cloud.application())
    assert ConnectionSecret.objects.count() == 1
    unlink_vault(vault=vault, impact=token(vault), choices={}, actor=admin)
    assert not ConnectionSecret.objects.exists()


def test_pausing_takes_the_reference_away_and_keeps_what_is_built_on_it(
    vault: KeyVault, admin: User, customer_data: object
) -> None:
    connection = read_from(vault, actor=admin)
    export = make_export(connection, actor=admin, schedule=DAILY)
    run = start(export)
    done = unlink_vault(vault=vault, impact=token(vault), choices={connection.uuid: None}, actor=admin)
    assert (done.moved, done.paused) == (0, 1)
    connection.refresh_from_db()
    assert (connection.state, connection.epoch, connection.state_code) == (State.PAUSED, 2, "vault_unlinked")
    assert connection.consent is not None
    assert not connection.secrets.filter(field="password").exists()
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert Export.objects.get().connection == connection
    assert ExportSchedule.objects.get().next_at is None
    assert not VaultSecret.objects.exists()
    entry = AuditEntry.objects.get(action="connection.paused")
    assert (entry.object_uuid, entry.details["code"]) == (connection.uuid, "vault_unlinked")


def test_moving_reads_the_same_name_elsewhere_in_its_latest_version(
    vault: KeyVault, other: KeyVault, double: Double, admin: User
) -> None:
    pinned = double.vault.find("portal-sftp")
    assert pinned is not None
    connection = read_from(vault, actor=admin, pinned=pinned.version)
    unlink_vault(vault=vault, impact=token(vault), choices={connection.uuid: other.uuid}, actor=admin)
    secret = connection.secrets.select_related("vault_secret__vault").get(field="password")
    assert secret.vault_secret is not None
    assert (secret.vault_secret.vault, secret.vault_secret.pinned, secret.revision) == (other, "", 2)
    connection.refresh_from_db()
    assert (connection.state, connection.epoch, connection.version) == (State.READY, 1, 2)
    with secret_store.resolve(connection, purpose="run", actor=admin) as values:
        assert values["password"] == "value-two"
    entry = AuditEntry.objects.get(action="vault.replaced")
    assert (entry.object_uuid, entry.details["vault"], entry.details["vault_before"]) == (
        connection.uuid, other.host, vault.host,
    )  # fmt: skip
    assert entry.details["versions_let_go"] == ["portal-sftp"]


def test_nothing_happens_unless_every_choice_can_be_carried_out(
    vault: KeyVault, other: KeyVault, double: Double, admin: User
) -> None:
    double.vault.put("crm-password", "value")
    has = read_from(vault, actor=admin, name="There as well")
    lacks = read_from(vault, actor=admin, name="Only here", secret="crm-password")
    choices = {has.uuid: other.uuid, lacks.uuid: other.uuid}
    with pytest.raises(OperationError) as refused:
        unlink_vault(vault=vault, impact=token(vault), choices=choices, actor=admin)
    assert refused.value.fields == {f"choice-{lacks.uuid}": "crm-password in fabrikam-kv: Missing there."}
    assert KeyVault.objects.count() == 2
    assert ConnectionSecret.objects.filter(vault_secret__vault=vault).count() == 2
    assert not AuditEntry.objects.filter(action__in=["vault.unlinked", "vault.replaced"]).exists()


@pytest.mark.parametrize("trouble", ["disabled", "expired", "other target", "not allowed", "gone"])
def test_a_secret_that_could_not_be_used_there_is_no_choice(
    vault: KeyVault, other: KeyVault, double: Double, admin: User, trouble: str
) -> None:
    connection = read_from(vault, actor=admin)
    there = double.cloud.vaults[other.host]
    match trouble:
        case "disabled":
            there.change("portal-sftp", enabled=False)
        case "expired":
            there.change("portal-sftp", expires=-60)
        case "other target":
            there.change("portal-sftp", tags={"portal-target": "elsewhere.example.com"})
        case "not allowed":
            KeyVault.objects.filter(pk=other.pk).update(scope="prefix", scope_value="crm-")
        case "gone":
            double.troubles.gone.add(other.host)
    with pytest.raises(OperationError) as refused:
        unlink_vault(vault=vault, impact=token(vault), choices={connection.uuid: other.uuid}, actor=admin)
    assert f"choice-{connection.uuid}" in refused.value.fields
    assert KeyVault.objects.count() == 2


def test_secrets_that_there_is_no_time_to_look_at_go_step_by_step(
    vault: KeyVault, other: KeyVault, admin: User
) -> None:
    connection = read_from(vault, actor=admin)
    with transport.within(0.0), pytest.raises(OperationError, match="Replace the vault by another one first"):
        unlink_vault(vault=vault, impact=token(vault), choices={connection.uuid: other.uuid}, actor=admin)
    assert KeyVault.objects.count() == 2


def test_every_connection_needs_a_choice(vault: KeyVault, admin: User) -> None:
    read_from(vault, actor=admin)
    with pytest.raises(OperationError, match="Choose for each connection"):
        unlink_vault(vault=vault, impact=token(vault), choices={}, actor=admin)
    assert KeyVault.objects.exists()


def test_what_was_shown_must_still_be_so(vault: KeyVault, admin: User) -> None:
    first = read_from(vault, actor=admin)
    old = token(vault)
    second = read_from(vault, actor=admin, name="Came meanwhile")
    choices = {first.uuid: None, second.uuid: None}
    with pytest.raises(Stale):
        unlink_vault(vault=vault, impact=old, choices=choices, actor=admin)
    current = token(vault)
    Connection.objects.filter(pk=first.pk).update(version=9)
    with pytest.raises(Stale):
        unlink_vault(vault=vault, impact=current, choices=choices, actor=admin)
    assert Connection.objects.filter(state=State.PAUSED).count() == 0


def test_a_run_that_is_publishing_is_waited_for(vault: KeyVault, admin: User, customer_data: object) -> None:
    connection = read_from(vault, actor=admin)
    run = start(make_export(connection, actor=admin))
    ExportRun.objects.filter(pk=run.pk).update(
        state=RunState.PUBLISHING, lease_token=connection.uuid, lease_until=timezone.now()
    )
    with pytest.raises(FinishingRun):
        unlink_vault(vault=vault, impact=token(vault), choices={connection.uuid: None}, actor=admin)
    connection.refresh_from_db()
    assert (connection.state, KeyVault.objects.count()) == (State.READY, 1)


def test_references_of_set_ups_under_way_simply_go(vault: KeyVault, admin: User) -> None:
    draft = make_draft(actor=admin)
    facts = vault_clients.client_of(vault, patient=False).facts("portal-sftp")
    referred = vault_access.reference(vault=vault, name="portal-sftp", facts=facts)
    ConnectionSecret.objects.filter(draft=draft).update(
        vault_secret=referred, nonce=None, ciphertext=None, key_version=None
    )
    unlink_vault(vault=vault, impact=token(vault), choices={}, actor=admin)
    assert not draft.secrets.exists()
    draft.refresh_from_db()


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_the_dialog(
    vault: KeyVault, other: KeyVault, double: Double, admin: User, client_of: Clients, htmx: bool
) -> None:
    double.vault.put("crm-password", "value")
    stays = read_from(vault, actor=admin, name="There as well")
    lacks = read_from(vault, actor=admin, name="Only here", secret="crm-password")
    client = client_of(admin)
    url = reverse("key_vault:unlink", args=[vault.uuid])
    headers = {**HTMX, "HX-Target": "dialog-body"} if htmx else {}
    first = text_of(client.get(url, headers=headers).content.decode())
    assert "2 connections read their secrets from it" in first
    assert "See what's using this vault" in first
    dialog = client.get(f"{url}?see=1", headers=headers).content.decode()
    move = f"move:{other.uuid}"
    data = shown(dialog, "impact") | {f"choice-{c.uuid}": move for c in (stays, lacks)}
    preview = text_of(client.post(url, data | {"action": "preview"}, headers=headers).content.decode())
    assert "2 connections read their secrets from fabrikam-kv, always in the latest version." in preview
    answer = client.post(url, data | {"action": "unlink"}, headers=headers)
    assert answer.status_code == 422
    body = answer.content.decode()
    assert "crm-password in fabrikam-kv: Missing there." in text_of(body)
    assert body.count(f'<option value="{move}" selected>') == 2
    data |= {f"choice-{lacks.uuid}": "pause"}
    assert "Move 1, pause 1, unlink" in text_of(
        client.post(url, data | {"action": "preview"}, headers=headers).content.decode()
    )
    answer = client.post(url, data | {"action": "unlink"}, headers=headers)
    assert answer.status_code == (204 if htmx else 303)
    assert answer["HX-Redirect" if htmx else "Location"] == LIST
    assert "contoso-kv is unlinked." in text_of(client.get(LIST).content.decode())
    again = client.post(url, data | {"action": "unlink"}, headers=headers)
    assert again.status_code == (204 if htmx else 303)
    page = text_of(client.get(reverse("connections:detail", args=[lacks.uuid])).content.decode())
    assert "The Key Vault that its secrets were in was unlinked." in page


def test_a_stale_dialog_keeps_the_choices(
    vault: KeyVault, other: KeyVault, admin: User, client_of: Clients
) -> None:
    connection = read_from(vault, actor=admin)
    client = client_of(admin)
    url = reverse("key_vault:unlink", args=[vault.uuid])
    dialog = client.get(f"{url}?see=1").content.decode()
    read_from(vault, actor=admin, name="Came meanwhile")
    data = shown(dialog, "impact") | {f"choice-{connection.uuid}": f"move:{other.uuid}"}
    answer = client.post(url, data | {"action": "unlink"})
    assert answer.status_code == 409
    body = answer.content.decode()
    assert f'<option value="move:{other.uuid}" selected>' in body
    assert "New" in text_of(body)


def test_applying_to_all_and_a_choice_that_is_not_offered(
    vault: KeyVault, other: KeyVault, admin: User, client_of: Clients
) -> None:
    for number in range(2):
        read_from(vault, actor=admin, name=f"Connection {number}")
    client = client_of(admin)
    url = reverse("key_vault:unlink", args=[vault.uuid])
    move = f"move:{other.uuid}"
    body = client.post(url, {"action": "apply", "apply": move}).content.decode()
    assert body.count(f'<option value="{move}" selected>') == 2
    data = shown(body, "impact") | {f"choice-{c.uuid}": "move:nowhere" for c in Connection.objects.all()}
    answer = client.post(url, data | {"action": "unlink"})
    assert answer.status_code == 422
    assert "not offered any more" in answer.content.decode()


def test_what_a_list_of_names_says_against_a_vault_is_not_offered(
    vault: KeyVault, other: KeyVault, admin: User, client_of: Clients
) -> None:
    connection = read_from(vault, actor=admin)
    KeyVault.objects.filter(pk=other.pk).update(names_at=timezone.now())
    body = client_of(admin).get(f"{reverse('key_vault:unlink', args=[vault.uuid])}?see=1").content.decode()
    select = body.partition(f'name="choice-{connection.uuid}"')[2].partition("</select>")[0]
    assert "fabrikam-kv" not in select
    assert "fabrikam-kv has no secret portal-sftp." in text_of(body)
