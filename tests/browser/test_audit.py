"""Settings > Audit in a browser: filters act at once and stay in the address; details open; the file comes down."""

import re

from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from connections.models import Access
from connections_portal.models import User
from tests.browser.conftest import Check, SignIn
from tests.factories import make_connection


def test_filter_open_and_download(
    sign_in: SignIn, live_server: LiveServer, admin: User, contributor: User, axe: Check, problems: list[str]
) -> None:
    connection = make_connection(actor=admin, name="Newsletter", access=Access.SPECIFIC, people=[contributor])
    make_connection(actor=admin, name="Print shop")
    page = sign_in(admin)
    page.goto(f"{live_server.url}/settings/connections/{connection.uuid}/")
    page.get_by_role("link", name="History").click()
    expect(page.get_by_text("History of Newsletter")).to_be_visible()
    rows = page.locator(".audit-table tbody tr")
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="Show everything").click()
    expect(rows).to_have_count(2)
    page.get_by_role("combobox", name="Person").select_option(label="Ana Weber")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"person={contributor.pk}\b"))
    page.get_by_role("combobox", name="Person").select_option(label="Lena Hofmann")
    expect(rows).to_have_count(2)
    page.get_by_role("searchbox").fill("print")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=print"))
    page.reload()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("combobox", name="Person")).to_have_value(str(admin.pk))
    rows.get_by_text("Details").click()
    expect(rows.get_by_text("connection.created")).to_be_visible()
    axe(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert re.fullmatch(r"audit-\d{8}-\d{6}Z\.csv", download.value.suggested_filename)
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert 'Lena Hofmann set up ""Print shop""' in text
    assert "Newsletter" not in text
