"""What is done on pages of Data > Enrichment before they are looked at."""

from playwright.sync_api import Page, expect

from tests.browser.running import Portal

NEXT = 'section button[name="go"].primary'


def add_menu(page: Page, portal: Portal) -> None:
    page.get_by_role("group", name="Commands").get_by_role("button", name="Add enrichment").click()


def location_errors(page: Page, portal: Portal) -> None:
    """From the first step to a file name that is none."""
    for step in ("Connect", "Customer data set", "Location"):
        page.locator(NEXT).click()
        expect(page.get_by_role("heading", level=2, name=step, exact=True)).to_be_visible()
    page.get_by_label("Filename").fill("../elsewhere.csv")
    page.locator(NEXT).click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()


def save_errors(page: Page, portal: Portal) -> None:
    """The summary without names."""
    page.get_by_label("Enrichment name").fill("")
    page.get_by_label("Output table name").fill("1 is no letter")
    page.get_by_role("button", name="Save enrichment").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()


def stale(page: Page, portal: Portal) -> None:
    """Somebody else has saved meanwhile."""
    page.locator("main [name=version]").evaluate("field => { field.value = '99'; }")
    page.get_by_label("Enrichment name").fill("Typed here")
    page.get_by_role("button", name="Save enrichment").click()
    expect(page.get_by_role("alert").first).to_be_visible()


def show_as_table(page: Page, portal: Portal) -> None:
    for summary in page.locator("main summary").all():
        summary.click()
