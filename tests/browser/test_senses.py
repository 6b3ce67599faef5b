"""What people need who zoom in, who have their own colours, and whom motion makes ill."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections.models import Connection
from connections_portal.models import User
from tests.browser.conftest import SignIn
from tests.data import write_customers
from tests.factories import make_connection
from tests.runs.helpers import make_export

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/settings/connections/exports/"
# 1280 × 1024 at 400 %
ZOOMED: ViewportSize = {"width": 320, "height": 256}
# Whether the middle of what has the focus is in the window, with nothing lying over it.
HIDDEN = """() => {
    const focused = document.activeElement;
    if (focused === document.body) return "";
    const box = focused.getBoundingClientRect();
    const [x, y] = [box.left + Math.min(box.width, innerWidth) / 2, box.top + Math.min(box.height, innerHeight) / 2];
    const there = document.elementFromPoint(x, y);
    const label = focused.labels && focused.labels[0];
    const shown = there && (focused.contains(there) || there.contains(focused) || (label && label.contains(there)));
    return shown ? "" : `${focused.outerHTML.slice(0, 90)} under ${there ? there.outerHTML.slice(0, 90) : "the edge"}`;
}"""
STYLE = "(element, name) => getComputedStyle(element).getPropertyValue(name)"


@pytest.fixture
def connection(admin: User, tmp_path: Path, settings: Settings) -> Connection:
    """One that an export uses, and one more for the list."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    make_connection(actor=admin, name="Another one")
    used = make_connection(actor=admin)
    make_export(used, actor=admin)
    return used


@pytest.mark.timeout(120)
def test_zoomed_in_what_has_the_focus_is_seen(
    connection: Connection, admin: User, sign_in: SignIn, live_server: LiveServer
) -> None:
    page = sign_in(admin)
    page.set_viewport_size(ZOOMED)
    for address in (
        LIST,
        "/data/exports/",
        "/data/exports/new/",
        f"/settings/connections/{connection.uuid}/",
    ):
        page.goto(live_server.url + address)
        nothing_hides_the_focus(page)
    page.goto(f"{live_server.url}/settings/connections/")
    page.get_by_role("link", name="Set up SFTP", exact=True).click()
    expect(page.get_by_role("dialog").get_by_label("Display name")).to_be_focused()
    nothing_hides_the_focus(page)


def nothing_hides_the_focus(page: Page) -> None:
    """Press Tab until the focus is back where it began, or has left the page."""
    seen = set()
    for _press in range(150):
        page.keyboard.press("Tab")
        hidden = page.evaluate(HIDDEN)
        assert not hidden, f"{page.url}: {hidden}"
        now = page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)")
        if now in seen:
            break
        seen.add(now)
    assert len(seen) > 5


def test_without_motion_nothing_moves(
    connection: Connection, admin: User, sign_in: SignIn, live_server: LiveServer
) -> None:
    moving = {}
    page = sign_in(admin)
    wishes: tuple[Literal["no-preference", "reduce"], ...] = ("no-preference", "reduce")
    for wish in wishes:
        page.emulate_media(reduced_motion=wish)
        page.goto(f"{live_server.url}/settings/connections/")
        page.get_by_role("link", name="Set up SFTP", exact=True).click()
        pane = page.get_by_role("dialog")
        expect(pane).to_be_visible()
        names = [pane.evaluate(STYLE, "animation-name")]
        names += [page.locator(".tile").first.evaluate(STYLE, "transition-property")]
        moving[wish] = [name for name in names if name not in ("none", "all")]
        if wish == "reduce":
            assert page.evaluate("document.getAnimations().length") == 0
    assert moving == {"no-preference": ["slide-in", "box-shadow, border-color"], "reduce": []}


def test_in_forced_colours_everything_is_told_apart(
    connection: Connection, admin: User, sign_in: SignIn, live_server: LiveServer
) -> None:
    page = sign_in(admin)
    page.emulate_media(forced_colors="active")
    page.goto(live_server.url + LIST)
    ticked, other = page.locator("[data-select]").all()
    ticked.focus()
    page.keyboard.press("Space")
    assert ticked.evaluate(STYLE, "outline-style") == "solid"
    assert ticked.evaluate(STYLE, "background-color") != other.evaluate(STYLE, "background-color")
    rows = page.locator("tbody tr")
    assert [row.evaluate(STYLE, "outline-style") for row in rows.all()] == ["solid", "none"]
    current = page.locator(".tabs [aria-current]")
    line = "element => getComputedStyle(element, '::after').backgroundColor"
    assert current.evaluate(line) != page.locator("main").evaluate(STYLE, "background-color")
    for button in page.get_by_role("group", name="Commands").get_by_role("button").all():
        assert button.evaluate(STYLE, "border-top-style") == "solid"
        assert button.evaluate(STYLE, "border-top-color") != button.evaluate(STYLE, "background-color")
    page.goto(f"{live_server.url}/settings/connections/{connection.uuid}/")
    tag = page.locator(".title-row .tag")
    assert tag.evaluate(STYLE, "border-top-style") == "solid"
    for icon in page.locator(".steps .icon").all():
        assert icon.evaluate(STYLE, "fill") != page.locator("body").evaluate(STYLE, "background-color")
