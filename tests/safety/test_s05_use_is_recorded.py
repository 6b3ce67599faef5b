"""S5: the use of a secret is recorded and committed before the value is handed out; no record, no value."""

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from connections import secret_store
from connections.models import Access
from connections.sharing import set_grants
from connections.vault_cache import cache
from connections_portal import audit
from connections_portal.models import AuditEntry, RunState, Trigger, User
from enrichments.operations.run import enqueue_run
from tests.enrichments.bringing import Bringing, carry
from tests.factories import make_connection
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads
from tests.runs.helpers import Delivery, start
from tests.runs.helpers import carry as carry_export

pytestmark = pytest.mark.both_databases


@pytest.mark.django_db(transaction=True)
def test_the_record_is_committed_before_the_value_exists(admin: User) -> None:
    connection = make_connection(actor=admin)
    with secret_store.resolve(connection, purpose="run", actor=admin):
        entry = AuditEntry.objects.get(action="secret.used")
        assert not transaction.get_connection().in_atomic_block
    assert entry.actor_id == admin.pk
    assert entry.object_uuid == connection.uuid
    assert entry.details == {"purpose": "run", "fields": ["password"], "run": ""}


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_use_by_an_import_names_run_enrichment_and_on_whose_behalf(
    bringing: Bringing, contributor: User, by_hand: bool
) -> None:
    enrichment = bringing.enrichment()
    actor, trigger = (contributor, Trigger.PERSON) if by_hand else (None, Trigger.REFRESH)
    run = enqueue_run(enrichment=enrichment, actor=actor, trigger=trigger)
    assert carry(run) == "warnings"
    entry = AuditEntry.objects.get(action="secret.used")
    assert entry.object_uuid == bringing.connection.uuid
    assert entry.actor_id == (contributor if by_hand else bringing.admin).pk
    assert entry.details == {
        "purpose": "run",
        "fields": ["password"],
        "run": str(run.uuid),
        "item": enrichment.name,
    }


def test_without_a_record_nothing_is_read(bringing: Bringing, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bringing.start(bringing.enrichment())

    def full(*args: object, **kwargs: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr("connections.secret_store.audit.record", full)
    with pytest.raises(DatabaseError):
        carry(run)
    run.refresh_from_db()
    assert (run.state, run.cause) == (RunState.RUNNING, "")
    assert bringing.box.seen.requests == []


@pytest.mark.django_db
def test_without_a_record_there_is_no_value(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = make_connection(actor=admin)

    def full(*args: object, **kwargs: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr(audit, "record", full)
    with pytest.raises(DatabaseError):
        with secret_store.resolve(connection, purpose="run", actor=admin):
            pytest.fail("the value was handed out")


@pytest.mark.django_db(transaction=True)
def test_a_use_inside_a_transaction_is_refused(admin: User) -> None:
    connection = make_connection(actor=admin)
    with pytest.raises(RuntimeError), transaction.atomic():
        with secret_store.resolve(connection, purpose="run", actor=admin):
            pytest.fail("the record could still be rolled back")


@pytest.mark.parametrize("unrecorded", ["secret.used", "vault.secret_read"])
def test_without_a_record_a_vault_hands_out_nothing(
    delivery: Delivery,
    double: Double,
    linked_vault: LinkVault,
    monkeypatch: pytest.MonkeyPatch,
    unrecorded: str,
) -> None:
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    record = audit.record

    def full(action: str, **more: Any) -> object:
        # what the portal signs in with at the vault is a use of its own
        if action == unrecorded and more.get("purpose") != "vault":
            raise DatabaseError("disk full")
        return record(action, **more)

    monkeypatch.setattr(audit, "record", full)
    run = start(delivery.export())
    with pytest.raises(DatabaseError):
        carry_export(run)
    run.refresh_from_db()
    assert (run.state, run.cause) == (RunState.RUNNING, "")
    assert len(reads(double)) == (1 if unrecorded == "vault.secret_read" else 0)
    assert len(cache) == 0
    assert delivery.box.seen.requests == []


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_reading_of_a_vault_names_on_whose_behalf(
    delivery: Delivery, double: Double, linked_vault: LinkVault, contributor: User, by_hand: bool
) -> None:
    version = double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    set_grants(delivery.connection, Access.CONTRIBUTORS, [], [])
    export = delivery.export()
    run = start(export, **({"actor": contributor} if by_hand else {"trigger": Trigger.SCHEDULE}))
    assert carry_export(run) == "successful"
    entry = AuditEntry.objects.get(action="vault.secret_read")
    assert entry.actor_id == (contributor if by_hand else delivery.admin).pk
    assert entry.object_uuid == delivery.connection.uuid
    assert entry.details == {
        "purpose": "run",
        "field": "password",
        "vault": double.vault.host,
        "secret": NAME,
        "version": version,
        "run": str(run.uuid),
        "item": export.name,
    }
