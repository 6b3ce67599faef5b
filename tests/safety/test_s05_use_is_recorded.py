"""S5: the use of a secret is recorded and committed before the value is handed out; no record, no value."""

import pytest
from django.db import DatabaseError, transaction

from connections import secret_store
from connections_portal import audit
from connections_portal.models import AuditEntry, RunState, Trigger, User
from enrichments.operations.run import enqueue_run
from tests.enrichments.bringing import Bringing, carry
from tests.factories import make_connection

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
