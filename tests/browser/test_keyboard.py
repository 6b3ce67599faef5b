"""The whole work by keyboard alone: no click anywhere in this file."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import steps
from tests.browser.running import Portal, running_portal

# What has the focus is to be seen, and nothing behind an open dialog gets it.
FOCUS = """() => {
    const focused = document.activeElement;
    const above = [...document.querySelectorAll("dialog[open]")].pop();
    if (focused === document.body) return "";
    if (above && !above.contains(focused)) return "behind the dialog: " + focused.outerHTML.slice(0, 120);
    const box = focused.getBoundingClientRect();
    const ring = getComputedStyle(focused);
    const wrapped = focused.closest(".affix, .search-box");
    const shown = ring.outlineStyle !== "none" || (wrapped && getComputedStyle(wrapped).outlineStyle !== "none");
    if (!box.width || !box.height) return "not to be seen: " + focused.outerHTML.slice(0, 120);
    return shown ? "" : "no focus ring: " + focused.outerHTML.slice(0, 120);
}"""


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own: ten verifications a minute are soon used up by others."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


def tab_to(page: Page, target: Locator, key: str = "Tab", most: int = 120) -> None:
    """Press the key until the target has the focus; what has it on the way can be seen."""
    for _press in range(most):
        page.keyboard.press(key)
        wrong = page.evaluate(FOCUS)
        assert not wrong, wrong
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{target} cannot be reached with {key}")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Go there and press it."""
    tab_to(page, target)
    page.keyboard.press(key)


def command(page: Page, role: str, name: str) -> Locator:
    return page.get_by_role("group", name="Commands").get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]


def said(page: Page) -> Locator:
    """What is read out beside the open pane or dialog, or without one."""
    return page.locator("dialog[open] > [data-live], body:not(:has(dialog[open])) > [data-live]")


def sign_in(page: Page, portal: Portal) -> None:
    page.goto(portal.url)
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(portal.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Hello")


@pytest.mark.timeout(240)
def test_from_signing_in_to_removing_several(portal: Portal, page: Page) -> None:
    sign_in(page, portal)
    page.goto(f"{portal.url}/settings/connections/")
    set_up(page, portal)
    rename(page)
    share(page)
    pause_and_resume(page)
    build_and_run(page, portal)
    remove_several(page, portal)


def set_up(page: Page, portal: Portal) -> None:
    """Set up, verify, trust, agree, save; a wrong host name on the way."""
    keys = page.keyboard
    opener = page.get_by_role("link", name="Set up SFTP", exact=True)
    press(page, opener)
    pane = page.get_by_role("dialog")
    expect(pane.get_by_label("Display name")).to_be_focused()
    keys.press("Escape")
    expect(pane).to_have_count(0)
    expect(opener).to_be_focused()
    keys.press("Enter")
    expect(pane.get_by_label("Display name")).to_be_focused()
    keys.type(steps.CONNECTION)
    tab_to(page, pane.get_by_label("Administrators", exact=True))
    keys.press("ArrowDown")
    expect(pane.get_by_label("Administrators and contributors")).to_be_checked()

    host = pane.get_by_label("Hostname")
    tab_to(page, host)
    keys.type("no host")
    press(page, pane.get_by_role("button", name="Verify"))
    # the first field that is wrong
    expect(pane.get_by_role("textbox", name="Username")).to_be_focused()
    expect(host).to_have_attribute("aria-invalid", "true")
    error = pane.locator("#id_hostname_error")
    expect(error).to_be_visible()
    tab_to(page, host)
    keys.press("Control+a")
    # an address typed letter by letter is taken apart when it is whole
    keys.type(portal.sandbox_url)
    expect(error).to_have_count(0)
    expect(host).not_to_have_attribute("aria-invalid", "true")
    tab_to(page, pane.locator("#id_password"), "Shift+Tab")
    expect(pane.get_by_role("textbox", name="Username")).to_have_value("sandbox")
    expect(pane.get_by_role("textbox", name="Export folder")).to_have_value("incoming")
    keys.type(portal.sandbox_password)
    press(page, pane.get_by_role("button", name="Verify"))
    trust = pane.get_by_role("button", name="Trust this server")
    expect(trust).to_be_visible()
    expect(said(page)).to_have_text("Waits for you")
    expect(pane.get_by_role("button", name="Verify")).to_be_focused()
    press(page, trust)
    expect(pane.locator(".steps .ok")).to_have_count(6)
    expect(said(page)).to_have_text("Verified")
    expect(pane.get_by_role("button", name="Verify")).to_be_focused()
    save = pane.get_by_role("button", name="Save", exact=True)
    press(page, save)
    agree = pane.get_by_label("I agree")
    expect(agree).to_be_focused()
    keys.press("Space")
    expect(agree).to_be_checked()
    press(page, save)
    expect(page.get_by_role("heading", level=1, name=steps.CONNECTION)).to_be_visible()


def rename(page: Page) -> None:
    press(page, command(page, "link", "Edit"))
    pane = page.get_by_role("dialog")
    name = pane.get_by_label("Display name")
    expect(name).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("Renamed by keyboard")
    press(page, pane.get_by_role("button", name="Save", exact=True))
    expect(page.get_by_role("heading", level=1, name="Renamed by keyboard")).to_be_visible()


def share(page: Page) -> None:
    """With one person that is searched for."""
    press(page, command(page, "link", "Share"))
    pane = page.get_by_role("dialog")
    expect(pane.get_by_label("Administrators and contributors")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(pane.get_by_label("Specific people")).to_be_checked()
    tab_to(page, pane.get_by_label("Search people and groups"))
    page.keyboard.type("okafor-klein")
    expect(said(page)).to_have_text("1 found.")
    person = pane.get_by_role("checkbox", name=re.compile("Okafor-Klein"))
    press(page, person, "Space")
    expect(person).to_be_checked()
    press(page, pane.get_by_role("button", name="Save", exact=True))
    expect(pane).to_have_count(0)
    expect(page.get_by_text("Administrators, Ben Okafor-Klein").first).to_be_visible()


def pause_and_resume(page: Page) -> None:
    opener = command(page, "link", "Pause")
    press(page, opener)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".title-row .tag")).to_have_text("Paused")
    press(page, command(page, "link", "Resume"))
    pane = page.get_by_role("dialog")
    press(page, pane.get_by_role("button", name="Verify"))
    expect(said(page)).to_have_text("Verified")
    press(page, pane.get_by_role("button", name="Save and resume"))
    expect(page.locator(".title-row .tag")).to_have_text("Ready")


