"""Where the focus is when something opens, closes or is refused, and what is read out meanwhile."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections_portal.models import RunState, Trigger, User
from exports.models import Export, ExportRun
from exports.operations.connection import detach_connection
from exports.operations.run import enqueue_run
from tests.browser.conftest import SignIn
from tests.data import write_customers
from tests.factories import make_connection
from tests.runs.helpers import make_export

pytestmark = pytest.mark.django_db(transaction=True)

INSIDE = """() => {
    const above = [...document.querySelectorAll("dialog[open]")].pop();
    return document.activeElement === document.body || above.contains(document.activeElement);
}"""


@pytest.fixture
def export(admin: User, tmp_path: Path, settings: Settings) -> Export:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    return make_export(make_connection(actor=admin), actor=admin)


@pytest.fixture
def page(admin: User, sign_in: SignIn) -> Page:
    return sign_in(admin)


@pytest.mark.parametrize(("opener", "title"), [("Edit", "Edit Newsletter"), ("Pause", "Pause connection")])
def test_tab_stays_in_what_is_open(
    page: Page, export: Export, live_server: LiveServer, opener: str, title: str
) -> None:
    assert export.connection is not None
    page.goto(f"{live_server.url}/settings/connections/{export.connection.uuid}/")
    link = page.get_by_role("group", name="Commands").get_by_role("link", name=opener)
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=re.compile(title))
    expect(dialog).to_be_visible()
    for key in ["Tab"] * 25 + ["Shift+Tab"] * 30:
        page.keyboard.press(key)
        assert page.evaluate(INSIDE)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(link).to_be_focused()


def test_a_dialog_opened_as_a_page_answers_as_a_page(
    page: Page, export: Export, admin: User, live_server: LiveServer
) -> None:
    detach_connection(export=export, actor=admin)
    page.goto(f"{live_server.url}/data/exports/{export.uuid}/attach/")
    page.get_by_role("button", name="Add connection").click()
    wrong = page.locator("[aria-invalid=true]")
    expect(wrong).to_have_count(1)
    expect(wrong).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(f"{live_server.url}/data/exports/{export.uuid}/rename/")
    page.get_by_label("Display name").fill("")
    page.get_by_role("button", name="Rename").click()
    expect(wrong).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_error_goes_when_the_value_is_changed(page: Page, export: Export, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/data/exports/new/")
    page.get_by_role("button", name="Save", exact=True).click()
    name = page.get_by_label("Display name")
    expect(name).to_be_focused()
    expect(page.locator("#form-errors li")).to_have_count(3)
    page.keyboard.type("N")
    expect(page.locator("#form-errors li")).to_have_count(2)
    expect(page.locator("#id_name_error")).to_have_count(0)
    expect(name).not_to_have_attribute("aria-invalid", "true")
    assert "error" not in (name.get_attribute("aria-describedby") or "")
    connection = page.get_by_label("Connection for export")
    expect(connection).to_have_attribute("aria-invalid", "true")
    connection.select_option(index=1)
    expect(connection).not_to_have_attribute("aria-invalid", "true")
    # what the server has to say about something else stays until it is asked again
    expect(page.locator("#form-errors li")).to_have_count(1)


def test_hits_are_read_out_and_the_focus_stays(page: Page, export: Export, live_server: LiveServer) -> None:
    for address, words in (
        ("/data/exports/", "loyal"),
        ("/settings/connections/exports/", "newsletter"),
    ):
        page.goto(live_server.url + address)
        search = page.get_by_role("searchbox")
        search.focus()
        page.keyboard.type(words)
        said = page.locator("body > [data-live]")
        expect(said).to_have_text("1 found.")
        page.keyboard.type("zzz")
        expect(said).to_have_text("0 found.")
        expect(search).to_be_focused()


def test_progress_is_read_out_now_and_then(
    page: Page, export: Export, admin: User, live_server: LiveServer
) -> None:
    run = enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
    now = timezone.now()
    runs = ExportRun.objects.filter(pk=run.pk)
    runs.update(
        state=RunState.RUNNING, attempt=1, lease_token=uuid4(), lease_until=now, started_at=now,
        selected=1000, read=100, sent=100,
    )  # fmt: skip
    page.clock.install()
    page.goto(f"{live_server.url}/data/exports/{export.uuid}/runs/{run.uuid}/")
    said = page.locator("body > [data-live]")

    def pass_time(milliseconds: int) -> None:
        """So long that the page asks, and then that it says something."""
        with page.expect_response("**/status/"):
            page.clock.run_for(milliseconds)
        page.locator("#run-status").wait_for()
        page.clock.run_for(200)

    pass_time(2000)
    expect(said).to_contain_text("Processing. 10%")
    runs.update(read=400, sent=400)
    pass_time(2000)
    expect(page.get_by_text("400", exact=True).first).to_be_visible()
    expect(said).to_contain_text("Processing. 10%")
    for _poll in range(4):
        pass_time(2000)
    expect(said).to_contain_text("Processing. 40%")
    runs.update(state=RunState.CANCELED, lease_token=None, lease_until=None, finished_at=timezone.now())
    pass_time(2000)
    expect(said).to_contain_text("Canceled")
