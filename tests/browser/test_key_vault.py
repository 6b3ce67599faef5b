"""Linking a vault in the browser: what is typed stays in it, and no script is needed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps, vault_pages
from tests.browser.running import Portal, running_portal

LINK = "/settings/key-vault/link/"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One portal for all looks."""
    with running_portal(tmp_path_factory.mktemp("portal") / "var") as running:
        yield running


def test_a_typed_client_secret_stays_in_the_browser(portal: Portal, page: Page, problems: list[str]) -> None:
    steps.sign_in(page, portal, "admin")
    page.goto(portal.url + LINK)
    vault_pages.refused(page, portal)
    secret = page.locator("#id_client_secret")
    expect(secret).to_have_value("nobody-s-secret")
    # refused for want of an agreement, the whole form is made anew: all but this input
    with page.expect_response(lambda answer: answer.request.method == "POST") as refused:
        page.get_by_role("button", name="Link", exact=True).click()
    assert refused.value.status == 422
    assert "nobody-s-secret" not in refused.value.text()
    expect(page.get_by_text("Read the text and agree to it.").first).to_be_visible()
    expect(secret).to_have_value("nobody-s-secret")
    expect(page.locator("#id_client_id")).to_have_value("99999999-9999-4999-8999-999999999999")
    page.reload()
    expect(secret).to_have_value("")
