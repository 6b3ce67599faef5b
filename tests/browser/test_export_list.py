"""The list of exports by keyboard and through Back: several selected, run, removed; the list stays as it was."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections.models import Access
from connections_portal.models import User
from exports.item import Item
from exports.models import Export, ExportRun, ItemKind, ScheduleKind
from exports.operations.edit import Timing, create_export
from tests.data import write_customers
from tests.factories import make_connection

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[..., Page]
Check = Callable[[Page], None]
NewContext = Callable[..., BrowserContext]
LOYAL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("customer_id", "email"))
DAILY = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6, 0), zone="Europe/Berlin")


@pytest.fixture
def exports(admin: User, contributor: User, tmp_path: Path, settings: Settings) -> list[Export]:
    """Thirty exports of the contributor, and one on a connection that is not shared with them."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    shared = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])
    hidden = make_connection(actor=admin, name="Board reports")
    made = [
        create_export(
            name=f"Mailing {number:02}",
            connection=shared,
            options={},
            items=[LOYAL],
            schedule=DAILY if number % 2 else Timing(),
            actor=contributor,
        )
        for number in range(1, 31)
    ]
    made.append(
        create_export(
            name="Mailing of the board",
            connection=hidden,
            options={},
            items=[LOYAL],
            schedule=Timing(),
            actor=admin,
        )
    )
    return made


@pytest.fixture
def page(exports: list[Export], contributor: User, sign_in: SignIn) -> Page:
    """A window in which the contributor is signed in."""
    return sign_in(contributor)


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("checkbox", name=f"Select {name}", exact=True)


