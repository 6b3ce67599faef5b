"""The support admin in a browser: under the same policy as the portal, none of its pages is refused anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connections_portal.models import RunState, User
from tests.data import write_customers
from tests.support.rows import make_everything

pytestmark = pytest.mark.django_db(transaction=True)

SignIn = Callable[[User], Page]
Check = Callable[[Page], None]


@pytest.fixture
def runs(admin: User, contributor: User, tmp_path: Path, settings: Settings) -> tuple[Any, Any]:
    """A queued run of each kind, and a row of everything else."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'data')}"
    return make_everything(admin, contributor)


def test_every_page_of_it(
    live_server: LiveServer,
    support: User,
    runs: tuple[Any, Any],
    sign_in: SignIn,
    problems: list[str],
    axe_stock: Check,
) -> None:
    """Lists with each filter, days, pages and histories of a row: what the policy refuses is a problem."""
    page = sign_in(support)
    page.goto(f"{live_server.url}/admin/")
    axe_stock(page)
    expect(page.get_by_text("Connections Portal Support")).to_be_visible()
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        list_url = live_server.url + reverse(f"{name}_changelist")
        page.goto(list_url)
        expect(page.locator("#result_list")).to_be_visible()
        axe_stock(page)
        for link in page.locator("#changelist-filter li a, .toplinks a").all():
            href = link.get_attribute("href") or ""
            if href.startswith("?"):
                assert page.request.get(list_url + href).status == 200, href
        days = page.locator(".toplinks a")
        if days.count():
            days.last.click()
            expect(page.locator("#changelist")).to_be_visible()
        row = model._default_manager.first()
        assert row is not None
        for what in ("change", "history"):
            page.goto(live_server.url + reverse(f"{name}_{what}", args=[row.pk]))
            expect(page.locator("#content h1")).to_be_visible()
            axe_stock(page)
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#header')).backgroundColor")
        == "rgb(255, 255, 255)"
    )


@pytest.mark.parametrize(
    ("theme", "background"), [("dark", "rgb(41, 41, 41)"), ("light", "rgb(255, 255, 255)")]
)
def test_it_has_the_theme_that_was_chosen_in_the_portal(
    live_server: LiveServer,
    support: User,
    runs: tuple[Any, Any],
    sign_in: SignIn,
    problems: list[str],
    axe_colours: Check,
    theme: str,
    background: str,
) -> None:
    """Whatever the system asks for; and it is chosen here, too."""
    page = sign_in(support)
    page.emulate_media(color_scheme="light" if theme == "dark" else "dark", reduced_motion="reduce")
    page.goto(f"{live_server.url}/admin/exports/exportrun/")
    page.get_by_role("button", name=f"{theme.capitalize()} theme").click()
    expect(page).to_have_url(f"{live_server.url}/admin/exports/exportrun/")
    for url in ("", "exports/exportrun/", f"exports/exportrun/{runs[0].pk}/change/"):
        page.goto(f"{live_server.url}/admin/{url}")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background
        axe_colours(page)


def test_cancel_a_run_with_a_reason(
    live_server: LiveServer,
    support: User,
    runs: tuple[Any, Any],
    sign_in: SignIn,
    problems: list[str],
    axe_stock: Check,
) -> None:
    run, _other = runs
    page = sign_in(support)
    page.goto(f"{live_server.url}/")
    page.get_by_role("link", name="Support").first.click()
    page.get_by_role("link", name="Export runs").first.click()
    page.locator("#result_list tbody input[type=checkbox]").first.check()
    page.locator("select[name=action]").select_option(label="Cancel run")
    page.get_by_role("button", name="Go").click()
    page.get_by_role("button", name="Cancel run").click()
    expect(page.get_by_role("alert")).to_be_visible()
    axe_stock(page)
    page.get_by_label("Reason").fill("Sent to the wrong folder")
    page.get_by_role("button", name="Cancel run").click()
    expect(page.get_by_text("1 run was canceled.")).to_be_visible()
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
