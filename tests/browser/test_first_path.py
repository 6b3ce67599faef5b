"""The first path, as a new user takes it: from ``make run`` to customer segments on an SFTP server."""

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.running import Portal, running_portal

RUN_SECONDS = 60_000


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own for this path."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


def sign_in(page: Page, portal: Portal, username: str) -> None:
    page.goto(portal.url)
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(portal.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main").first).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name=re.compile("Account|account")).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.timeout(240)
def test_from_make_run_to_a_segment_on_a_real_server(
    portal: Portal, page: Page, axe: Callable[[Page], None]
) -> None:
    # the administrator says where data may go
    sign_in(page, portal, "admin")
    page.get_by_role("link", name="Connections", exact=True).first.click()
    expect(page.get_by_role("link", name="Discover")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name=re.compile("Set up")).first.click()
    pane = page.get_by_role("dialog")
    expect(pane.get_by_role("heading", name="Set up SFTP connection")).to_be_visible()
    pane.get_by_label("Display name").fill("Newsletter, sandbox")
    pane.get_by_label("Administrators and contributors").check()
    hostname = pane.get_by_label("Hostname")
    hostname.focus()
    page.evaluate("text => navigator.clipboard?.writeText(text).catch(() => null)", portal.sandbox_url)
    hostname.evaluate(
        """(field, text) => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            if (field.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})))
                field.value = text;
            field.dispatchEvent(new Event("input", {bubbles: true}));
            field.dispatchEvent(new Event("change", {bubbles: true}));
        }""",
        portal.sandbox_url,
    )
    expect(pane.get_by_role("textbox", name="Username")).to_have_value("sandbox")
    expect(pane.get_by_label("Export folder")).to_have_value("incoming")
    pane.locator("#id_password").fill(portal.sandbox_password)

    pane.get_by_role("button", name="Verify").click()
    expect(pane.get_by_text(re.compile("SHA256:"))).to_be_visible()
    axe(page)
    pane.get_by_role("button", name="Trust this server").click()
    expect(pane.get_by_text("Test file written and removed")).to_be_visible()
    expect(pane.locator(".steps .ok")).to_have_count(6)
    pane.get_by_label("I agree").check()
    pane.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Newsletter, sandbox")).to_be_visible()
    axe(page)
    assert portal.delivered() == []
    sign_out(page)

    # the contributor says what, and how often
    sign_in(page, portal, "contributor")
    expect(page.get_by_role("link", name="Connections", exact=True)).to_have_count(0)
    page.get_by_role("link", name="Exports", exact=True).first.click()
    page.get_by_role("link", name="Add export").first.click()
    page.get_by_label("Connection for export").select_option(label="Newsletter, sandbox")
    page.get_by_label("Display name").fill("Loyalty mailing")
    page.get_by_role("checkbox", name=re.compile("Loyalty gold")).check()
    page.get_by_role("checkbox", name=re.compile("Newsletter readers")).check()
    axe(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Loyalty mailing")).to_be_visible()
    expect(page.get_by_text("Not started").first).to_be_visible()

    # Run, and watch it
    page.get_by_role("button", name="Run", exact=True).first.click()
    expect(page.get_by_text("Successful").first).to_be_visible(timeout=RUN_SECONDS)
    axe(page)
    assert portal.sandbox_url.split("@")[1].split("/")[0] not in page.content()
    shown = {cell.strip() for cell in page.get_by_text(re.compile(r"\.csv\.gz")).all_inner_texts()}
    assert shown

    check_files(portal, page.content())


def check_files(portal: Portal, page: str) -> None:
    """Complete, correct, and the ones that the page tells about."""
    files = portal.delivered()
    assert {path.name for path in files} == {"loyalty_gold_1.csv.gz", "newsletter_readers_1.csv.gz", "model.json"}
    folders = {path.parent for path in files}
    assert len(folders) == 1
    folder = folders.pop()
    assert folder.parent.name == "loyalty-mailing"
    assert re.fullmatch(r"\d{8}-\d{6}Z-[0-9a-f]{8}", folder.name)
    model = json.loads((folder / "model.json").read_text())
    assert {entity["name"] for entity in model["entities"]} == {"loyalty_gold", "newsletter_readers"}
    for path in files:
        if path.suffix == ".gz":
            assert hashlib.sha256(path.read_bytes()).hexdigest() in page
            check_rows(path, portal.var_dir)


def check_rows(path: Path, var_dir: Path) -> None:
    """Every member with a profile is in the file exactly once, with the values of the source."""
    import duckdb

    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    segment = path.name.removesuffix("_1.csv.gz")
    source = var_dir / "customer-data"
    members = next((source / "segments").glob(f"{segment}.*"))
    expected = dict(
        duckdb.sql(
            f"SELECT customer_id, email FROM '{source / 'customer.parquet'}' "
            f"WHERE customer_id IN (SELECT customer_id FROM '{members}')"
        ).fetchall()
    )
    assert len(rows) == len(expected) > 0
    assert {row["customer_id"]: row["email"] or None for row in rows} == expected
