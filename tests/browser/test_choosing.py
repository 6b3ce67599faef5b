"""Choosing a secret of a Key Vault in the form of a connection: by keyboard, with the mouse, without script."""

import os
import re
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect
from pytest_django.live_server_helper import LiveServer

from connections.models import KeyVault
from connections.operations.read_names import OLD, ask_for_names, read_names
from connections_portal.models import User
from tests.browser.conftest import Check, NewContext, SignIn
from tests.browser.test_keyboard import FOCUS, tab_to
from tests.key_vault.double import Double, LinkVault

pytestmark = pytest.mark.django_db(transaction=True)

SET_UP = "/settings/connections/new/sftp/"
SWITCH = re.compile("^Use Key Vault.*Password$")
VERSION = re.compile("^Choose a version.*Password$")
SHOTS = os.environ.get("CHOOSING_SHOTS", "")


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True, caret="initial")


@pytest.fixture
def vault(double: Double, linked_vault: LinkVault) -> KeyVault:
    """A vault of sixty secrets, some of which cannot be used, whose list has been read."""
    double.vault.put("sftp-lisbon", "value-of-lisbon")
    double.vault.put("sftp-porto", "value-of-porto", enabled=False)
    double.vault.put("sftp-faro", "value-of-faro", expires=-86400)
    double.vault.put("sftp-braga", "value-of-braga", tags={"portal-target": "braga.example"})
    double.vault.stock(60)
    vault = linked_vault()
    ask_for_names(vault=vault, actor=None)
    assert read_names(vault_id=vault.pk, token=vault.names_token) == "done"
    return vault


def field(page: Page) -> Locator:
    return page.locator("#id_password-name")


def switch_on(page: Page) -> None:
    page.get_by_role("switch", name=SWITCH).click()


def test_by_keyboard_alone(
    live_server: LiveServer, sign_in: SignIn, admin: User, vault: KeyVault, axe: Check
) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}{SET_UP}")
    page.get_by_label("Hostname").fill("files.example.com")
    switch = page.get_by_role("switch", name=SWITCH)
    tab_to(page, switch, "Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator("#id_password")).to_be_hidden()
    tab_to(page, field(page))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("listbox")).to_be_visible()
    expect(page.get_by_role("option")).to_have_count(26)
    axe(page)
    shoot(page, "open")
    page.keyboard.type("sftp")
    expect(page.get_by_role("option")).to_have_count(4)
    expect(page.get_by_role("option", name="sftp-porto Disabled")).to_be_disabled()
    expect(page.get_by_role("option", name="sftp-braga For another target")).to_be_disabled()
    expect(page.get_by_role("option", name="sftp-faro Expired on")).to_be_disabled()
    shoot(page, "greyed")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # one that cannot be chosen
    expect(field(page)).to_have_value("sftp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    chosen = page.locator("[aria-selected=true]")
    assert field(page).get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    expect(chosen).to_contain_text("sftp-lisbon")
    page.keyboard.press("Enter")
    expect(field(page)).to_have_value("sftp-lisbon")
    expect(field(page)).to_have_attribute("aria-expanded", "false")
    assert page.evaluate(FOCUS) == ""
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=VERSION)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Version").get_by_role("radio")).to_have_count(2)
    expect(page.get_by_role("radio", name="Always the latest")).to_be_focused()
    shoot(page, "versions")
    axe(page)


def test_more_and_escape(live_server: LiveServer, sign_in: SignIn, admin: User, vault: KeyVault) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}/settings/connections/")
    page.locator("#set-up-sftp").click()
    switch_on(page)
    field(page).click()
    expect(page.get_by_role("option")).to_have_count(26)
    page.keyboard.press("ArrowUp")
    expect(page.locator("[aria-selected=true]")).to_have_text("More")
    page.keyboard.press("Enter")
    expect(page.get_by_role("option")).to_have_count(51)
    expect(page.locator("[aria-selected=true]")).to_have_text("secret-00025")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(page.locator("#pane")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#leave-dialog")).to_be_visible()


def test_a_typed_value_does_not_go_along(
    live_server: LiveServer, sign_in: SignIn, admin: User, vault: KeyVault
) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}{SET_UP}")
    page.locator("#id_password").fill("typed-first")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    switch_on(page)
    field(page).fill("sftp")
    expect(page.get_by_role("option")).to_have_count(4)
    page.get_by_role("option", name="sftp-lisbon").click()
    expect(field(page)).to_have_value("sftp-lisbon")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("#form-errors")).to_be_visible()
    assert sent
    assert not any("typed-first" in body for body in sent)
    switch_on(page)
    expect(page.locator("#id_password")).to_have_value("")


