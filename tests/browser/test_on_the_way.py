"""What an administrator does without leaving the export form."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.running import Portal, running_portal


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own: ten verifications a minute are soon used up by others."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


@pytest.mark.timeout(120)
def test_a_connection_is_added_from_inside_the_export_form(portal: Portal, page: Page) -> None:
    steps.sign_in(page, portal, "admin")
    page.goto(f"{portal.url}/data/exports/new/")
    page.get_by_label("Display name").fill("Typed before")
    page.get_by_role("checkbox", name="Store opening guests").check()
    page.get_by_role("checkbox", name="birth_date").uncheck()
    page.get_by_role("button", name="Add connection").click()
    page.get_by_role("button", name="SFTP", exact=True).click()
    pane = page.get_by_role("dialog")
    steps.fill_set_up(pane, portal, "Added on the way")
    pane.get_by_role("button", name="Verify").click()
    pane.get_by_role("button", name="Trust this server").click()
    expect(pane.locator(".steps .ok")).to_have_count(6)
    pane.get_by_label("I agree").check()
    pane.get_by_role("button", name="Save").click()
    expect(pane).to_have_count(0)
    expect(page.get_by_label("Connection for export").locator("option:checked")).to_have_text(
        "Added on the way"
    )
    expect(page.get_by_label("Display name")).to_have_value("Typed before")
    expect(page.get_by_role("checkbox", name="Store opening guests")).to_be_checked()
    expect(page.get_by_role("checkbox", name="birth_date")).not_to_be_checked()
    expect(page.get_by_label("Compression")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Typed before")).to_be_visible()
