"""Clients of linked vaults: who signs in where, how often, and what is recorded before."""

import logging
import socket
import threading

import pytest

from connections import sealed, vault_clients
from connections.connectors.errors import NeedsAttention, TryLater
from connections.key_vault.identity import PrincipalIdentity
from connections.key_vault.verify import passed, verify
from connections.models import ConnectionSecret, KeyVault, VaultIdentity, VaultScope
from connections_portal import redaction
from connections_portal.models import AuditEntry
from connections_portal.sandbox.key_vault_cloud import TENANT


def used():
    """Audit rows of a vault's credential."""
    return [
        row for row in AuditEntry.objects.filter(action="secret.used") if row.details["purpose"] == "vault"
    ]


@pytest.fixture
def stored(double, linked_vault):
    """A vault linked with a service principal whose client secret is stored, as after a start of the process."""
    double.vault.put("crm", "s3cret-value")
    vault = linked_vault(principal=double.cloud.application())
    vault_clients.forget_all()
    double.cloud.seen.clear()
    return vault


def token_requests(double):
    return double.cloud.requests(path=f"/{TENANT}/oauth2")


def test_a_stored_credential_is_taken_out_once_and_recorded_before(double, stored):
    before = len(used())
    vault = vault_clients.client_of(stored, patient=False)
    assert len(used()) == before
    assert vault.read("crm")[0] == "s3cret-value"
    vault.read("crm")
    assert len(used()) == before + 1
    row = AuditEntry.objects.filter(action="secret.used").latest("pk")
    assert (row.actor_id, row.object_uuid) == (None, stored.uuid)
    assert row.details["fields"] == ["credential"]
    assert len(token_requests(double)) == 1


def test_one_client_per_vault_and_version_and_one_sign_in_for_both_kinds(double, stored):
    page, worker = (vault_clients.client_of(stored, patient=patient) for patient in (False, True))
    assert page is not worker
    assert page is vault_clients.client_of(KeyVault.objects.get(pk=stored.pk), patient=False)
    page.read("crm")
    worker.read("crm")
    assert len(token_requests(double)) == 1


def test_a_changed_link_begins_anew(double, stored):
    old = vault_clients.client_of(stored, patient=False)
    KeyVault.objects.filter(pk=stored.pk).update(version=stored.version + 1)
    with pytest.raises(TryLater):
        old.read("crm")
    stored.refresh_from_db()
    new = vault_clients.client_of(stored, patient=False)
    assert new is not old
    assert new.read("crm")[0] == "s3cret-value"


def test_forget_drops_client_and_token(double, stored):
    old = vault_clients.client_of(stored, patient=False)
    old.read("crm")
    vault_clients.forget(stored)
    new = vault_clients.client_of(stored, patient=False)
    assert new is not old
    new.read("crm")
    assert len(token_requests(double)) == 2


def test_an_unlinked_vault_signs_nobody_in(double, stored):
    client = vault_clients.client_of(stored, patient=False)
    ConnectionSecret.objects.filter(key_vault=stored).delete()
    KeyVault.objects.filter(pk=stored.pk).delete()
    with pytest.raises(NeedsAttention) as refused:
        client.read("crm")
    assert refused.value.code == "vault_unlinked"
    assert token_requests(double) == []


@pytest.mark.parametrize("column", ["host", "tenant_id", "client_id"])
def test_a_credential_is_for_the_very_link_it_was_typed_for(double, stored, column):
    other = {"host": "other-kv.vault.azure.net"}.get(column, "99999999-2222-3333-4444-555555555555")
    double.cloud.add_vault("other-kv")
    KeyVault.objects.filter(pk=stored.pk).update(**{column: other})
    changed = KeyVault.objects.get(pk=stored.pk)
    with pytest.raises(NeedsAttention) as refused:
        vault_clients.client_of(changed, patient=False).identity.get_token_info(
            "https://vault.azure.net/.default"
        )
    assert refused.value.code == "vault_credential_unusable"
    assert token_requests(double) == []


