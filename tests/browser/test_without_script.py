"""The whole path with JavaScript switched off."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser import steps
from tests.browser.pages import prepare
from tests.browser.running import Portal, running_portal

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own: ten verifications a minute are soon used up by others."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


@pytest.fixture(scope="module")
def filled(portal: Portal, browser: Browser) -> dict[str, str]:
    """A connection, an export and a run in it."""
    context = browser.new_context()
    try:
        return prepare(context.new_page(), portal)
    finally:
        context.close()


@pytest.mark.timeout(120)
def test_without_script(portal: Portal, filled: dict[str, str], new_context: NewContext) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(portal.url)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(portal.password)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{portal.url}/settings/connections/exports/?q=newsletter")
    expect(page.get_by_role("link", name=steps.CONNECTION)).to_be_visible()

    # set up, with everything that was typed kept from page to page
    page.goto(f"{portal.url}/settings/connections/")
    page.get_by_role("link", name="Set up SFTP", exact=True).click()
    page.get_by_label("Display name").fill("Without script")
    page.get_by_label("Hostname").fill(portal.sandbox_url)
    page.locator("#id_password").fill(portal.sandbox_password)
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Kept for this set-up until")).to_be_visible()
    expect(page.get_by_role("textbox", name="Username")).to_have_value("sandbox")
    expect(page.get_by_label("Display name")).to_have_value("Without script")
    page.get_by_role("button", name="Trust this server").click()
    expect(page.locator(".steps .ok")).to_have_count(6)
    page.get_by_label("I agree").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1, name="Without script")).to_be_visible()

    # build and run an export
    page.goto(f"{portal.url}/data/exports/new/")
    page.get_by_label("Display name").fill("Export without script")
    page.get_by_label("Connection for export").select_option(label="Without script")
    page.get_by_role("checkbox", name="Store opening guests").check()
    page.get_by_role("button", name="Use this connection").click()
    expect(page.get_by_label("Display name")).to_have_value("Export without script")
    expect(page.get_by_role("checkbox", name="Store opening guests")).to_be_checked()
    page.get_by_role("button", name="Save and run").click()
    for _attempt in range(60):
        if page.get_by_text("Successful").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text("Successful").first).to_be_visible()
