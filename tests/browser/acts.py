"""What is done on a page before it is looked at: one function per kind of state."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser import steps
from tests.browser.running import Portal

Act = Callable[[Page, Portal], None]
# more than axes allows before it locks a name
TRIES = 5


def press(name: str) -> Act:
    """Press the first button of this name."""

    def act(page: Page, portal: Portal) -> None:
        page.locator("main").get_by_role("button", name=name, exact=True).first.click()
        page.wait_for_load_state()

    return act


def follow(name: str) -> Act:
    """A command of the command bar that opens something above the page."""

    def act(page: Page, portal: Portal) -> None:
        commands = page.get_by_role("group", name="Commands")
        commands.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("dialog").locator(".btn").first).to_be_visible()

    return act


def see_what_uses_it(page: Page, portal: Portal) -> None:
    """*Remove*, as far as the choices."""
    follow("Remove")(page, portal)
    page.get_by_role("button", name="See what's using this connection").click()
    expect(page.get_by_text("What will happen")).to_be_visible()


def move_shown(page: Page, portal: Portal) -> None:
    """*Move*, with a connection chosen."""
    follow("Move")(page, portal)
    page.get_by_label("Move to").select_option(index=1)
    expect(page.get_by_role("region", name="What will happen")).to_be_visible()


# ---- account ----


def wrong_password(page: Page, portal: Portal) -> None:
    _try_to_sign_in(page, "somebody")
    expect(page.get_by_role("alert").first).to_be_visible()


def locked_out(page: Page, portal: Portal) -> None:
    for _try in range(TRIES):
        page.goto(f"{portal.url}/sign-in/")
        _try_to_sign_in(page, "forgetful")
    expect(page.get_by_label("Password")).to_have_count(0)


def _try_to_sign_in(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("not-this-one")
    page.get_by_role("button", name="Sign in").click()


def account_menu(page: Page, portal: Portal) -> None:
    page.get_by_role("button", name="your account").click()


def old_form(page: Page, portal: Portal) -> None:
    """A form whose token is not that of the session any more."""
    token = page.locator("main [name=csrfmiddlewaretoken]")
    token.evaluate("field => { field.value = 'x'.repeat(64); }")
    press("Change password")(page, portal)


# ---- lists ----


def tick_one(page: Page, portal: Portal) -> None:
    page.locator("[data-select]").first.check()


def tick_two(page: Page, portal: Portal) -> None:
    for number in (0, 1):
        page.locator("[data-select]").nth(number).check()


def bulk(name: str, *, everything: bool = False) -> Act:
    """A command on two rows, or on all of them."""

    def act(page: Page, portal: Portal) -> None:
        if everything:
            # below its own size the table has no head; the rows are ticked one by one there
            for box in page.locator("[data-select]").all():
                box.check()
        else:
            tick_two(page, portal)
        page.get_by_role("group", name="Commands").get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("dialog").locator(".btn").first).to_be_visible()

    return act


def row_menu(page: Page, portal: Portal) -> None:
    page.get_by_role("button", name=re.compile("ctions for")).first.click()


def add_menu(page: Page, portal: Portal) -> None:
    page.get_by_role("group", name="Commands").get_by_role("button", name="Add connection").click()


def duplicate_in_list(page: Page, portal: Portal) -> None:
    row_menu(page, portal)
    page.locator("[popover]:popover-open").get_by_role("link", name="Rename").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("Renamed just now")
    dialog.get_by_role("button", name="Rename").click()
    expect(page.locator(".toast").first).to_be_visible()


# ---- connections ----


def open_details(page: Page, portal: Portal) -> None:
    page.locator("summary").first.click()


def unfold(page: Page, portal: Portal) -> None:
    for summary in page.locator("summary").all():
        summary.click()
    # where the bar at the top lies over nothing: a press scrolls what it presses into view
    page.evaluate("scrollTo(0, 0)")


def save_errors(page: Page, portal: Portal) -> None:
    page.locator("main").get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()


def set_up_pane(page: Page, portal: Portal) -> None:
    page.get_by_role("link", name="Set up SFTP", exact=True).click()
    expect(_pane(page).get_by_label("Display name")).to_be_visible()


def set_up_pane_errors(page: Page, portal: Portal) -> None:
    set_up_pane(page, portal)
    _pane(page).get_by_role("button", name="Save").click()
    expect(_pane(page).locator("[aria-invalid=true]").first).to_be_visible()


def set_up_pane_trust(page: Page, portal: Portal) -> None:
    set_up_pane(page, portal)
    steps.fill_set_up(_pane(page), portal, "Another name")
    verify(page)
    trust = _pane(page).get_by_role("button", name="Trust this server")
    expect(trust).to_be_visible()
    trust.scroll_into_view_if_needed()


def set_up_pane_verified(page: Page, portal: Portal) -> None:
    set_up_pane_trust(page, portal)
    _pane(page).get_by_role("button", name="Trust this server").click()
    expect(_pane(page).locator(".steps .ok")).to_have_count(6)
    _pane(page).get_by_label("I agree").check()


def import_pane_verified(page: Page, portal: Portal) -> None:
    """A connection for enrichments: nobody is asked who can use it, and the server is only looked at."""
    page.get_by_role("link", name="Set up SFTP Custom Import", exact=True).click()
    pane = _pane(page)
    pane.get_by_label("Display name").fill("Loyalty scores, sandbox")
    pane.get_by_role("textbox", name="Host").evaluate(steps.PASTE, portal.sandbox_url)
    expect(pane.get_by_role("textbox", name="Username")).to_have_value("sandbox")
    pane.locator("#id_password").fill(portal.sandbox_password)
    verify(page)
    pane.get_by_role("button", name="Trust this server").click()
    expect(pane.locator(".steps .ok")).to_have_count(5)
    pane.get_by_label("I agree").check()


def set_up_pane_refused(page: Page, portal: Portal) -> None:
    """The server does not take the password."""
    set_up_pane(page, portal)
    steps.fill_set_up(_pane(page), portal, "Another name")
    _pane(page).locator("#id_password").fill("not-this-one")
    verify(page)
    _pane(page).get_by_role("button", name="Trust this server").click()
    expect(_pane(page).locator(".steps .bad")).to_be_visible()
    unfold_pane(page)


def set_up_pane_unreached(page: Page, portal: Portal) -> None:
    """Nobody answers at that name."""
    set_up_pane(page, portal)
    steps.fill_set_up(_pane(page), portal, "Another name")
    _pane(page).get_by_label("Hostname").fill("nobody.invalid")
    _pane(page).locator("#id_password").fill("typed-again")
    verify(page)
    expect(_pane(page).locator(".steps .bad")).to_be_visible()
    unfold_pane(page)


def set_up_leave(page: Page, portal: Portal) -> None:
    """Typed, then closed."""
    set_up_pane(page, portal)
    _pane(page).get_by_label("Display name").fill("Typed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Stay")).to_be_visible()


def unfold_pane(page: Page) -> None:
    _pane(page).locator("#verify summary").click()
    _pane(page).get_by_role("button", name="Copy for the operator").scroll_into_view_if_needed()


def edit_errors(page: Page, portal: Portal) -> None:
    page.locator("#id_name").fill("")
    page.get_by_label("Hostname").fill("no host at all")
    save_errors(page, portal)


def edit_stale(page: Page, portal: Portal) -> None:
    """Somebody else has saved meanwhile."""
    page.locator("main form [name=version]").first.evaluate("field => { field.value = '99'; }")
    page.locator("main form [name=name]").fill("Typed here")
    page.locator("main").get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").first).to_be_visible()


def edit_changed_key(page: Page, portal: Portal) -> None:
    """The server has another key than the one that is trusted."""
    page.get_by_role("button", name="Verify", exact=True).click()
    trust = page.get_by_role("button", name="Trust the new key")
    expect(trust).to_be_visible()


def share_specific(page: Page, portal: Portal) -> None:
    page.get_by_label("Specific people").check()


def share_withdrawal(page: Page, portal: Portal) -> None:
    """Access is taken away from people whose exports go on."""
    page.get_by_label("Administrators", exact=True).check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name="Save and withdraw")).to_be_visible()


def rename_errors(page: Page, portal: Portal) -> None:
    follow("Rename")(page, portal)
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("")
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog.locator("[aria-invalid=true]")).to_be_visible()


def verify(page: Page) -> None:
    _pane(page).get_by_role("button", name="Verify").click()


def _pane(page: Page) -> Locator:
    return page.locator("#pane")


def refresh_errors(page: Page, portal: Portal) -> None:
    """The schedule of the system refresh without a day, and with times too close to each other."""
    page.get_by_label("Weekly", exact=True).check()
    page.get_by_label("Monday").check()
    page.get_by_label("Second time").fill("06:05")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("at least 15 minutes").first).to_be_visible()