def test_refresh_now(
    live_server: LiveServer, sign_in: SignIn, admin: User, vault: KeyVault, double: Double
) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}{SET_UP}")
    switch_on(page)
    field(page).click()
    expect(page.get_by_text("64 names")).to_be_visible()
    double.vault.put("made-a-moment-ago", "x")
    tab_to(page, page.get_by_role("button", name="Refresh now"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("The list is being read")).to_be_visible()
    expect(field(page)).to_be_focused()  # the button has gone
    vault.refresh_from_db()
    read_names(vault_id=vault.pk, token=vault.names_token)
    expect(page.get_by_text("65 names")).to_be_visible()
    expect(page.get_by_role("option").first).to_have_text("made-a-moment-ago")
    field(page).fill("made-a")
    expect(page.get_by_role("option")).to_have_text(["made-a-moment-ago"])


def test_a_reading_that_fails_is_told_and_asked_for_once(
    live_server: LiveServer, sign_in: SignIn, admin: User, vault: KeyVault, double: Double
) -> None:
    page = sign_in(admin)
    page.goto(f"{live_server.url}{SET_UP}")
    switch_on(page)
    field(page).click()
    page.get_by_role("button", name="Refresh now").click()
    expect(page.get_by_text("The list is being read")).to_be_visible()
    told = page.locator("#password-found").get_by_text("The list could not be read at the last try.")
    double.vault.forbid("list")
    vault.refresh_from_db()
    assert read_names(vault_id=vault.pk, token=vault.names_token) == "vault_forbidden"
    expect(told).to_be_visible()
    expect(page.get_by_text("64 names")).to_be_visible()
    KeyVault.objects.update(names_at=timezone.now() - OLD)
    field(page).fill("sftp")
    expect(page.get_by_role("option")).to_have_count(4)
    expect(told).to_be_visible()


def test_without_script(
    live_server: LiveServer, new_context: NewContext, sign_in: SignIn, admin: User, vault: KeyVault
) -> None:
    page = sign_in(admin, context=new_context(java_script_enabled=False))
    page.goto(f"{live_server.url}{SET_UP}")
    page.get_by_label("Hostname").fill("files.example.com")
    switch_on(page)
    field(page).fill("sftp")
    page.locator("button[value='secrets:password']").click()
    expect(page.get_by_role("radio", name="sftp-lisbon")).to_be_enabled()
    expect(page.get_by_role("radio", name="sftp-porto Disabled")).to_be_disabled()
    shoot(page, "without-script")
    page.get_by_role("radio", name="sftp-lisbon").check()
    page.locator("button[value='versions:password']").click()
    expect(field(page)).to_have_value("sftp-lisbon")
    expect(page.get_by_role("group", name="Version").get_by_role("radio")).to_have_count(2)
    expect(page.get_by_label("Hostname")).to_have_value("files.example.com")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_how_it_looks(
    live_server: LiveServer,
    new_context: NewContext,
    sign_in: SignIn,
    admin: User,
    vault: KeyVault,
    theme: str,
    width: int,
) -> None:
    page = sign_in(admin, context=new_context(color_scheme=theme))
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{live_server.url}{SET_UP}")
    page.get_by_label("Hostname").fill("files.example.com")
    shoot(page, f"{theme}-{width}-off")
    switch_on(page)
    field(page).fill("s")
    expect(page.get_by_role("option")).to_have_count(26)
    shoot(page, f"{theme}-{width}-on")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
