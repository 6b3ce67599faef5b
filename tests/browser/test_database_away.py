"""The database is locked while somebody saves: they are told, what they typed stays, and it goes through soon after."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections_portal.models import User
from exports.models import Export
from tests.data import write_customers
from tests.factories import make_connection
from tests.runs.helpers import make_export

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="locks a file of SQLite"),
]

SignIn = Callable[..., Page]
NAME = 'Łódź "spring"'


def _impatient(connection: Any, **kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 100")


@pytest.fixture
def impatient() -> Iterator[None]:
    """Every connection made meanwhile waits a tenth of a second for a lock, not twenty seconds."""
    connection_created.connect(_impatient)
    yield
    connection_created.disconnect(_impatient)


@pytest.fixture
def lock() -> Iterator[sqlite3.Connection]:
    """Another process's connection: ``execute("BEGIN IMMEDIATE")`` locks, ``rollback()`` lets go."""
    holder = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    yield holder
    holder.close()


@pytest.fixture
def export(admin: User, tmp_path: Path, settings: Settings) -> Export:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    return make_export(make_connection(actor=admin), actor=admin, name="Loyal customers")


def expected(problems: list[str]) -> None:
    """The answer 503 was wanted; everything else still counts."""
    problems[:] = [problem for problem in problems if "503" not in problem]


def test_a_dialog_stays_as_it_is(
    impatient: None,
    export: Export,
    admin: User,
    sign_in: SignIn,
    live_server: LiveServer,
    lock: sqlite3.Connection,
    problems: list[str],
) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}/data/exports/")
    page.get_by_role("button", name="More actions for Loyal customers").click()
    page.get_by_role("link", name="Rename").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(NAME)
    lock.execute("BEGIN IMMEDIATE")
    dialog.get_by_role("button", name="Rename").click()
    expect(page.locator(".toast.bad")).to_have_text("The portal is busy. Try again in a moment.")
    expect(dialog.get_by_role("textbox")).to_have_value(NAME)
    lock.rollback()
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog).to_have_count(0)
    # the message of success holds the name, and came in the body
    expect(page.locator(".toast.ok")).to_contain_text(NAME)
    expect(page.get_by_role("link", name=NAME)).to_be_visible()
    expected(problems)


def test_a_page_sends_again_what_was_typed(
    impatient: None,
    export: Export,
    admin: User,
    sign_in: SignIn,
    live_server: LiveServer,
    lock: sqlite3.Connection,
    problems: list[str],
) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}/data/exports/{export.uuid}/edit/")
    page.get_by_label("Name", exact=False).first.fill(NAME)
    lock.execute("BEGIN IMMEDIATE")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="The portal is busy")).to_be_visible()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("heading", name="The portal is busy")).to_be_visible()
    lock.rollback()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("heading", name=re.compile(NAME))).to_be_visible()
    assert Export.objects.get().name == NAME
    expected(problems)
