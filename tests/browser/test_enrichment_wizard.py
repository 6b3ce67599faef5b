"""The wizard of an enrichment in a browser: keyboard alone, *Back* of the browser, and without script."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from connections.models import Connection
from connections.views.flow import CHOSEN
from connections_portal.models import User
from enrichments.models import Enrichment
from tests.enrichments.making import TYPE, make_source, source
from tests.enrichments.remote import customers

__all__ = ["customers", "make_source", "source"]
SignIn = Callable[..., Page]
NewContext = Callable[..., BrowserContext]

pytestmark = pytest.mark.usefixtures("customers", "source")


def step(page: Page, name: str) -> None:
    expect(page.locator("#step-title")).to_have_text(name)
    expect(page.locator("[aria-current=step]")).to_contain_text(name)


def test_by_keyboard_alone(
    live_server: LiveServer, sign_in: SignIn, contributor: User, source: Connection
) -> None:
    page = sign_in(contributor)
    page.goto(f"{live_server.url}/data/enrichment/")
    page.get_by_role("link", name="Enrich my data").focus()
    page.keyboard.press("Enter")
    step(page, "Overview")
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    step(page, "Connect")
    expect(page.get_by_label("Connection")).to_have_value(str(source.uuid))  # the only one
    page.get_by_role("button", name="Next").press("Enter")
    step(page, "Customer data set")
    page.get_by_role("radio", name="Customer table (4 customers)").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Loyal (3 members)")).to_be_checked()
    page.keyboard.press("Enter")  # in a field it is Next, not the first step of the list
    step(page, "Location")
    page.get_by_label("Filename").fill("crm_scores.csv")
    page.get_by_label("Filename").press("Enter")
    step(page, "Review and run")
    expect(page.get_by_label("Enrichment name")).to_have_value("Crm scores, Loyal")
    page.get_by_label("Enrichment name").fill("Churn, loyal ones")
    page.get_by_label("Enrichment name").press("Tab")
    expect(page.get_by_label("Output table name")).to_have_value("Churn_loyal_ones")
    page.get_by_label("Output table name").press("Enter")
    expect(page.get_by_role("heading", level=1, name="Churn, loyal ones")).to_be_visible()
    made = Enrichment.objects.get()
    assert (made.segment, made.options["filename"]) == ("loyal", "crm_scores.csv")
    assert made.table_name == "Churn_loyal_ones"


def test_back_of_the_browser_leads_through_the_steps(
    live_server: LiveServer, sign_in: SignIn, contributor: User
) -> None:
    page = sign_in(contributor)
    page.goto(f"{live_server.url}/data/enrichment/new/{TYPE}/")
    for name in ("Connect", "Customer data set", "Location"):
        page.get_by_role("button", name="Next").click()
        step(page, name)
    page.get_by_label("Filename").fill("scores.csv")
    page.get_by_role("button", name="Next").click()
    step(page, "Review and run")
    for name in ("Location", "Customer data set", "Connect", "Overview"):
        page.go_back()
        step(page, name)
    for name in ("Connect", "Customer data set", "Location", "Review and run"):
        page.go_forward()
        step(page, name)
    expect(page.get_by_text("scores.csv")).to_be_visible()
    assert "csrf" not in page.url


def test_back_and_edit_keep_what_was_typed(
    live_server: LiveServer, sign_in: SignIn, contributor: User
) -> None:
    page = sign_in(contributor)
    page.goto(f"{live_server.url}/data/enrichment/new/{TYPE}/?at=connect&go=location")
    step(page, "Location")
    page.get_by_label("Path").fill("in/2026")
    page.get_by_role("button", name="Back").click()
    step(page, "Customer data set")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_label("Path")).to_have_value("in/2026")
    page.get_by_label("Filename").fill("scores.csv")
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Enrichment name").fill("Typed by me")
    page.locator("section", has_text="Filename").get_by_role("button", name="Edit").last.click()
    step(page, "Location")
    page.get_by_label("Filename").fill("others.csv")
    page.get_by_role("button", name="Review and run").click()  # a step that was seen
    step(page, "Review and run")
    expect(page.get_by_label("Enrichment name")).to_have_value("Typed by me")
    expect(page.get_by_text("others.csv")).to_be_visible()


def test_without_script(
    live_server: LiveServer, sign_in: SignIn, new_context: NewContext, contributor: User, customers: Path
) -> None:
    page = sign_in(contributor, context=new_context(java_script_enabled=False))
    page.goto(f"{live_server.url}/data/enrichment/new/{TYPE}/")
    for name in ("Connect", "Customer data set", "Location"):
        page.get_by_role("button", name="Next").click()
        step(page, name)
    page.get_by_role("button", name="Next").click()
    step(page, "Location")
    expect(page.get_by_label("Filename")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Filename").fill("scores.csv")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Save and run").click()
    expect(page.get_by_text("Queued").first).to_be_visible()
    page.get_by_role("link", name="Back").click()
    page.get_by_role("link", name="Deactivate").click()
    page.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_text("Inactive", exact=True)).to_be_visible()
    assert not Enrichment.objects.get().active


def test_a_connection_is_added_from_inside(
    live_server: LiveServer, sign_in: SignIn, admin: User, make_source: Callable[..., Connection]
) -> None:
    """The pane opens over the wizard; what it saves is chosen there, and nothing typed is lost."""
    page = sign_in(admin)
    page.goto(f"{live_server.url}/data/enrichment/new/{TYPE}/?at=overview&go=connect&name=Kept")
    page.get_by_role("button", name="Add connection").click()
    expect(
        page.get_by_role("dialog").get_by_role("heading", name="Set up SFTP Custom Import")
    ).to_be_visible()
    assert "csrf" not in page.url
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    step(page, "Connect")
    expect(page.locator("#wizard [name=name]")).to_have_value("Kept")

    # as Set up ends in the pane: the new connection is remembered, and the page is told
    added = make_source("Added just now")
    [cookie] = [cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    session = SessionStore(cookie["value"])
    session[CHOSEN] = str(added.uuid)
    session.save()
    page.evaluate("document.body.dispatchEvent(new CustomEvent('connectionsChanged'))")
    expect(page.locator("#enrichment_connection")).to_have_value(str(added.uuid))
    page.get_by_role("button", name="Next").click()
    step(page, "Customer data set")
    expect(page.locator("#wizard [name=connection]")).to_have_value(str(added.uuid))
    expect(page.locator("#wizard [name=name]")).to_have_value("Kept")
