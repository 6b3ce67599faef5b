"""Every page, light and dark, wide and narrow: axe finds nothing, nothing scrolls sideways, no script error."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.pages import prepare, visit
from tests.browser.running import Portal, running_portal

NewContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal for all looks."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


@pytest.fixture(scope="module")
def filled(portal: Portal, browser: object) -> dict[str, str]:
    """A connection, an export and a run in it."""
    context = browser.new_context()  # type: ignore[attr-defined]
    try:
        return prepare(context.new_page(), portal)
    finally:
        context.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]
)
def test_every_page(
    portal: Portal,
    filled: dict[str, str],
    page: Page,
    axe: Callable[[Page], None],
    width: int,
    scheme: Literal["light", "dark"],
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for name in visit(page, portal, filled):
        axe(page)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{name} scrolls sideways by {overflow} px"


@pytest.mark.timeout(120)
def test_keyboard_only(portal: Portal, filled: dict[str, str], page: Page) -> None:
    """Sign in, open the pane, fill it and verify without touching a mouse; focus comes back to where it was."""
    keys = page.keyboard
    page.goto(portal.url)
    page.get_by_label("Username").focus()
    keys.type("admin")
    keys.press("Tab")
    keys.type(portal.password)
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Hello")
    page.goto(f"{portal.url}/settings/connections/")
    opener = page.get_by_role("link", name="Set up SFTP")
    opener.focus()
    keys.press("Enter")
    pane = page.get_by_role("dialog")
    expect(pane.get_by_label("Display name")).to_be_focused()
    keys.press("Escape")
    expect(pane).to_have_count(0)
    expect(opener).to_be_focused()
    keys.press("Enter")
    expect(pane.get_by_label("Display name")).to_be_focused()
    for _step in range(40):
        keys.press("Tab")
        if pane.get_by_role("button", name="Save").evaluate("button => button === document.activeElement"):
            break
    keys.press("Enter")
    expect(pane.get_by_label("Display name")).to_be_focused()
    expect(pane.get_by_label("Display name")).to_have_attribute("aria-invalid", "true")