def command(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name="Commands").get_by_role("button", name=name, exact=True)


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press the key until the target has the focus, as somebody without a mouse does."""
    for _press in range(150):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{target} cannot be reached with {key}")


def shown(page: Page) -> list[str]:
    return page.locator("#exports-table .name").all_inner_texts()


@pytest.mark.timeout(120)
def test_several_are_run_and_removed_by_keyboard_alone(
    page: Page, live_server: LiveServer, axe: Check
) -> None:
    page.goto(f"{live_server.url}/data/exports/?sort=-name")
    expect(command(page, "Run")).to_have_count(0)
    for name in ("Mailing of the board", "Mailing 29", "Mailing 28"):
        tab_to(page, box(page, name))
        page.keyboard.press("Space")
    expect(page.get_by_text("3 selected")).to_be_visible()
    expect(command(page, "Edit")).to_have_count(0)
    axe(page)

    tab_to(page, command(page, "Run"), "Shift+Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Run exports (2)")
    expect(dialog.get_by_text("Mailing 29, Mailing 28")).to_be_visible()
    expect(dialog.get_by_text("You cannot change it")).to_be_visible()
    axe(page)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(command(page, "Run")).to_be_focused()
    expect(page.get_by_text("3 selected")).to_be_visible()

    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Run")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 runs are queued.")).to_be_visible()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("Running now")).to_have_count(2)
    expect(page.get_by_role("checkbox", name="Select all exports on this page")).to_be_focused()
    assert sorted(ExportRun.objects.values_list("export__name", flat=True)) == ["Mailing 28", "Mailing 29"]

    for name in ("Mailing 30", "Mailing 29"):
        tab_to(page, box(page, name))
        page.keyboard.press("Space")
    tab_to(page, command(page, "Remove"), "Shift+Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Remove exports (2)")
    expect(dialog.get_by_role("button", name="Remove")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 exports were removed.")).to_be_visible()
    expect(box(page, "Mailing 30")).to_have_count(0)
    assert shown(page)[:2] == ["Mailing of the board", "Mailing 28"]
    assert page.url.endswith("?sort=-name")
    assert not Export.objects.filter(name__in=["Mailing 29", "Mailing 30"]).exists()


def test_a_command_that_could_not_do_all_says_what_it_did_not(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/data/exports/")
    for name in ("Mailing 01", "Mailing 02"):
        box(page, name).check()
    command(page, "Detach connection").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Mailing 01, Mailing 02")).to_be_visible()
    Export.objects.get(name="Mailing 02").delete()
    dialog.get_by_role("button", name="Detach connection").click()
    expect(dialog.get_by_text("1 export has no connection any more.")).to_be_visible()
    expect(dialog.get_by_text("Unknown export")).to_be_visible()
    dialog.get_by_role("link", name="Close").last.click()
    expect(page.get_by_role("row", name="Mailing 01").get_by_text("No Connection")).to_be_visible()
    expect(box(page, "Mailing 02")).to_have_count(0)
    expect(page.get_by_text("selected")).to_have_count(0)


def test_ranges_and_escape(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/data/exports/")
    box(page, "Mailing 03").click()
    expect(command(page, "Rename")).to_be_visible()
    box(page, "Mailing 07").click(modifiers=["Shift"])
    expect(page.get_by_text("5 selected")).to_be_visible()
    box(page, "Mailing 05").click()
    expect(page.get_by_text("4 selected")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("selected")).to_have_count(0)
    expect(box(page, "Mailing 03")).not_to_be_checked()
    box(page, "Mailing 09").focus()
    page.keyboard.press("Space")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.keyboard.press("Enter")  # sends nothing
    expect(page.get_by_text("1 selected")).to_be_visible()
    command(page, "Rename").click()
    expect(page.get_by_role("dialog", name="Rename export")).to_be_visible()
    assert [url.rsplit("/", 2)[1] for url in sent] == ["rename"]


@pytest.mark.timeout(120)
def test_back_brings_the_list_as_it_was(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/data/exports/")
    page.get_by_role("searchbox").fill("mailing")
    page.wait_for_url("**q=mailing**")
    page.get_by_role("link", name="Schedule").click()
    page.wait_for_url("**sort=schedule**")
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**page=2**")
    expect(page.get_by_text("26–31 of 31")).to_be_visible()
    second = shown(page)
    page.get_by_role("link", name=second[2], exact=True).click()
    expect(page.get_by_role("heading", level=1, name=second[2])).to_be_visible()

    page.go_back()
    expect(page.get_by_text("26–31 of 31")).to_be_visible()
    assert shown(page) == second
    expect(page.get_by_role("searchbox")).to_have_value("mailing")
    page.go_back()
    expect(page.get_by_text("1–25 of 31")).to_be_visible()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Schedule")
    page.go_back()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Display name")
    expect(page.get_by_role("searchbox")).to_have_value("mailing")
    page.go_forward()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Schedule")


def test_rename_leaves_search_and_page_alone(page: Page, live_server: LiveServer, axe: Check) -> None:
    page.goto(f"{live_server.url}/data/exports/?q=mailing&page=2")
    page.get_by_role("button", name="More actions for Mailing 27").click()
    page.get_by_role("link", name="Rename").click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("Display name")
    expect(field).to_be_focused()
    field.fill("mailing 01")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("link", name="Display name")).to_be_visible()
    expect(field).to_have_value("mailing 01")
    axe(page)
    field.fill("Mailing 27 renamed")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("link", name="Mailing 27 renamed")).to_be_visible()
    assert page.url.endswith("?q=mailing&page=2")
    expect(page.get_by_role("button", name="More actions for Mailing 27 renamed")).to_be_focused()


def test_without_script_boxes_and_commands_are_a_form(
    exports: list[Export],
    contributor: User,
    sign_in: SignIn,
    new_context: NewContext,
    live_server: LiveServer,
) -> None:
    page = sign_in(contributor, context=new_context(java_script_enabled=False))
    page.goto(f"{live_server.url}/data/exports/?q=mailing&page=2")
    expect(page.get_by_role("checkbox", name="Select all exports on this page")).to_have_count(0)
    expect(command(page, "Edit")).to_have_count(0)
    box(page, "Mailing 28").check()
    box(page, "Mailing of the board").check()
    command(page, "Schedule").click()
    expect(page.get_by_role("heading", level=1, name="Schedule exports (1)")).to_be_visible()
    page.get_by_label("Every day").check()
    page.locator("#schedule_time").fill("07:15")
    page.get_by_role("button", name="Schedule").click()
    expect(page.locator(".message-bar.ok")).to_contain_text("1 export is scheduled.")
    assert page.url.endswith("/data/exports/?q=mailing&page=2")
    expect(page.get_by_role("row", name="Mailing 28").get_by_text("Every day at 07:15 (UTC)")).to_be_visible()
    command(page, "Remove").click()
    expect(page.get_by_text("Nothing is selected. Tick the rows first.")).to_be_visible()
    page.get_by_role("link", name="Close").last.click()
    assert page.url.endswith("/data/exports/?q=mailing&page=2")


@pytest.mark.parametrize("width", [320, 390, 1000])
def test_narrow_windows_have_every_command(page: Page, live_server: LiveServer, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_server.url}/data/exports/")
    for name in ("Mailing 01", "Mailing 02"):
        box(page, name).check()
    for name in ("Run", "Schedule", "Detach connection", "Remove", "Clear selection"):
        expect(command(page, name)).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
