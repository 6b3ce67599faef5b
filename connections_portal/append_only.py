"""Tables whose rows can only be added (rule S17), enforced in the database by triggers.

``install`` is idempotent and runs after every migration; ``missing`` is asked at start. A trigger counts only with the
definition that it has here, on PostgreSQL that of its function included. On SQLite a trigger before INSERT also refuses
``INSERT OR REPLACE`` of a row that exists.
"""

from collections.abc import Mapping

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
_POSTGRESQL_BODY = f" BEGIN RAISE EXCEPTION '{MESSAGE}'; END "
_POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION portal_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$${_POSTGRESQL_BODY}$$"
)
# pg_trigger.tgtype (PostgreSQL, catalog/pg_trigger.h): row 1, before 2, delete 8, update 16, truncate 32
_POSTGRESQL_TYPES = {"change": 1 + 2 + 8 + 16, "truncate": 2 + 32}
# what works: switched on, without a condition or columns of its own, and with our function as it is written here
_POSTGRESQL_PRESENT = """
    SELECT tgname, relname, tgtype FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    JOIN pg_proc ON pg_proc.oid = tgfoid
    JOIN pg_language ON pg_language.oid = prolang
    WHERE tgenabled IN ('O', 'A') AND tgqual IS NULL AND tgattr::text = '' AND pg_table_is_visible(tgrelid)
    AND lanname = 'plpgsql' AND proconfig IS NULL AND prosrc = %s
"""


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
    triggers = _triggers(connection.vendor)
    with connection.cursor() as cursor:
        present = _sound(cursor, triggers) if connection.vendor == "sqlite" else _sound_on_postgresql(cursor)
    return [name for name in triggers if name not in present and _table(name) in tables]


def _sound(cursor: CursorWrapper, triggers: Mapping[str, str]) -> set[str]:
    """Names of the triggers whose text is the one that they were made from: SQLite keeps it."""
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {name for name, sql in cursor.fetchall() if name in triggers and sql == _create(name, triggers)}


def _sound_on_postgresql(cursor: CursorWrapper) -> set[str]:
    cursor.execute(_POSTGRESQL_PRESENT, [_POSTGRESQL_BODY])
    return {
        name
        for name, table, kind in cursor.fetchall()
        if any((name, kind) == (f"{table}_no_{key}", value) for key, value in _POSTGRESQL_TYPES.items())
    }


def _create(name: str, triggers: Mapping[str, str]) -> str:
    return f"CREATE TRIGGER {name} {triggers[name]}"


def install(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Create the triggers that are missing, and those anew that somebody switched off or changed."""
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
            cursor.execute(_create(name, triggers))


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
