"""What is done on the pages of Settings > Permissions before they are looked at."""

import re

from playwright.sync_api import Page, expect

from tests.browser.running import Portal


def made_password(page: Page, portal: Portal) -> None:
    """Somebody is added in the pane, and their first password is shown."""
    page.get_by_role("link", name="Add person").click()
    pane = page.get_by_role("dialog")
    pane.get_by_label("User name").fill("m.lindqvist")
    pane.get_by_label("First name").fill("Maja")
    pane.get_by_label("Last name").fill("Lindqvist")
    pane.get_by_label(re.compile("^Viewer:")).check()
    pane.get_by_role("button", name="Add", exact=True).click()
    expect(pane.get_by_text("It is shown only now").first).to_be_visible()


def typed_badly(page: Page, portal: Portal) -> None:
    """Everything that can be wrong with somebody new."""
    page.get_by_label("User name").fill("m lindqvist")
    page.get_by_label("E-mail").fill("nowhere")
    page.get_by_label("I type one").check()
    page.get_by_label("Password", exact=True).fill("short")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Check the marked fields")).to_be_visible()


def role_taken(page: Page, portal: Portal) -> None:
    """The role of somebody is changed who answers for exports; nothing is saved."""
    page.get_by_label(re.compile("^Viewer:")).check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name="Save anyway")).to_be_visible()


def open_group(page: Page, portal: Portal) -> None:
    """The pane of a group, from the list."""
    page.get_by_role("link", name="Campaign team", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Save", exact=True)).to_be_visible()
