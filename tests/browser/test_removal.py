"""*Remove*, *Move* and *Restore* of a connection in a browser: by mouse, by keyboard alone, and without script."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections.models import Access, Connection, RemovedConnection
from connections_portal.models import User
from exports.models import Export, ScheduleKind
from exports.operations.edit import Timing
from tests.browser.conftest import Check, SignIn
from tests.browser.test_keyboard import press, tab_to
from tests.data import write_customers
from tests.factories import make_connection
from tests.runs.helpers import make_export

pytestmark = pytest.mark.django_db(transaction=True)

NewContext = Callable[..., BrowserContext]
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6))
NAMES = ("Alpha", "Beta", "Gamma")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, settings: Settings) -> None:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"


@pytest.fixture
def connection(admin: User, contributor: User) -> Connection:
    """One that three exports of the contributor use."""
    made = make_connection(actor=admin, name="Newsletter", access=Access.SPECIFIC, people=[contributor])
    for name in NAMES:
        make_export(made, actor=contributor, name=name, schedule=DAILY)
    return made


@pytest.fixture
def other(admin: User) -> Connection:
    """Where they can move to."""
    return make_connection(actor=admin, name="Partner files")


@pytest.fixture
def url(live_server: LiveServer, connection: Connection) -> str:
    return f"{live_server.url}/settings/connections/{connection.uuid}/"


def what_to_do(where: Page | Locator, name: str) -> Locator:
    return where.get_by_label(f"What to do with {name}", exact=True)


def chosen(where: Page | Locator) -> dict[str, str]:
    """By name what the closed lists show."""
    shown = "list => list.selectedOptions[0].text"
    return {name: what_to_do(where, name).evaluate(shown) for name in NAMES}


def standing() -> dict[str, str]:
    """By name of the export the connection it uses now."""
    exports = Export.objects.select_related("connection")
    return {export.name: export.connection.name if export.connection else "" for export in exports}


def command(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="Commands").get_by_role("link", name=name, exact=True)


def opened(page: Page, url: str) -> Locator:
    """The dialog as far as the choices, from the page of the connection."""
    page.goto(url)
    command(page, "Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Used by 3 exports")).to_be_visible()
    dialog.get_by_role("button", name="See what's using this connection").click()
    expect(what_to_do(dialog, "Alpha")).to_be_visible()
    return dialog


def test_another_choice_for_each(
    sign_in: SignIn, admin: User, url: str, other: Connection, connection: Connection, axe: Check
) -> None:
    page = sign_in(admin)
    dialog = opened(page, url)
    outcome = dialog.get_by_role("region", name="What will happen")
    assert chosen(dialog) == dict.fromkeys(NAMES, "Detach connection")
    expect(outcome).to_contain_text("3 exports keep their settings and stop until they get a connection.")
    what_to_do(dialog, "Beta").select_option(label="Move to Partner files")
    expect(outcome).to_contain_text("1 export goes on over Partner files.")
    expect(outcome).to_contain_text("Ana Weber can no longer change what goes on over Partner files.")
    what_to_do(dialog, "Gamma").select_option(label="Remove")
    button = dialog.get_by_role("button", name="Detach 1, move 1, remove 1, remove")
    expect(button).to_be_visible()
    axe(page)
    button.click()
    expect(page.locator(".toast").get_by_text("Newsletter is removed. It can be restored")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert standing() == {"Alpha": "", "Beta": "Partner files"}
    assert RemovedConnection.objects.get().uuid == connection.uuid


def test_by_keyboard_alone_one_choice_for_all(
    sign_in: SignIn, admin: User, url: str, other: Connection, axe: Check
) -> None:
    page = sign_in(admin)
    keys = page.keyboard
    page.goto(url)
    opener = command(page, "Remove")
    press(page, opener)
    dialog = page.get_by_role("dialog")
    see = dialog.get_by_role("button", name="See what's using this connection")
    expect(see).to_be_focused()
    keys.press("Escape")
    expect(opener).to_be_focused()
    keys.press("Enter")
    expect(see).to_be_focused()
    keys.press("Enter")
    every = dialog.get_by_label("Apply to all")
    expect(every).to_be_visible()
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    tab_to(page, every)
    keys.type("Move to P")
    expect(every).to_be_focused()
    expect(dialog.get_by_role("button", name="Move 3, remove")).to_be_visible()
    assert chosen(dialog) == dict.fromkeys(NAMES, "Move to Partner files")
    # what happens now is said
    expect(page.locator("dialog[open] > [data-live]")).to_contain_text("3 exports go on over Partner files.")
    alpha = what_to_do(dialog, "Alpha")
    tab_to(page, alpha)
    keys.type("Det")
    expect(dialog.get_by_role("button", name="Detach 1, move 2, remove")).to_be_visible()
    expect(alpha).to_be_focused()
    axe(page)
    press(page, dialog.get_by_role("button", name="Detach 1, move 2, remove"))
    expect(page.locator(".toast").get_by_text("Newsletter is removed.")).to_be_visible()
    assert standing() == {"Alpha": "", "Beta": "Partner files", "Gamma": "Partner files"}


def test_what_is_built_while_the_dialog_is_open(
    sign_in: SignIn, admin: User, url: str, connection: Connection, other: Connection, axe: Check
) -> None:
    page = sign_in(admin)
    dialog = opened(page, url)
    what_to_do(dialog, "Beta").select_option(label="Move to Partner files")
    expect(dialog.get_by_role("button", name="Detach 2, move 1, remove")).to_be_visible()
    make_export(connection, actor=admin, name="Late one")
    dialog.get_by_role("button", name="Detach 2, move 1, remove").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This has changed since you opened this dialog")
    expect(dialog.get_by_text("Used by 4 exports")).to_be_visible()
    expect(dialog.get_by_role("row", name=re.compile("Late one"))).to_contain_text("New")
    assert chosen(dialog) == dict.fromkeys(NAMES, "Detach connection") | {"Beta": "Move to Partner files"}
    assert set(standing().values()) == {"Newsletter"}
    axe(page)
    dialog.get_by_role("button", name="Detach 3, move 1, remove").click()
    expect(page.locator(".toast").get_by_text("Newsletter is removed.")).to_be_visible()
    assert standing() == {"Alpha": "", "Beta": "Partner files", "Gamma": "", "Late one": ""}


def test_without_script(
    sign_in: SignIn,
    new_context: NewContext,
    admin: User,
    url: str,
    live_server: LiveServer,
    other: Connection,
    connection: Connection,
) -> None:
    page = sign_in(admin, context=new_context(java_script_enabled=False))
    page.goto(url)
    command(page, "Remove").click()
    page.get_by_role("button", name="See what's using this connection").click()
    page.get_by_label("Apply to all").select_option(label="Move to Partner files")
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(what_to_do(page, "Alpha")).to_have_value(f"move:{other.uuid}")
    what_to_do(page, "Gamma").select_option(label="Remove")
    page.get_by_role("button", name="Show what will happen").click()
    outcome = page.get_by_role("region", name="What will happen")
    expect(outcome).to_contain_text(
        "2 exports go on over Partner files. 1 export is removed with its history"
    )
    page.get_by_role("button", name="Move 2, remove 1, remove").click()
    assert page.url == f"{live_server.url}/settings/connections/exports/"
    assert standing() == {"Alpha": "Partner files", "Beta": "Partner files"}

    # and back again, by the list of what was removed
    page.get_by_role("link", name="Removed (1)").click()
    page.get_by_role("link", name="Restore Newsletter").click()
    page.get_by_label("Display name").fill("Newsletter again")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("heading", level=1, name="Newsletter again")).to_be_visible()
    expect(page.locator(".title-row .tag")).to_have_text("Paused")
    assert Connection.objects.get(uuid=connection.uuid).name == "Newsletter again"


def test_settled_on_their_own_pages(sign_in: SignIn, admin: User, url: str) -> None:
    """The article's own path: the list of them, *Back to removing*, remove."""
    page = sign_in(admin)
    dialog = opened(page, url)
    dialog.get_by_role("link", name="Settle them on their own pages instead").click()
    page.locator("[data-select-all]").check()
    page.get_by_role("group", name="Commands").get_by_role("button", name="Detach connection").click()
    page.get_by_role("dialog").get_by_role("button", name="Detach connection").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("link", name="Back to removing Newsletter").click()
    expect(page.get_by_text("Nothing uses it.")).to_be_visible()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator(".toast").get_by_text("Newsletter is removed.")).to_be_visible()
    assert not Connection.objects.exists()


