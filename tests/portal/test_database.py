"""One setting chooses the database; a new one is made by one command; none can hold a page for ever."""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connection
from django.test import Client

from connections_portal.models import User
from connections_portal.settings import database
from exports.models import Export
from tests.factories import make_connection
from tests.postgresql import address
from tests.runs.helpers import make_export

pytestmark = pytest.mark.both_databases
postgresql_only = pytest.mark.skipif(connection.vendor != "postgresql", reason="is about PostgreSQL")


def test_the_address_of_a_server() -> None:
    found = database(
        "postgresql://por%40tal:p%2Fss%3A@db.example.com:5433/portal?sslmode=verify-full&sslrootcert=%2Fca"
    )
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert [found[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        "por@tal", "p/ss:", "db.example.com", "5433", "portal",
    ]  # fmt: skip
    assert found["OPTIONS"]["sslmode"] == "verify-full"
    assert found["OPTIONS"]["sslrootcert"] == "/ca"
    assert "lock_timeout" in found["OPTIONS"]["options"]


@pytest.mark.parametrize("url", ["mysql://portal@db/portal", "portal.sqlite3", ""])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL must start with"):
        database(url)


def beside(name: str) -> dict[str, Any]:
    """The settings of another database at the same place."""
    return connection.settings_dict | {"NAME": name}


@pytest.fixture
def empty(tmp_path: Path, transactional_db: None) -> Iterator[str]:
    """DATABASE_URL of a database without any table."""
    if connection.vendor == "sqlite":
        yield address(beside(str(tmp_path / "new.sqlite3")))
        return
    name = f"portal_{secrets.token_hex(4)}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield address(beside(name))
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


Manage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def manage(empty: str, tmp_path: Path) -> Manage:
    """Runs a program of the portal on the empty database: ``manage.py`` with arguments, or another module."""
    environment = {
        "PATH": os.environ["PATH"],
        "PORTAL_DEV": "1",
        "DATABASE_URL": empty,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CONNECTION_SECRET_KEYS": "1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "VAR_DIR": str(tmp_path),
    }

    def run(*arguments: str, program: tuple[str, ...] = ("manage.py",)) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=django_settings.BASE_DIR,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_an_empty_database_becomes_a_portal_by_one_command(manage: Manage) -> None:
    assert manage("migrate", "--verbosity", "0").returncode == 0
    assert "no issues" in manage("check", "--database", "default").stdout
    assert "leases: 0" in manage("tick", "--once").stdout
    assert manage("rotate_secret_key").stdout.startswith("0 stored secrets")


def test_without_its_triggers_nothing_starts_until_migrate_put_them_back(manage: Manage) -> None:
    assert manage("migrate", "--verbosity", "0").returncode == 0
    drop = "from connections_portal import append_only; append_only.uninstall()"
    assert manage("shell", "--command", drop).returncode == 0
    web = manage("connections_portal.wsgi", "--bind", "127.0.0.1:0", program=("-m", "gunicorn"))
    worker = manage("portal_worker")
    for refused in (web, worker):
        assert refused.returncode
        assert "The trigger connections_consent_no_" in refused.stderr
    assert manage("migrate", "--verbosity", "0").returncode == 0
    assert "no issues" in manage("check", "--database", "default").stdout


@postgresql_only
def test_nothing_waits_for_ever(db: None) -> None:
    with connection.cursor() as cursor:
        found = {}
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SHOW {name}")
            found[name] = cursor.fetchone()[0]
    assert found == {
        "lock_timeout": "20s",
        "statement_timeout": "1min",
        "idle_in_transaction_session_timeout": "1min",
    }


@pytest.fixture
def export(transactional_db: None, admin: User) -> Export:
    return make_export(make_connection(actor=admin), actor=admin)


@postgresql_only
def test_a_row_that_somebody_holds_is_a_busy_portal(
    export: Export, admin: User, client_of: Callable[[User | None], Client]
) -> None:
    client = client_of(admin)
    client.raise_request_exception = False
    other = connection.copy()
    with closing(other):
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM exports_export WHERE id = %s FOR UPDATE", [export.pk])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        busy = client.post(f"/data/exports/{export.uuid}/run/")
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
        assert not export.runs.exists()
        other.rollback()
    assert client.post(f"/data/exports/{export.uuid}/run/").status_code == 303
    assert export.runs.count() == 1
    connection.close()


@postgresql_only
def test_a_connection_that_the_server_closed_is_made_anew(export: Export) -> None:
    with closing(connection.copy()) as other, other.cursor() as cursor:
        with connection.cursor() as own:
            own.execute("SELECT pg_backend_pid()")
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", own.fetchone())
    # what Django does before each request, and a worker between two messages
    close_old_connections()
    assert Export.objects.get() == export