def test_a_credential_that_was_tampered_with(double, stored):
    ConnectionSecret.objects.filter(key_vault=stored).update(nonce=b"0" * 12)
    with pytest.raises(NeedsAttention) as refused:
        vault_clients.client_of(stored, patient=False).read("crm")
    assert refused.value.code == "vault_credential_unusable"


def test_a_credential_whose_key_is_not_here(stored, settings):
    settings.CONNECTION_SECRET_KEYS = {9: b"9" * 32}
    with pytest.raises(TryLater) as later:
        vault_clients.client_of(stored, patient=False).read("crm")
    assert later.value.code == "vault_key_unknown"


def test_no_record_no_credential(double, stored, monkeypatch):
    def broken(*args, **more):
        raise RuntimeError("the audit is away")

    monkeypatch.setattr("connections_portal.audit.record", broken)
    unsealed: list[object] = []
    monkeypatch.setattr(sealed, "unseal", unsealed.append)
    with pytest.raises(RuntimeError, match="the audit is away"):
        vault_clients.client_of(stored, patient=False).read("crm")
    assert unsealed == []
    assert token_requests(double) == []


def test_the_credential_is_masked_while_it_is_out(double, stored, monkeypatch):
    seen = []
    secret = next(
        app.secret for app in double.cloud.applications.values() if app.client_id == stored.client_id
    )
    principal = vault_clients._principal

    def looked_at(*given):
        seen.append(redaction.redact(f"it is {secret}"))
        return principal(*given)

    monkeypatch.setattr(vault_clients, "_principal", looked_at)
    vault_clients.client_of(stored, patient=False).read("crm")
    assert seen == ["it is ***"]
    assert redaction.redact(secret) == secret


def test_only_so_many_clients_are_kept(stored, monkeypatch):
    monkeypatch.setattr(vault_clients, "MAX_CLIENTS", 3)
    first = vault_clients.client_of(stored, patient=False)
    for version in range(2, 8):
        stored.version = version
        vault_clients.client_of(stored, patient=False)
    assert len(vault_clients._clients) == len(vault_clients._identities) == 3
    stored.version = 1
    assert vault_clients.client_of(stored, patient=False) is not first


@pytest.fixture
def of_portal(double, linked_vault):
    """A vault linked with the portal's own identity."""
    double.vault.put("crm", "s3cret-value")
    vault = linked_vault()
    vault_clients.forget_all()
    double.cloud.seen.clear()
    return vault


def test_the_portal_signs_in_at_a_vault_that_the_operator_lists(double, of_portal, settings):
    assert vault_clients.client_of(of_portal, patient=False).read("crm")[0] == "s3cret-value"
    assert double.cloud.requests(host="management.azure.com") == []


def test_or_at_one_that_its_directory_shows(double, of_portal, settings):
    settings.KEY_VAULT_HOSTS = []
    assert vault_clients.client_of(of_portal, patient=False).read("crm")[0] == "s3cret-value"


def test_and_at_no_other(double, of_portal, settings):
    settings.KEY_VAULT_HOSTS = ["another-kv.vault.azure.net"]
    double.vault.listed = False
    for call in (
        lambda: vault_clients.client_of(of_portal, patient=False),
        lambda: vault_clients.trial(of_portal.host, VaultIdentity.PORTAL, "", "", ""),
    ):
        with pytest.raises(NeedsAttention) as refused:
            call()
        assert refused.value.code == "vault_identity_not_for_host"
    assert double.cloud.requests(host=double.vault.host) == []


def test_a_portal_without_identity_says_so(double, of_portal, settings, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "")
    with pytest.raises(NeedsAttention) as missing:
        vault_clients.client_of(of_portal, patient=False).read("crm")
    assert missing.value.code == "vault_identity_missing"
    settings.KEY_VAULT_HOSTS = []
    vault_clients.forget_all()
    with pytest.raises(NeedsAttention) as missing:
        vault_clients.client_of(of_portal, patient=False)
    assert missing.value.code == "vault_identity_missing"