def build_and_run(page: Page, portal: Portal) -> None:
    page.goto(f"{portal.url}/data/exports/new/")
    tab_to(page, page.get_by_label("Display name"))
    page.keyboard.type("By keyboard")
    tab_to(page, page.get_by_label("Connection for export"))
    page.keyboard.type("Renamed")
    expect(page.get_by_label("Compression")).to_be_visible()
    expect(page.get_by_label("Connection for export")).to_be_focused()
    press(page, page.get_by_role("button", name="Save", exact=True))
    first = page.locator("[name=items]").first
    expect(page.locator("#form-errors")).to_be_visible()
    press(page, first, "Space")
    press(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.get_by_role("heading", level=1, name="By keyboard")).to_be_visible()
    press(page, page.get_by_role("button", name="Create duplicate"))
    expect(page.get_by_role("heading", level=1, name=re.compile(r"By keyboard \("))).to_be_visible()
    page.goto(f"{portal.url}/data/exports/")
    press(page, page.get_by_role("link", name="By keyboard", exact=True))
    expect(page.get_by_role("heading", level=1, name="By keyboard")).to_be_visible()
    press(page, command(page, "button", "Run"))
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()
    expect(page.get_by_text("Successful").first).to_be_visible(timeout=steps.RUN_MILLISECONDS)
    expect(said(page)).to_contain_text("Successful")


def remove_several(page: Page, portal: Portal) -> None:
    page.goto(f"{portal.url}/data/exports/")
    search = page.get_by_role("searchbox")
    tab_to(page, search)
    page.keyboard.type("by keyboard")
    page.wait_for_url("**q=by**")
    expect(said(page)).to_have_text("2 found.")
    expect(search).to_be_focused()
    for box in page.locator("[data-select]").all():
        press(page, box, "Space")
    expect(page.get_by_role("status").filter(has_text="2 selected")).to_be_visible()
    remove = command(page, "button", "Remove")
    tab_to(page, remove, "Shift+Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Remove")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(remove).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Remove")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".toast").get_by_text("2 exports were removed.")).to_be_visible()
    expect(page.get_by_text("Nothing matches", exact=True)).to_be_visible()
    expect(page.locator("body")).not_to_be_focused()
