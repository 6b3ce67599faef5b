"""The list of connections in a browser: filters and order come back, several are removed, no name breaks the table."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from connections.models import Connection, State
from connections_portal.models import User
from exports.models import Export
from tests.factories import make_connection

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[..., Page]
Check = Callable[[Page], None]
NewContext = Callable[..., BrowserContext]
LIST = "/settings/connections/exports/"
LONG = "A name as long as somebody types it who wants to say everything in it, and then some more of it too"


@pytest.fixture
def connections(admin: User) -> list[Connection]:
    """Thirty, the last of them used; every third one is paused."""
    made = [make_connection(actor=admin, name=f"Place {number:02}") for number in range(30)]
    Connection.objects.filter(pk__in=[connection.pk for connection in made[::3]]).update(state=State.PAUSED)
    Export.objects.create(
        name="Mailing", name_key="mailing", folder_name="mailing", connection=made[29], type_key="sftp"
    )
    return made


@pytest.fixture
def page(connections: list[Connection], admin: User, sign_in: SignIn) -> Page:
    """A window in which the administrator is signed in."""
    return sign_in(admin)


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("checkbox", name=f"Select {name}", exact=True)


def command(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="Commands").get_by_role("button", name=name, exact=True)


def shown(page: Page) -> list[str]:
    return page.locator("#connections-table .name").all_inner_texts()


@pytest.mark.timeout(120)
def test_back_brings_filters_order_and_page(page: Page, live_server: LiveServer, axe: Check) -> None:
    page.goto(live_server.url + LIST)
    page.get_by_label("Status").select_option("Ready")
    page.wait_for_url("**status=ready**")
    expect(page.get_by_text("1–20 of 20")).to_be_visible()
    page.get_by_role("searchbox").fill("place files.example")
    page.wait_for_url("**q=place**")
    page.get_by_role("link", name="Used by").click()
    page.wait_for_url("**sort=used**")
    axe(page)
    before = shown(page)
    assert before[-1] == "Place 29"
    page.get_by_role("link", name=before[3], exact=True).click()
    expect(page.get_by_role("heading", level=1, name=before[3])).to_be_visible()
    page.go_back()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Used by")
    assert shown(page) == before
    expect(page.get_by_label("Status")).to_have_value("ready")
    expect(page.get_by_role("searchbox")).to_have_value("place files.example")
    page.goto(f"{live_server.url}{LIST}?sort=-name")
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**page=2")
    expect(page.get_by_text("26–30 of 30")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("1–25 of 30")).to_be_visible()


@pytest.mark.timeout(120)
def test_several_are_removed(page: Page, live_server: LiveServer, axe: Check) -> None:
    page.goto(f"{live_server.url}{LIST}?sort=-name")
    for name in ("Place 29", "Place 28", "Place 27"):
        box(page, name).check()
    expect(command(page, "Edit")).to_have_count(0)
    command(page, "Remove").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Place 27, Place 28")).to_be_visible()
    expect(dialog.get_by_role("link", name="Used by 1 export.")).to_be_visible()
    axe(page)
    dialog.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("2 connections are removed.")).to_be_visible()
    expect(dialog).to_have_count(0)
    expect(box(page, "Place 28")).to_have_count(0)
    assert shown(page)[:2] == ["Place 29", "Place 26"]
    expect(page.get_by_role("checkbox", name="Select all connections on this page")).to_be_focused()
    box(page, "Place 26").check()
    expect(command(page, "Edit")).to_be_visible()
    command(page, "Share").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Share")).to_be_visible()


def test_without_script(
    connections: list[Connection],
    admin: User,
    sign_in: SignIn,
    new_context: NewContext,
    live_server: LiveServer,
) -> None:
    page = sign_in(admin, context=new_context(java_script_enabled=False))
    page.goto(live_server.url + LIST)
    page.get_by_label("Status").select_option("Paused")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("1–10 of 10")).to_be_visible()
    for name in ("Place 00", "Place 03"):
        box(page, name).check()
    command(page, "Remove").click()
    expect(page.get_by_text("Place 00, Place 03")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("1–8 of 8")).to_be_visible()
    expect(page.locator(".message-bar.ok")).to_contain_text("2 connections are removed.")


@pytest.mark.parametrize("width", [320, 390, 900, 1100, 1440])
def test_a_long_name_leaves_room_for_the_rest(page: Page, live_server: LiveServer, width: int) -> None:
    Connection.objects.filter(name="Place 00").update(name=LONG)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(live_server.url + LIST)
    row = page.get_by_role("row").filter(has_text=LONG)
    expect(row.get_by_role("button", name=f"Actions for {LONG}")).to_be_in_viewport(ratio=1)
    height = row.evaluate("element => element.getBoundingClientRect().height")
    assert height < (260 if width < 860 else 120)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for name in (LONG, "Place 01"):
        box(page, name).check()
    for name in ("Remove", "Clear selection"):
        expect(command(page, name)).to_be_in_viewport(ratio=1)
