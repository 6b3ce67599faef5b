"""*Share* in a browser: by keyboard alone in the pane, and what the first answer asks."""

import datetime as dt
import re

from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from connections.models import Access, Connection
from connections_portal.models import User
from connections_portal.roles import Role
from exports.models import Export, ScheduleKind
from exports.operations.edit import Timing
from tests.browser.conftest import Check, SignIn
from tests.factories import make_connection
from tests.fixtures import make_person
from tests.runs.helpers import make_export

CALLED = """e => [e.ariaLabel, e.labels && [...e.labels].map(l => l.textContent).join(" "), e.textContent]
    .filter(Boolean).join(" ").trim()"""


def press_until(page: Page, name: str, *, key: str = "Tab", most: int = 20) -> None:
    """Press the key until what has the focus is called ``name``."""
    for _press in range(most):
        page.keyboard.press(key)
        focused = page.locator(":focus")
        if focused.count() and re.search(name, focused.evaluate(CALLED)):
            return
    raise AssertionError(f"{name} is not reached by {key}")


def test_by_keyboard_alone(
    sign_in: SignIn, live_server: LiveServer, admin: User, contributor: User, axe: Check
) -> None:
    for number in range(30):
        make_person(f"c{number}", Role.CONTRIBUTOR, first_name="Carla", last_name=f"Number {number}")
    connection = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])
    daily = Timing(kind=ScheduleKind.DAY, local_time=dt.time(6))
    export = make_export(connection, actor=contributor, schedule=daily)
    page = sign_in(admin)
    page.goto(f"{live_server.url}/settings/connections/{connection.uuid}/")
    press_until(page, "^Share$")
    page.keyboard.press("Enter")
    pane = page.get_by_role("dialog")
    expect(pane.get_by_role("heading", name="Share Newsletter, SFTP EU")).to_be_visible()
    expect(pane.get_by_label("Specific people")).to_be_checked()
    press_until(page, "Search people and groups")
    page.keyboard.type("number 29")
    expect(pane.get_by_label("Carla Number 29")).to_be_visible()
    expect(page.locator("#pane [data-live]")).to_have_text("1 found.")
    # Enter in the search box searches, and saves nothing
    page.keyboard.press("Enter")
    expect(pane.get_by_label("Carla Number 29")).to_be_visible()
    press_until(page, "Carla Number 29")
    page.keyboard.press("Space")
    press_until(page, "Ana Weber", key="Shift+Tab")
    page.keyboard.press("Space")
    axe(page)
    press_until(page, "^Save$")
    page.keyboard.press("Enter")
    asked = pane.get_by_role("region", name="What this means")
    expect(asked).to_be_focused()
    expect(asked).to_contain_text("1 export keeps running. Ana Weber can no longer change it.")
    axe(page)
    assert Connection.objects.get().version == 1
    press_until(page, "Keep them running")
    page.keyboard.press("ArrowDown")
    expect(pane.get_by_label("Turn their schedules off")).to_be_checked()
    page.keyboard.press("ArrowUp")
    press_until(page, "^Save and withdraw$")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Who can use Newsletter, SFTP EU is saved.")).to_be_visible()
    expect(page.get_by_text("Administrators, Carla Number 29")).to_be_visible()
    export.refresh_from_db()
    assert export.responsible == admin


def test_taking_over(
    sign_in: SignIn, live_server: LiveServer, admin: User, contributor: User, axe: Check
) -> None:
    connection = make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])
    export = make_export(connection, actor=contributor)
    connection.user_grants.all().delete()
    page = sign_in(admin)
    page.goto(f"{live_server.url}/data/exports/{export.uuid}/")
    axe(page)
    page.get_by_role("button", name="Take over").click()
    expect(page.get_by_text("You are responsible for Loyal customers now.")).to_be_visible()
    expect(page.get_by_role("button", name="Take over")).to_have_count(0)
    assert Export.objects.get().responsible == admin


def test_the_picker_of_somebody_else(
    sign_in: SignIn, live_server: LiveServer, admin: User, contributor: User, axe: Check
) -> None:
    make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])
    page = sign_in(admin)
    page.goto(f"{live_server.url}/settings/connections/see-as/")
    axe(page)
    page.get_by_role("link", name="Ana Weber").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("As Ana Weber sees it")
    expect(page.get_by_label("Connection for export").locator("option")).to_have_text(
        ["Choose a connection", "Newsletter, SFTP EU"]
    )
    axe(page)
