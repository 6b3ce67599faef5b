"""Readings of a vault's secrets while somebody else changes what they are read from."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import transaction

from connections import secret_store
from connections.connectors.errors import NeedsAttention
from connections.models import ConnectionSecret, KeyVault, VaultSecret
from connections.operations.vault_references import lock_with, references
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, told
from tests.runs.helpers import PATIENCE, Delivery, in_a_session, somebody_waits, until

pytestmark = pytest.mark.both_databases


def test_a_vault_that_is_unlinked_while_its_secret_is_read_stops_nobody(
    delivery: Delivery, double: Double, linked_vault: LinkVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock the vault before its secrets, or not at all: neither waits for what the other one holds."""
    from connections.key_vault.client import AzureVault

    double.vault.put(NAME, delivery.server.password)
    vault = linked_vault()
    read_from(delivery.connection, vault)
    asked, held = threading.Event(), threading.Event()
    read = AzureVault.read

    def slowly(client: AzureVault, name: str, pinned: str = "") -> object:
        found = read(client, name, pinned)
        KeyVault.objects.update(last_contact_at=None)  # so that this contact is written down
        asked.set()
        assert held.wait(PATIENCE)
        return found

    monkeypatch.setattr(AzureVault, "read", slowly)

    def unlink() -> None:
        assert asked.wait(PATIENCE)
        with transaction.atomic():
            lock_with(vault, references(vault))
            held.set()
            until(somebody_waits)
            ConnectionSecret.objects.filter(vault_secret__vault=vault).delete()
            VaultSecret.objects.filter(vault=vault).delete()
            KeyVault.objects.filter(pk=vault.pk).delete()

    with ThreadPoolExecutor(1) as pool:
        unlinking = pool.submit(in_a_session, unlink)
        # where one session waits for the other altogether, the vault may be gone first
        with (
            suppress(NeedsAttention),
            secret_store.resolve(delivery.connection, purpose="run", actor=delivery.admin) as secrets,
        ):
            assert secrets["password"] == delivery.server.password
        unlinking.result(PATIENCE)
    assert not KeyVault.objects.exists()
    assert len(told("vault.secret_read")) == 1