def test_moving_and_restoring_in_dialogs(
    sign_in: SignIn, admin: User, url: str, live_server: LiveServer, other: Connection, axe: Check
) -> None:
    page = sign_in(admin)
    page.goto(url)
    command(page, "Move").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Move to").select_option(label="Partner files")
    outcome = dialog.get_by_role("region", name="What will happen")
    expect(outcome).to_contain_text("3 exports go on over Partner files.")
    expect(dialog.get_by_label("Move to")).to_be_focused()
    axe(page)
    dialog.get_by_role("button", name="Move", exact=True).click()
    expect(page.locator(".toast").get_by_text("3 are moved to Partner files.")).to_be_visible()
    assert set(standing().values()) == {"Partner files"}

    command(page, "Remove").click()
    expect(dialog.get_by_text("Nothing uses it.")).to_be_visible()
    axe(page)
    dialog.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("link", name="Removed (1)").click()
    page.get_by_role("link", name="Restore Newsletter").click()
    expect(dialog.get_by_label("Display name")).to_have_value("Newsletter")
    axe(page)
    dialog.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("heading", level=1, name="Newsletter")).to_be_visible()


def test_removed_in_another_tab(sign_in: SignIn, admin: User, url: str, live_server: LiveServer) -> None:
    first, second = sign_in(admin), sign_in(admin)
    for page in (first, second):
        opened(page, url)
    first.get_by_role("dialog").get_by_role("button", name="Detach 3, remove").click()
    expect(first.locator(".toast").get_by_text("Newsletter is removed.")).to_be_visible()
    second.get_by_role("dialog").get_by_role("button", name="Detach 3, remove").click()
    expect(second.locator(".toast").get_by_text("The connection was removed meanwhile.")).to_be_visible()
    assert second.url == f"{live_server.url}/settings/connections/exports/"
