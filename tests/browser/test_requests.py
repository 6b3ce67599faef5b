"""A request for access in a browser: asked from inside the export form, answered from Home, used at once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections.models import Access, AccessRequest, Connection
from connections_portal.models import User
from tests.browser.conftest import Check, SignIn
from tests.connections.asking import REASON
from tests.data import write_customers
from tests.factories import make_connection

NewContext = Callable[..., BrowserContext]


@pytest.fixture(autouse=True)
def customers(tmp_path: Path, settings: Settings) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"


@pytest.fixture
def wanted(admin: User, contributor: User) -> Connection:
    """The contributor has one connection; this is the other one, which would fit."""
    make_connection(actor=admin, name="Newsletter", access=Access.SPECIFIC, people=[contributor])
    return make_connection(actor=admin, name="Print shop")


def test_asking_from_the_export_form_and_answering_from_home(
    sign_in: SignIn,
    new_context: NewContext,
    live_server: LiveServer,
    admin: User,
    contributor: User,
    wanted: Connection,
    axe: Check,
) -> None:
    page = sign_in(contributor)
    page.goto(f"{live_server.url}/data/exports/new/")
    page.get_by_label("Display name").fill("Autumn mailing")
    page.get_by_role("link", name="Request access").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Request access")).to_be_visible()
    dialog.get_by_role("button", name="Send request").click()
    expect(dialog.get_by_text("Say what you need it for.").first).to_be_visible()
    dialog.get_by_label("Type of connection").select_option("SFTP")
    dialog.get_by_label("Reason").fill(REASON)
    axe(page)
    dialog.get_by_role("button", name="Send request").click()
    expect(page.get_by_text("Your request is with the administrators.")).to_be_visible()
    expect(dialog).to_be_hidden()
    # the form is as it was
    expect(page.get_by_label("Display name")).to_have_value("Autumn mailing")

    other = sign_in(admin, context=new_context())
    other.goto(live_server.url)
    expect(other.get_by_text("1 request for access", exact=True)).to_be_visible()
    other.get_by_role("link", name="1 request for access").click()
    _share(other)
    assert AccessRequest.objects.get().connection_uuid == wanted.uuid

    page.goto(live_server.url)
    expect(page.get_by_text("Your request was granted", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Shared with you lately")).to_be_visible()
    page.goto(f"{live_server.url}/data/exports/new/")
    page.get_by_label("Connection for export").select_option("Print shop")


def _share(page: Page) -> None:
    page.get_by_role("button", name="Actions for Ana Weber, SFTP").click()
    page.get_by_role("link", name="Share a connection").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(REASON)).to_be_visible()
    options = dialog.get_by_label("Connection to share")
    options.select_option(label="Print shop, sftp://files.example.com/in")
    dialog.get_by_role("button", name="Share").click()
    expect(page.get_by_text("Print shop is shared with Ana Weber.")).to_be_visible()
    # the list behind it was fetched again
    expect(page.get_by_text("No open requests")).to_be_visible()


def test_without_script(
    sign_in: SignIn,
    new_context: NewContext,
    live_server: LiveServer,
    admin: User,
    contributor: User,
    wanted: Connection,
) -> None:
    page = sign_in(contributor, context=new_context(java_script_enabled=False))
    page.goto(live_server.url)
    page.get_by_role("link", name="Request access").click()
    page.get_by_label("Type of connection").select_option("SFTP")
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Send request").click()
    expect(page.get_by_role("heading", level=1, name="Your requests")).to_be_visible()
    expect(page.get_by_text(REASON)).to_be_visible()

    other = sign_in(admin, context=new_context(java_script_enabled=False))
    other.goto(f"{live_server.url}/settings/connections/requests/")
    other.get_by_role("button", name="Actions for Ana Weber, SFTP").click()
    other.get_by_role("link", name="Decline").click()
    other.get_by_role("button", name="Decline").click()
    expect(other.get_by_text("Say a word about why.").first).to_be_visible()
    other.get_by_label("Answer").fill("Please use the newsletter's.")
    other.get_by_role("button", name="Decline").click()
    expect(other.get_by_text("No open requests")).to_be_visible()

    # withdrawn too late, in a page that was open
    page.get_by_role("button", name="Actions for SFTP").click()
    page.get_by_role("link", name="Withdraw").click()
    expect(page.get_by_text("Lena Hofmann declined it")).to_be_visible()
