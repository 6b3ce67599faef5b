"""S17: audit and consent can be added to and nothing else; checked at start and put back by migrate."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from connections.models import Consent
from connections_portal import append_only, audit
from connections_portal.checks import append_only_tables
from connections_portal.models import AuditEntry, User
from tests.factories import make_connection

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
MODELS = [AuditEntry, Consent]


@pytest.fixture(autouse=True)
def rows(admin: User) -> None:
    make_connection(actor=admin)


@pytest.mark.parametrize("model", MODELS)
def test_no_update(model: type[AuditEntry | Consent]) -> None:
    with pytest.raises(DatabaseError, match=append_only.MESSAGE), transaction.atomic():
        model.objects.update(action="x")


@pytest.mark.parametrize("model", MODELS)
def test_no_delete(model: type[AuditEntry | Consent]) -> None:
    with pytest.raises(DatabaseError, match=append_only.MESSAGE), transaction.atomic():
        model.objects.all()._raw_delete("default")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="INSERT OR REPLACE is SQLite's")
def test_no_replace() -> None:
    entry = AuditEntry.objects.values().first()
    assert entry is not None
    with pytest.raises(DatabaseError, match=append_only.MESSAGE), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT OR REPLACE INTO connections_portal_auditentry (id, at, action, outcome, actor_label, "
                "object_type, object_label, details) VALUES (%s, %s, 'x', 'done', 'x', '', '', '{}')",
                [entry["id"], entry["at"]],
            )


@pytest.mark.skipif(connection.vendor != "postgresql", reason="TRUNCATE is PostgreSQL's")
@pytest.mark.parametrize("model", MODELS)
def test_no_truncate(model: type[AuditEntry | Consent]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else it is refused for what is pending, too
        with pytest.raises(DatabaseError, match=append_only.MESSAGE), transaction.atomic():
            cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's triggers cannot be switched off")
@pytest.mark.parametrize("how", ["DISABLE TRIGGER", "ENABLE REPLICA TRIGGER"])
def test_a_trigger_that_is_switched_off_is_missing_and_migrate_switches_it_on(how: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE connections_consent {how} connections_consent_no_change")
    assert {error.id for error in append_only_tables(databases=["default"])} == {"portal.W004"}
    call_command("migrate", verbosity=0)
    assert append_only_tables(databases=["default"]) == []
    test_no_delete(Consent)


CONSENT = "connections_consent"
# each leaves a trigger of the right name that refuses less
SQLITE = {
    "never": "DROP TRIGGER {t}_no_delete; CREATE TRIGGER {t}_no_delete BEFORE DELETE ON {t} WHEN 0 "
    "BEGIN SELECT RAISE(ABORT, 'x'); END",
    "does nothing": "DROP TRIGGER {t}_no_delete; CREATE TRIGGER {t}_no_delete BEFORE DELETE ON {t} "
    "BEGIN SELECT 1; END",
    "of another table": "DROP TRIGGER {t}_no_delete; CREATE TRIGGER {t}_no_delete "
    "BEFORE DELETE ON django_session BEGIN SELECT RAISE(ABORT, 'x'); END",
}
_LAX = "FUNCTION portal_lax() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$"
_ANEW = "DROP TRIGGER {t}_no_change ON {t}; CREATE TRIGGER {t}_no_change "
POSTGRESQL = {
    "function replaced": "CREATE OR REPLACE FUNCTION portal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RETURN OLD; END $$",
    "another function": f"CREATE {_LAX}; {_ANEW} BEFORE UPDATE OR DELETE ON {{t}} FOR EACH ROW "
    "EXECUTE FUNCTION portal_lax()",
    "never": f"{_ANEW} BEFORE UPDATE OR DELETE ON {{t}} FOR EACH ROW WHEN (false) "
    "EXECUTE FUNCTION portal_append_only()",
    "not at delete": f"{_ANEW} BEFORE UPDATE ON {{t}} FOR EACH ROW EXECUTE FUNCTION portal_append_only()",
    "one column": f"{_ANEW} BEFORE UPDATE OF id OR DELETE ON {{t}} FOR EACH ROW "
    "EXECUTE FUNCTION portal_append_only()",
    "once a statement": f"{_ANEW} BEFORE UPDATE OR DELETE ON {{t}} FOR EACH STATEMENT "
    "EXECUTE FUNCTION portal_append_only()",
    "of another table": "DROP TRIGGER {t}_no_change ON {t}; CREATE TRIGGER {t}_no_change "
    "BEFORE UPDATE OR DELETE ON django_session FOR EACH ROW EXECUTE FUNCTION portal_append_only()",
}


@pytest.mark.parametrize("how", SQLITE if connection.vendor == "sqlite" else POSTGRESQL)
def test_a_trigger_that_was_changed_counts_as_missing_and_migrate_puts_it_back(how: str) -> None:
    statements = (SQLITE if connection.vendor == "sqlite" else POSTGRESQL)[how].format(t=CONSENT)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending would stop ALTER and DROP
            cursor.execute(statements)
        else:
            drop, create = statements.split("; ", 1)
            cursor.execute(drop)
            cursor.execute(create)
    found = append_only_tables(databases=["default"])
    assert {error.id for error in found} == {"portal.W004"}
    assert any(f"The trigger {CONSENT}_no_" in error.msg for error in found)
    call_command("migrate", verbosity=0)
    assert append_only_tables(databases=["default"]) == []
    test_no_update(Consent)
    test_no_delete(Consent)
    test_no_delete(AuditEntry)


def test_adding_still_works(admin: User) -> None:
    before = AuditEntry.objects.count()
    audit.record("account.signed_in", actor=admin)
    assert AuditEntry.objects.count() == before + 1


def test_a_missing_trigger_stops_the_start_and_migrate_puts_it_back() -> None:
    assert append_only_tables(databases=["default"]) == []
    append_only.uninstall()
    assert {error.id for error in append_only_tables(databases=["default"])} == {"portal.W004"}
    call_command("migrate", verbosity=0)
    assert append_only_tables(databases=["default"]) == []


def test_an_unknown_action_is_a_mistake_of_ours(admin: User) -> None:
    with pytest.raises(ValueError, match="unknown audit action"):
        audit.record("connection.exploded", actor=admin)
