"""The product's article on connections from top to bottom, as its people take it, on the portal of ``make run``."""

import re
from collections.abc import Callable, Iterator

import duckdb
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import steps
from tests.browser.running import Portal, running_portal
from tests.enrichments.bringing import model_json

SOURCE = "Scores, sandbox"
NEXT = "Newsletter, second try"
SPARE = "Scores, second try"
ENRICHMENT = "Churn scores"
CUSTOMERS = 1_000


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own, with a file to bring in at the sandbox."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        put_scores(running)
        yield running


def put_scores(portal: Portal) -> None:
    """Scores of a thousand customers and of one who is nobody, with their description."""
    customers = portal.var_dir / "customer-data" / "customer.parquet"
    ids = duckdb.connect().execute(
        f"SELECT customer_id FROM '{customers}' ORDER BY customer_id LIMIT {CUSTOMERS}"
    )
    lines = [f"{row[0]},{number % 100},mail" for number, row in enumerate(ids.fetchall())]
    folder = portal.var_dir / "sandbox" / "files" / "scores"
    folder.mkdir()
    text = "\n".join(["customer_id,score,channel", *lines, "nobody,1,mail", ""])
    (folder / "scores.csv").write_text(text)
    (folder / "model.json").write_text(model_json("scores.csv"))


@pytest.mark.timeout(420)
def test_the_article_from_top_to_bottom(portal: Portal, page: Page, axe: Callable[[Page], None]) -> None:
    # an administrator sets up a connection for exports and one for enrichments
    steps.sign_in(page, portal, "admin")
    steps.set_up_connection(page, portal)
    set_up_source(page, portal, SOURCE)
    axe(page)
    steps.sign_out(page)

    # a contributor builds on both, and sees customers enriched
    steps.sign_in(page, portal, "contributor")
    steps.add_export(page, portal, ["Loyalty gold"])
    steps.run_export(page)
    add_enrichment(page, portal)
    axe(page)
    expect(page.get_by_text(re.compile("1,000")).first).to_be_visible()
    steps.sign_out(page)

    # the administrator settles what is in the way without leaving the dialog
    steps.sign_in(page, portal, "admin")
    remove(page, portal, "exports", steps.CONNECTION, "detach", axe)
    remove(page, portal, "enrichment", SOURCE, "deactivate", axe)

    # both wait, and come back when given another connection
    page.goto(f"{portal.url}/data/exports/")
    expect(page.get_by_text("1 export waits for a connection").first).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(steps.EXPORT))).to_contain_text("No Connection")
    page.goto(f"{portal.url}/data/enrichment/mine/")
    expect(page.get_by_role("row", name=re.compile(ENRICHMENT))).to_contain_text("Inactive")
    set_up_source(page, portal, SPARE)
    steps.set_up_connection(page, portal, NEXT)
    steps.sign_out(page)

    steps.sign_in(page, portal, "contributor")
    bring_back_export(page, portal)
    bring_back_enrichment(page, portal)
    steps.sign_out(page)

    # and everybody can find out what happened
    steps.sign_in(page, portal, "admin")
    page.goto(f"{portal.url}/settings/audit/")
    for sentence in (
        f'removed "{steps.CONNECTION}"',
        f'detached the connection "{steps.CONNECTION}" from "{steps.EXPORT}"',
        f'added the connection "{NEXT}" to "{steps.EXPORT}"',
        f'activated "{ENRICHMENT}"',
    ):
        expect(page.get_by_text(sentence).first).to_be_visible()
    axe(page)


