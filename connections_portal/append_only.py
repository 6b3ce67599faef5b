"""Tables whose rows can only be added (rule S17), enforced in the database by triggers.

``install`` is idempotent and runs after every migration; ``missing`` is asked at start. On SQLite a trigger
before INSERT also refuses ``INSERT OR REPLACE`` of a row that exists.
"""

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper

TABLES = ("connections_portal_auditentry", "connections_consent")
MESSAGE = "rows of this table can only be added"

_SQLITE = {
    "update": "BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{message}'); END",
    "delete": "BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{message}'); END",
    "replace": "BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) "
    "BEGIN SELECT RAISE(ABORT, '{message}'); END",
}
_POSTGRESQL = {
    "change": "BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION portal_append_only()",
    "truncate": "BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION portal_append_only()",
}
_POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION portal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{MESSAGE}'; END $$"
)


def _triggers(vendor: str) -> dict[str, str]:
    """Trigger name to its definition, for every table."""
    kinds = _SQLITE if vendor == "sqlite" else _POSTGRESQL
    return {
        f"{table}_no_{kind}": body.format(table=table, message=MESSAGE)
        for table in TABLES
        for kind, body in kinds.items()
    }


def missing(*, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of triggers that should be there and work and do not; tables that do not exist yet are left out."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if connection.vendor == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND pg_table_is_visible(tgrelid)"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {row[0] for row in cursor.fetchall()}
    return [name for name in _triggers(connection.vendor) if name not in present and _table(name) in tables]


def install(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Create the triggers that are missing, and those anew that somebody switched off."""
    connection = connections[using]
    names = missing(using=using)
    if not names:
        return
    triggers = _triggers(connection.vendor)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_FUNCTION)
        for name in names:
            _drop(cursor, connection.vendor, name)
            cursor.execute(f"CREATE TRIGGER {name} {triggers[name]}")


def uninstall(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Drop the triggers: for a migration of these tables, or a test's clean-up. ``install`` puts them back."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for name in _triggers(connection.vendor):
            if _table(name) in tables:
                _drop(cursor, connection.vendor, name)


def _table(trigger: str) -> str:
    return trigger.rsplit("_no_", 1)[0]


def _drop(cursor: CursorWrapper, vendor: str, trigger: str) -> None:
    suffix = "" if vendor == "sqlite" else f" ON {_table(trigger)}"
    cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}{suffix}")
