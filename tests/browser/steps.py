"""What people do in the portal, as steps that browser tests and the screenshots share."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser.running import Portal

RUN_MILLISECONDS = 60_000
CONNECTION = "Newsletter, sandbox"
EXPORT = "Loyalty mailing"
PASTE = """(field, text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const paste = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
    if (field.dispatchEvent(paste)) field.value = text;
    field.dispatchEvent(new Event("input", {bubbles: true}));
    field.dispatchEvent(new Event("change", {bubbles: true}));
}"""


def nothing(page: Page) -> None:
    """A look that sees nothing."""


def sign_in(page: Page, portal: Portal, username: str) -> None:
    """Through the sign-in page, to Home."""
    page.goto(portal.url)
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(portal.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Hello")


def sign_out(page: Page) -> None:
    """By the account menu."""
    page.get_by_role("button", name="your account").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def open_set_up(page: Page, portal: Portal) -> Locator:
    """Settings > Connections > Discover > Set up; the open pane."""
    page.goto(f"{portal.url}/settings/connections/")
    page.get_by_role("link", name="Set up SFTP", exact=True).click()
    pane = page.get_by_role("dialog")
    expect(pane.get_by_role("heading", name="Set up SFTP connection")).to_be_visible()
    return pane


def fill_set_up(pane: Locator, portal: Portal, name: str) -> None:
    """Name, access, the pasted address and the password."""
    pane.get_by_label("Display name").fill(name)
    pane.get_by_label("Administrators and contributors").check()
    pane.get_by_label("Hostname").evaluate(PASTE, portal.sandbox_url)
    expect(pane.get_by_role("textbox", name="Username")).to_have_value("sandbox")
    expect(pane.get_by_role("textbox", name="Export folder")).to_have_value("incoming")
    pane.locator("#id_password").fill(portal.sandbox_password)


def set_up_connection(
    page: Page, portal: Portal, name: str = CONNECTION, look: Callable[[Page], None] = nothing
) -> None:
    """From Discover to the saved connection; ``look`` is called while the server waits to be trusted, and verified."""
    pane = open_set_up(page, portal)
    fill_set_up(pane, portal, name)
    pane.get_by_role("button", name="Verify").click()
    expect(pane.get_by_text(re.compile("SHA256:"))).to_be_visible()
    look(page)
    pane.get_by_role("button", name="Trust this server").click()
    expect(pane.locator(".steps .ok")).to_have_count(6)
    look(page)
    pane.get_by_label("I agree").check()
    pane.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def add_export(
    page: Page,
    portal: Portal,
    segments: list[str],
    name: str = EXPORT,
    look: Callable[[Page], None] = nothing,
) -> None:
    """Data > Exports > Add export, on the connection, saved and not run."""
    page.goto(f"{portal.url}/data/exports/")
    page.get_by_role("link", name="Add export").first.click()
    page.get_by_label("Display name").fill(name)
    page.get_by_label("Connection for export").select_option(label=CONNECTION)
    expect(page.get_by_text("Compression")).to_be_visible()
    for segment in segments:
        page.get_by_role("checkbox", name=re.compile(segment)).check()
    look(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    expect(page.get_by_text("Not started").first).to_be_visible()


def run_export(page: Page) -> None:
    """*Run* on the export's page, watched until it is successful."""
    page.get_by_role("button", name="Run", exact=True).first.click()
    expect(page.get_by_text("Successful").first).to_be_visible(timeout=RUN_MILLISECONDS)
