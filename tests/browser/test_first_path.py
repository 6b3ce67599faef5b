"""The first path, as a new user takes it: from ``make run`` to customer segments on an SFTP server."""

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.running import Portal, running_portal


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own for this path."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


@pytest.mark.timeout(240)
def test_from_make_run_to_a_segment_on_a_real_server(
    portal: Portal, page: Page, axe: Callable[[Page], None]
) -> None:
    steps.sign_in(page, portal, "admin")
    axe(page)
    steps.set_up_connection(page, portal, look=axe)
    axe(page)
    assert portal.delivered() == []
    steps.sign_out(page)

    steps.sign_in(page, portal, "contributor")
    expect(page.get_by_role("link", name="Connections", exact=True)).to_have_count(0)
    steps.add_export(page, portal, ["Loyalty gold", "Newsletter readers"], look=axe)
    axe(page)
    steps.run_export(page)
    axe(page)
    content = page.content()
    assert portal.sandbox_url.split("@")[1].split("/")[0] not in content
    assert portal.sandbox_password not in content
    check_files(portal, content)


def check_files(portal: Portal, page: str) -> None:
    """Complete, correct, and the ones that the page tells about."""
    files = portal.delivered()
    assert {path.name for path in files} == {
        "loyalty_gold_1.csv.gz",
        "newsletter_readers_1.csv.gz",
        "model.json",
    }
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
            check_rows(path, portal.var_dir / "customer-data")


def check_rows(path: Path, source: Path) -> None:
    """Every member with a profile is in the file exactly once, with the values of the source."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    members = next((source / "segments").glob(f"{path.name.removesuffix('_1.csv.gz')}.*"))
    profiles = duckdb.connect().execute(
        f"SELECT customer_id, email FROM '{source / 'customer.parquet'}' "
        f"WHERE customer_id IN (SELECT customer_id FROM '{members}')"
    )
    expected = dict(profiles.fetchall())
    assert len(rows) == len(expected) > 0
    assert {row["customer_id"]: row["email"] or None for row in rows} == expected
