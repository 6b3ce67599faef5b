"""Every page of the portal, to be looked at by axe and by the screenshots."""

import re
from collections.abc import Iterator

from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.running import Portal

# name of the picture → (who, address); {connection}, {export} and {run} are filled in
PAGES = {
    "home-admin": ("admin", "/"),
    "home-contributor": ("contributor", "/"),
    "change-password": ("admin", "/password/"),
    "discover": ("admin", "/settings/connections/"),
    "connections-enrichment": ("admin", "/settings/connections/enrichment/"),
    "connections-exports": ("admin", "/settings/connections/exports/"),
    "connections-nothing-found": ("admin", "/settings/connections/exports/?q=zzz"),
    "connection-help": ("admin", "/settings/connections/help/sftp/"),
    "connection": ("admin", "/settings/connections/{connection}/"),
    "connection-set-up-page": ("admin", "/settings/connections/new/sftp/"),
    "connection-remove-page": ("admin", "/settings/connections/{connection}/remove/"),
    "connection-share-page": ("admin", "/settings/connections/{connection}/share/"),
    "see-as": ("admin", "/settings/connections/see-as/"),
    "tables": ("contributor", "/data/tables/"),
    "table-sample": ("contributor", "/data/tables/segment/high_value/?sample=1"),
    "table-viewer": ("viewer", "/data/tables/table/orders/"),
    "exports": ("contributor", "/data/exports/"),
    "exports-viewer": ("viewer", "/data/exports/"),
    "export": ("contributor", "/data/exports/{export}/"),
    "export-add": ("contributor", "/data/exports/new/"),
    "export-edit": ("admin", "/data/exports/{export}/edit/"),
    "export-view": ("viewer", "/data/exports/{export}/edit/"),
    "export-detach-page": ("contributor", "/data/exports/{export}/detach/"),
    "export-remove-page": ("contributor", "/data/exports/{export}/remove/"),
    "run": ("contributor", "/data/exports/{export}/runs/{run}/"),
    "forbidden": ("viewer", "/settings/connections/"),
    "not-found": ("viewer", "/nowhere/"),
}


def prepare(page: Page, portal: Portal) -> dict[str, str]:
    """A connection, an export on it and a finished run; their identifiers by name."""
    steps.sign_in(page, portal, "admin")
    steps.set_up_connection(page, portal)
    connection = page.url.rstrip("/").rsplit("/", 1)[1]
    steps.sign_out(page)
    steps.sign_in(page, portal, "contributor")
    steps.add_export(page, portal, ["Loyalty gold", "Store opening guests"])
    export = page.url.rstrip("/").rsplit("/", 1)[1]
    steps.run_export(page)
    run = page.url.rstrip("/").rsplit("/", 1)[1]
    steps.sign_out(page)
    return {"connection": connection, "export": export, "run": run}


def visit(page: Page, portal: Portal, filled: dict[str, str]) -> Iterator[str]:
    """Open one page after the other, signed in as whoever it is for; gives the name of each."""
    page.goto(portal.url)
    yield "sign-in"
    current = ""
    for name, (who, address) in sorted(PAGES.items(), key=lambda item: item[1][0]):
        if who != current:
            if current:
                page.goto(portal.url)
                steps.sign_out(page)
            steps.sign_in(page, portal, who)
            current = who
        page.goto(portal.url + address.format(**filled))
        yield name
    page.goto(portal.url)
    steps.sign_out(page)
    yield from _panes(page, portal, filled)


def _panes(page: Page, portal: Portal, filled: dict[str, str]) -> Iterator[str]:
    """What opens over a page."""
    steps.sign_in(page, portal, "admin")
    pane = steps.open_set_up(page, portal)
    yield "pane-set-up"
    pane.get_by_role("button", name="Save").click()
    expect(pane.locator("[aria-invalid=true]").first).to_be_visible()
    yield "pane-set-up-errors"
    steps.fill_set_up(pane, portal, "Another name")
    pane.get_by_role("button", name="Verify").click()
    expect(pane.get_by_role("button", name="Trust this server")).to_be_visible()
    pane.get_by_role("button", name="Trust this server").scroll_into_view_if_needed()
    yield "pane-set-up-trust"
    pane.get_by_role("button", name="Trust this server").click()
    expect(pane.locator(".steps .ok")).to_have_count(6)
    pane.get_by_label("I agree").check()
    yield "pane-set-up-verified"
    page.goto(f"{portal.url}/settings/connections/exports/")
    page.get_by_role("button", name=re.compile("^Actions for")).click()
    yield "menu-of-a-row"
    page.get_by_role("link", name="Remove", exact=True).click()
    expect(page.get_by_role("dialog").get_by_text(steps.EXPORT)).to_be_visible()
    yield "dialog-remove-in-use"
