"""A button pressed again because no answer came, with script switched off: it is done once, and that is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Locator, Page, Route, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections.models import Access
from connections_portal.models import User
from exports.models import Export, ExportRun
from tests.browser.conftest import SignIn
from tests.data import write_customers
from tests.factories import make_connection

pytestmark = pytest.mark.django_db(transaction=True)

NewContext = Callable[..., BrowserContext]


@pytest.fixture
def page(
    admin: User,
    contributor: User,
    sign_in: SignIn,
    new_context: NewContext,
    live_server: LiveServer,
    tmp_path: Path,
    settings: Settings,
) -> Page:
    """The contributor's empty form for a new export, filled in."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])
    page = sign_in(contributor, context=new_context(java_script_enabled=False))
    page.goto(f"{live_server.url}/data/exports/new/")
    page.get_by_label("Display name").fill("Mailing")
    page.get_by_label("Connection for export").select_option(label="Newsletter, SFTP EU")
    page.get_by_role("checkbox", name="loyal").check()
    return page


def press_twice(page: Page, button: Locator) -> None:
    """Press it, and again because the portal has done what was asked and its answer is lost."""
    answers: list[APIResponse] = []

    def lose(route: Route) -> None:
        if answers or route.request.method != "POST":
            route.continue_()
        else:
            answers.append(route.fetch(max_redirects=0))
            route.abort("aborted")  # as by the browser's own Stop: the page stays

    page.route("**/*", lose)
    with page.expect_event("requestfailed"):
        button.click(no_wait_after=True)
    assert answers[0].status == 303
    button.click()
    page.unroute("**/*")


def test_a_new_export_and_its_duplicate(page: Page, live_server: LiveServer) -> None:
    press_twice(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.get_by_role("heading", level=1, name="Mailing")).to_be_visible()
    export = Export.objects.get()
    expect(page).to_have_url(f"{live_server.url}/data/exports/{export.uuid}/?next=1")
    press_twice(page, page.get_by_role("button", name="Create duplicate").first)
    expect(page.get_by_label("Display name")).to_have_value("Mailing (copy)")
    assert Export.objects.count() == 2
    page.get_by_label("Display name").fill("Another mailing")
    press_twice(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.get_by_role("heading", level=1, name="Another mailing")).to_be_visible()
    expect(page.locator(".message-bar.bad")).to_have_count(0)
    assert Export.objects.get(name="Another mailing").version == 2


def test_save_and_run(page: Page, live_server: LiveServer) -> None:
    press_twice(page, page.get_by_role("button", name="Save and run"))
    expect(page.get_by_role("button", name="Cancel job")).to_be_visible()
    run = ExportRun.objects.get()
    expect(page).to_have_url(f"{live_server.url}/data/exports/{run.export.uuid}/runs/{run.uuid}/")
    expect(page.locator(".message-bar.bad")).to_have_count(0)