def test_the_portal_s_token_is_replaced_when_it_is_worth_nothing(double, of_portal):
    vault = vault_clients.client_of(of_portal, patient=False)
    vault.read("crm")
    double.cloud.end_tokens()
    assert vault.read("crm")[0] == "s3cret-value"


def test_the_directory_is_asked_once_a_minute_however_many_want_to_know(double, monkeypatch):
    found = []
    threads = [threading.Thread(target=lambda: found.append(vault_clients.directory())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[vault.host for vault in vaults] for vaults in found] == [[double.vault.host]] * 5
    assert len([seen for seen in double.cloud.requests(host="management.azure.com") if seen.bearer]) == 1
    double.cloud.add_vault("new-kv")
    assert len(vault_clients.directory()) == 1
    vault_clients.forget_all()
    monkeypatch.setattr(vault_clients, "DIRECTORY_SECONDS", 0)
    assert len(vault_clients.directory()) == 2
    double.cloud.add_vault("newer-kv")
    assert len(vault_clients.directory()) == 3


def test_a_directory_that_fails_is_not_asked_again_by_everybody_who_waited(double, monkeypatch):
    double.troubles.gone.add("management.azure.com")
    for _number in range(3):
        with pytest.raises(TryLater):
            vault_clients.directory()
    assert len(double.cloud.requests(host="management.azure.com")) == 1
    double.troubles.gone.clear()
    monkeypatch.setattr(vault_clients, "FAILURE_SECONDS", 0)
    vault_clients.forget_all()
    assert vault_clients.directory()


def test_what_is_typed_can_be_tried_before_it_is_stored(double):
    double.vault.put("crm", "s3cret-value")
    app = double.cloud.application()
    client = vault_clients.trial(
        double.vault.host, VaultIdentity.PRINCIPAL_SECRET, TENANT, app.client_id, app.secret
    )
    told: list[str] = []
    assert passed(verify(client, client.identity, scope=VaultScope.ALL, scope_value="", reading=told.append))
    assert told == ["crm"]
    assert app.secret not in repr(client) + repr(client.identity)


def test_a_certificate_can_be_tried(double, certificate):
    double.vault.put("crm", "s3cret-value")
    app = double.cloud.application(secret="", certificate=certificate[0])
    client = vault_clients.trial(
        double.vault.host, VaultIdentity.PRINCIPAL_CERTIFICATE, TENANT, app.client_id, certificate[1]
    )
    assert client.read("crm")[0] == "s3cret-value"


def test_no_socket_leads_anywhere_but_to_the_proxy(double, of_portal, monkeypatch):
    reached = []
    connect = socket.socket.connect

    def noting(self, address):
        reached.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noting)
    vault = vault_clients.client_of(of_portal, patient=True)
    vault.names()
    vault.read("crm")
    vault.tenant()
    vault_clients.directory()
    assert reached
    assert {address[1] for address in reached} == {double.server.port}
    assert {address[0] for address in reached} == {"127.0.0.1"}


@pytest.fixture
def everything_logged(caplog):
    """Every logger of the libraries down to DEBUG, whatever the settings say."""
    names = ["azure", "azure.identity", "msal", "urllib3", "requests"]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    yield caplog
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_even_a_log_of_everything_holds_no_value_credential_or_token(double, stored, everything_logged):
    vault = vault_clients.client_of(stored, patient=False)
    vault.read("crm")
    vault.names()
    app = next(app for app in double.cloud.applications.values() if app.client_id == stored.client_id)
    assert isinstance(vault.identity, PrincipalIdentity)
    (token,) = [kept.token for kept in vault.identity._tokens.values()]
    text = everything_logged.text
    assert "Request URL" in text
    for hidden in ("s3cret-value", app.secret, token):
        assert hidden not in text


def test_the_settings_let_the_libraries_say_warnings_only(double, stored, caplog):
    caplog.set_level(logging.DEBUG)  # of the root alone
    vault_clients.client_of(stored, patient=False).read("crm")
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert not names & {"azure", "msal", "urllib3"}
