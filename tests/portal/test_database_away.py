"""A database that is locked or cannot be reached: 503 whoever notices it first, and what was typed is not lost."""

import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError, connection
from django.test import Client, RequestFactory

from connections_portal.models import User
from connections_portal.views import errors
from exports.models import Export
from tests.exports.filling import filled
from tests.factories import make_connection
from tests.test_access_matrix import MATRIX, address, export

__all__ = ["export"]  # fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

Clients = Callable[[User | None], Client]
sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="locks a file of SQLite")
HTMX = {"HX-Request": "true"}


def browser(client: Client) -> Client:
    """As a browser sees it: an error is an answer."""
    client.raise_request_exception = False
    return client


@pytest.fixture
def locked() -> Iterator[Callable[[], sqlite3.Connection]]:
    """Call it to have another process's write lock on the file; nobody waits long for it."""
    holders: list[sqlite3.Connection] = []

    def lock() -> sqlite3.Connection:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 50")
        holder = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
        holders.append(holder)
        holder.execute("BEGIN IMMEDIATE")
        return holder

    yield lock
    for holder in holders:
        holder.close()
    connection.close()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Call it to take the database away: its file, or the server's port."""
    before = dict(connection.settings_dict)

    def leave() -> None:
        connection.close()
        if connection.vendor == "sqlite":
            connection.settings_dict["NAME"] = str(tmp_path / "nowhere" / "portal.sqlite3")
            return
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            connection.settings_dict["PORT"] = str(unused.getsockname()[1])

    yield leave
    connection.close()
    connection.settings_dict.update(before)


def assert_busy(answer: Any) -> None:
    assert answer.status_code == 503, answer.content[:300]
    assert answer["Retry-After"] == "5"
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors" in answer["Content-Security-Policy"]
    assert "The portal is busy" in answer.content.decode()


@sqlite_only
def test_a_form_that_cannot_be_saved_is_sent_again_from_the_page(
    locked: Callable[[], sqlite3.Connection], customer_data: Path, admin: User, client_of: Clients
) -> None:
    form = filled(
        make_connection(actor=admin), name='Łódź "spring" & more', items=["segment:loyal", "table:orders"]
    )
    client = browser(client_of(admin))
    holder = locked()
    answer = client.post("/data/exports/new/?resume=1", form)
    assert_busy(answer)
    holder.rollback()
    assert not Export.objects.exists()
    page = answer.content.decode()
    action = re.search(r'<form[^>]* action="([^"]+)"', page)
    assert action
    assert unescape(action[1]) == "/data/exports/new/?resume=1"
    kept = [
        (unescape(name), unescape(value))
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    ]
    typed = [
        (name, str(value))
        for name, values in form.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    assert sorted(kept) == sorted(typed)
    again: dict[str, list[str]] = {}
    for name, value in kept:
        again.setdefault(name, []).append(value)
    assert client.post(unescape(action[1]), again).status_code == 303
    assert Export.objects.get().name == 'Łódź "spring" & more'


@sqlite_only
@pytest.mark.parametrize(
    "url", ["/password/", "/settings/connections/new/sftp/", "/sign-in/", "/no/such/page/"]
)
def test_a_form_with_secrets_does_not_travel_back(
    locked: Callable[[], sqlite3.Connection], admin: User, client_of: Clients, url: str
) -> None:
    client = browser(client_of(None if url == "/sign-in/" else admin))
    client.post(url, {})  # a session to begin with
    locked()
    form = {
        "username": "lena",
        "password": "canary-of-a-secret",
        "old_password": "correct horse battery staple",
        "new_password1": "canary-of-a-secret",
        "new_password2": "canary-of-a-secret",
        "hostname": "files.example.com",
        "action": "verify",
    }
    page = client.post(url, form)
    assert page.status_code in ((404,) if "such" in url else (503,))
    assert "canary-of-a-secret" not in page.content.decode()


@sqlite_only
def test_htmx_is_told_in_a_sentence_and_swaps_nothing(
    locked: Callable[[], sqlite3.Connection], export: Export, admin: User, client_of: Clients
) -> None:
    client = browser(client_of(admin))
    locked()
    answer = client.post(f"/data/exports/{export.uuid}/run/", headers=HTMX)
    assert_busy(answer)
    assert "<" not in answer.content.decode()
    assert not answer.has_header("HX-Reswap")
    assert not answer.has_header("HX-Retarget")


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_whatever_is_asked_while_it_is_away(
    away: Callable[[], None], export: Export, admin: User, client_of: Clients, headers: dict[str, str]
) -> None:
    """The session is the first to ask the database, long before any view."""
    from exports.operations.run import enqueue_run

    enqueue_run(export=export, actor=admin, trigger="person")  # type: ignore[arg-type]
    addresses = [address(name, export) for name in sorted(MATRIX)]
    client = browser(client_of(admin))
    away()
    for url in addresses:
        if url == "/theme/":
            continue
        assert_busy(client.get(url, headers=headers))
        assert client.post(url, headers=headers).status_code == 503, url
    assert_busy(browser(Client()).get("/healthz/"))


def test_only_what_passes_by_itself_is_called_busy() -> None:
    def of_sqlite(code: int) -> OperationalError:
        cause = sqlite3.OperationalError("…")
        cause.sqlite_errorcode = code
        error = OperationalError("…")
        error.__cause__ = cause
        return error

    assert errors.is_database_away(of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT))
    assert not errors.is_database_away(of_sqlite(sqlite3.SQLITE_ERROR))  # no such table
    assert not errors.is_database_away(ProgrammingError("no such column"))
    assert not errors.is_database_away(None)
    assert errors.server_error(RequestFactory().get("/")).status_code == 500