def set_up_source(page: Page, portal: Portal, name: str) -> None:
    """Discover > SFTP Custom Import > Set up, verified, agreed and saved; there is nobody to choose."""
    page.goto(f"{portal.url}/settings/connections/")
    page.get_by_role("link", name="Set up SFTP Custom Import", exact=True).click()
    pane = page.get_by_role("dialog")
    expect(pane.get_by_text("can be used by administrators and contributors")).to_be_visible()
    expect(pane.get_by_label("Specific people")).to_have_count(0)
    pane.get_by_label("Display name").fill(name)
    pane.get_by_role("textbox", name="Host", exact=True).evaluate(steps.PASTE, portal.sandbox_url)
    expect(pane.get_by_role("textbox", name="Username")).to_have_value("sandbox")
    pane.locator("#id_password").fill(portal.sandbox_password)
    pane.get_by_role("button", name="Verify").click()
    pane.get_by_role("button", name="Trust this server").click()
    expect(pane.locator(".steps .ok")).to_have_count(5)
    pane.get_by_label("I agree").check()
    pane.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def add_enrichment(page: Page, portal: Portal) -> None:
    """Data > Enrichment > Enrich my data, through the wizard to the results."""
    page.goto(f"{portal.url}/data/enrichment/")
    page.get_by_role("link", name=re.compile("Enrich my data")).first.click()
    forward(page)
    page.get_by_label("Connection", exact=False).first.select_option(label=SOURCE)
    forward(page)
    forward(page)
    page.get_by_label("Path").fill("scores")
    page.get_by_label("Filename").fill("scores.csv")
    forward(page)
    page.get_by_label("Enrichment name").fill(ENRICHMENT)
    page.get_by_role("button", name="Save and run").click()
    expect(page.get_by_text("Successful").first).to_be_visible(timeout=steps.RUN_MILLISECONDS)
    page.goto(f"{portal.url}/data/enrichment/mine/")
    page.get_by_role("link", name=ENRICHMENT).first.click()
    expect(page.get_by_text("Customers enriched").first).to_be_visible()


def forward(page: Page) -> None:
    """*Next*, and wait for the step after it."""
    before = page.url
    page.get_by_role("button", name="Next").click()
    page.wait_for_url(lambda url: url != before)


def remove(page: Page, portal: Portal, tab: str, name: str, word: str, axe: Callable[[Page], None]) -> None:
    """*Remove* in the list: what uses it, the gentle choice for each, and gone."""
    dialog = ask_to_remove(page, portal, tab, name)
    expect(dialog.get_by_text(re.compile("Used by 1 "))).to_be_visible()
    dialog.get_by_role("button", name="See what's using this connection").click()
    button = dialog.get_by_role("button", name=re.compile(f"{word} 1", re.IGNORECASE))
    expect(button).to_be_visible()
    axe(page)
    button.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)


def ask_to_remove(page: Page, portal: Portal, tab: str, name: str) -> Locator:
    """The dialog, from the command bar of the list."""
    page.goto(f"{portal.url}/settings/connections/{tab}/")
    page.get_by_role("checkbox", name=f"Select {name}").check()
    page.locator("[data-selection]").get_by_role("button", name="Remove").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=f"Remove {name}")).to_be_visible()
    return dialog


def bring_back_export(page: Page, portal: Portal) -> None:
    """*Add connection* on the banner; the export runs with its settings of before."""
    page.goto(f"{portal.url}/data/exports/")
    page.get_by_role("link", name="Add connection").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").first.select_option(label=NEXT)
    dialog.get_by_role("button", name="Add connection").click()
    expect(page.get_by_role("row", name=re.compile(steps.EXPORT))).to_contain_text(NEXT)
    page.get_by_role("link", name=steps.EXPORT).first.click()
    steps.run_export(page)


def bring_back_enrichment(page: Page, portal: Portal) -> None:
    """*Activate* asks for a connection first; afterwards the enrichment runs again, with its settings of before."""
    page.goto(f"{portal.url}/data/enrichment/mine/")
    page.get_by_role("link", name=ENRICHMENT).first.click()
    page.get_by_role("link", name="Activate").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Connection", exact=False).first.select_option(label=SPARE)
    dialog.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("Active", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).first.click()
    expect(page.get_by_text("Successful").first).to_be_visible(timeout=steps.RUN_MILLISECONDS)
