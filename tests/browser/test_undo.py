"""*Undo* in a browser: by keyboard from a toast that takes no focus, and without script."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import steps
from tests.browser.pages import prepare
from tests.browser.running import Portal, running_portal
from tests.browser.test_keyboard import press, tab_to

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


@pytest.fixture(scope="module")
def filled(portal: Portal, browser: Browser) -> dict[str, str]:
    context = browser.new_context()
    try:
        return prepare(context.new_page(), portal)
    finally:
        context.close()


@pytest.fixture
def export(portal: Portal, filled: dict[str, str], page: Page) -> str:
    """The address of an export with a connection; an administrator is signed in."""
    steps.sign_in(page, portal, "admin")
    return f"{portal.url}/data/exports/{filled['export']}/"


def detach(page: Page, export: str) -> None:
    """Detach by keyboard; the toast has come."""
    page.goto(export)
    press(page, page.get_by_role("link", name="Detach connection"))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    press(page, dialog.get_by_role("button", name="Detach connection"))
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def connection_used(page: Page) -> str:
    return (
        page.locator("dt", has_text="Connection used").locator("xpath=following-sibling::dd[1]").inner_text()
    )


@pytest.mark.timeout(120)
def test_by_keyboard_from_a_toast_that_takes_no_focus(page: Page, export: str) -> None:
    detach(page, export)
    undo = page.get_by_role("button", name="Undo")
    toasts = page.locator("#toasts")
    expect(toasts).to_have_attribute("role", "status")  # announced politely
    expect(toasts).to_contain_text("has no connection any more.")
    assert not undo.evaluate("element => element === document.activeElement")
    assert "No Connection" in connection_used(page)
    tab_to(page, undo, most=3)  # soon after the beginning of the page
    page.keyboard.press("Enter")
    expect(toasts).to_contain_text("again")
    expect(undo).to_have_count(0)
    assert "No Connection" not in connection_used(page)

    # and by its shortcut, but not while something is typed
    detach(page, export)
    page.keyboard.press("Control+z")
    expect(toasts).to_contain_text("again")
    assert "No Connection" not in connection_used(page)


@pytest.mark.timeout(120)
def test_in_the_list_the_focus_stays_somewhere(portal: Portal, page: Page, export: str) -> None:
    page.goto(f"{portal.url}/data/exports/")
    row = (
        page.get_by_role("row").filter(has=page.locator(f'a[href="{export.removeprefix(portal.url)}"]')).first
    )
    row.get_by_role("checkbox").check()
    page.get_by_role("group", name="Commands").get_by_role("button", name="Detach connection").click()
    page.get_by_role("dialog").get_by_role("button", name="Detach connection").click()
    expect(row).to_contain_text("No Connection")
    waiting = page.locator("#waiting")
    expect(waiting).to_contain_text("for a connection")
    before = waiting.inner_text()
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")
    expect(row).not_to_contain_text("No Connection")
    expect(waiting).not_to_have_text(before)
    expect(undo).to_have_count(0)
    assert page.evaluate("document.activeElement !== document.body")


@pytest.mark.timeout(120)
def test_the_button_goes_after_ten_seconds(page: Page, export: str) -> None:
    page.clock.install()
    detach(page, export)
    page.clock.run_for(9_000)
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.clock.run_for(1_500)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    page.goto(export)
    press(page, page.get_by_role("link", name="Add connection"))
    page.get_by_role("dialog").get_by_role("combobox").select_option(index=1)
    page.get_by_role("dialog").get_by_role("button", name="Add connection").click()
    expect(page.locator("#toasts")).to_contain_text("now uses")


@pytest.mark.timeout(120)
def test_without_script(portal: Portal, filled: dict[str, str], new_context: NewContext) -> None:
    page = new_context(java_script_enabled=False).new_page()
    steps.sign_in(page, portal, "admin")
    page.goto(f"{portal.url}/data/exports/{filled['export']}/detach/")
    page.get_by_role("button", name="Detach connection").click()
    assert "No Connection" in connection_used(page)
    page.get_by_role("button", name="Undo").click()
    assert "again" in str(page.locator(".message-bar.ok").text_content())  # in noscript, which finds no text
    assert "No Connection" not in connection_used(page)

    # offered once: the page loaded anew has no such button
    page.reload()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
