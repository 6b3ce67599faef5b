"""The pages of Settings > Key Vault in every kind of state, as ``tests.browser.pages`` lists them."""

import re

from playwright.sync_api import Page, expect

from tests.browser import acts
from tests.browser.look import Act, Look
from tests.browser.running import Portal

VAULTS = "/settings/key-vault/"
CONNECTIONS = "/settings/connections/"


def menu(page: Page, portal: Portal) -> None:
    """The menu of the first vault."""
    page.locator("main article").first.get_by_role("button", name="More for").click()


def unlink_dialog(page: Page, portal: Portal) -> None:
    """*Unlink*, as far as the choices."""
    menu(page, portal)
    page.get_by_role("link", name="Unlink").first.click()
    page.get_by_role("button", name="See what's using this vault").click()
    expect(page.get_by_role("dialog").get_by_role("table")).to_be_visible()


def lists(page: Page, portal: Portal) -> None:
    """Wait for what Azure's directory shows."""
    expect(page.locator("#vault-lists [role=status]")).to_have_count(0)


def save_errors(page: Page, portal: Portal) -> None:
    """Nothing is filled in but who signs in."""
    lists(page, portal)
    page.get_by_label("A service principal with a client secret").check()
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_role("alert").first).to_be_visible()


def verified(page: Page, portal: Portal) -> None:
    """The sandbox's second vault is chosen from the list and passes."""
    lists(page, portal)
    page.get_by_label("Vault", exact=True).select_option(label="contoso-sandbox-2")
    page.get_by_label("All secrets of the vault").check()
    page.get_by_role("button", name="Verify", exact=True).click()
    expect(page.locator("#vault-verify").get_by_text("Verified", exact=True)).to_be_visible()


def refused(page: Page, portal: Portal) -> None:
    """A principal that the tenant does not know."""
    lists(page, portal)
    page.get_by_label("Address of the vault").fill("https://contoso-sandbox-2.vault.azure.net")
    page.get_by_label("A service principal with a client secret").check()
    page.get_by_label("Directory (tenant) ID").fill("11111111-2222-3333-4444-555555555555")
    page.get_by_label("Application (client) ID").fill("99999999-9999-4999-8999-999999999999")
    page.locator("#id_client_secret").fill("nobody-s-secret")
    page.get_by_label("All secrets of the vault").check()
    page.get_by_role("button", name="Verify", exact=True).click()
    expect(page.locator("#vault-verify").get_by_text("Not verified", exact=True)).to_be_visible()


def from_the_top(act: Act) -> Act:
    """Do it, and scroll back up: the head of the page must not lie over what is looked at."""

    def both(page: Page, portal: Portal) -> None:
        act(page, portal)
        page.evaluate("window.scrollTo(0, 0)")

    return both


def pane_verified(page: Page, portal: Portal) -> None:
    """The same in the pane."""
    acts.follow("Link a vault")(page, portal)
    verified(page, portal)


def narrowing(page: Page, portal: Portal) -> None:
    """A scope that takes secrets from connections."""
    page.get_by_label("Secrets whose name begins with").check()
    page.locator("#id_name_prefix").fill("nothing-begins-so-")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("button", name="Save all the same")).to_be_visible()


def use_key_vault(page: Page, portal: Portal) -> None:
    """Switch it on for the password and choose the sandbox's vault among those that are linked."""
    page.get_by_role("switch", name=re.compile("Password$")).check()
    page.locator("#id_password-vault").select_option(label="contoso-sandbox")


def names_to_choose(page: Page, portal: Portal) -> None:
    """The list of names for what is typed."""
    use_key_vault(page, portal)
    page.locator("#id_password-name").fill("password")
    expect(page.locator("#password-list [role=option]").first).to_be_visible()
    expect(page.locator("main [aria-busy=true]")).to_have_count(0)


def names_in_pane(page: Page, portal: Portal) -> None:
    """The same in the pane."""
    acts.set_up_pane(page, portal)
    names_to_choose(page, portal)


def versions_to_choose(page: Page, portal: Portal) -> None:
    """The versions of the secret that the connection reads."""
    page.get_by_role("button", name=re.compile("^Choose a version.*Password$")).click()
    expect(page.get_by_role("radio", name="Always the latest")).to_be_visible()


def name_refused(page: Page, portal: Portal) -> None:
    """A name with a path in it."""
    use_key_vault(page, portal)
    page.locator("#id_password-name").fill("../another")
    page.get_by_role("button", name="Verify", exact=True).click()
    expect(page.locator("#form-errors")).to_be_visible()
    page.evaluate("window.scrollTo(0, 0)")


PAGES = {
    "set-up-key-vault": Look("admin", f"{CONNECTIONS}new/sftp/", names_to_choose),
    "set-up-key-vault-pane": Look("admin", CONNECTIONS, names_in_pane, over=True),
    "set-up-key-vault-errors": Look("admin", f"{CONNECTIONS}new/sftp/", name_refused),
    "edit-key-vault": Look("admin", CONNECTIONS + "{vault_connection}/edit/"),
    "edit-key-vault-versions": Look("admin", CONNECTIONS + "{vault_connection}/edit/", versions_to_choose),
    "discover-key-vault": Look("admin", f"{CONNECTIONS}?key_vault=1"),
    "key-vault": Look("admin", VAULTS),
    "key-vault-menu": Look("admin", VAULTS, menu, over=True),
    "key-vault-link": Look("admin", f"{VAULTS}link/", lists),
    "key-vault-link-errors": Look("admin", f"{VAULTS}link/", from_the_top(save_errors)),
    "key-vault-link-verified": Look("admin", f"{VAULTS}link/", from_the_top(verified)),
    "key-vault-link-refused": Look("admin", f"{VAULTS}link/", from_the_top(refused)),
    "key-vault-link-pane": Look("admin", VAULTS, pane_verified, over=True),
    "key-vault-edit": Look("admin", VAULTS + "{vault}/edit/"),
    "key-vault-edit-narrowing": Look("admin", VAULTS + "{vault}/edit/", narrowing),
    "key-vault-unlink": Look("admin", VAULTS + "{vault}/unlink/"),
    "key-vault-unlink-each": Look("admin", VAULTS + "{vault}/unlink/?see=1"),
    "key-vault-unlink-dialog": Look("admin", VAULTS, unlink_dialog, over=True),
    "key-vault-replace": Look("admin", VAULTS + "{vault_gone}/replace/"),
    "key-vault-replace-shown": Look("admin", VAULTS + "{vault_gone}/replace/?to={vault}"),
}
