"""Every page of the portal in every kind of state, to be looked at by axe and by the screenshots."""

import json
from collections.abc import Callable, Collection, Iterator

from playwright.sync_api import Page, expect

from tests.browser import acts, enrichment_pages, permission_acts, steps, vault_pages
from tests.browser.look import Look
from tests.browser.running import Portal

CONNECTIONS = "/settings/connections/"
EXPORTS = "/data/exports/"
PERMISSIONS = "/settings/permissions/"

# before there is anything
EMPTY = enrichment_pages.EMPTY | {
    "system-status-empty": Look("admin", "/settings/system/status/"),
    "home-admin-new": Look("admin", "/"),
    "home-contributor-new": Look("contributor", "/"),
    "home-viewer-new": Look("viewer", "/"),
    "connections-requests-empty": Look("admin", f"{CONNECTIONS}requests/"),
    "requests-empty": Look("contributor", "/data/requests/"),
    "connections-exports-empty": Look("admin", f"{CONNECTIONS}exports/"),
    "connections-enrichment-empty": Look("admin", f"{CONNECTIONS}enrichment/"),
    "exports-empty": Look("admin", EXPORTS),
    "exports-nothing-shared": Look("contributor", EXPORTS),
    "export-add-nothing-shared": Look("contributor", f"{EXPORTS}new/"),
    "exports-waiting-nothing": Look("admin", f"{EXPORTS}waiting/"),
    "run-all-nothing": Look("admin", f"{EXPORTS}run-all/"),
}

SIGNED_OUT = {
    "sign-in": Look("", "/sign-in/"),
    "sign-in-wrong": Look("", "/sign-in/", acts.wrong_password),
    "sign-in-locked-out": Look("", "/sign-in/", acts.locked_out),
}

ACCOUNT = {
    "home-admin": Look("admin", "/"),
    "home-contributor": Look("contributor", "/"),
    "home-viewer": Look("viewer", "/"),
    "home-support": Look("support", "/"),
    "home-nobody": Look("nobody", "/"),
    "account-menu": Look("contributor", "/", acts.account_menu, over=True),
    "change-password": Look("admin", "/password/"),
    "change-password-errors": Look("admin", "/password/", acts.press("Change password")),
    "forbidden": Look("viewer", CONNECTIONS),
    "forbidden-old-form": Look("viewer", "/password/", acts.old_form),
    "not-found": Look("viewer", "/nowhere/"),
    "bad-request": Look("viewer", "/{bad_page}"),
    "busy": Look("contributor", "/{busy_page}"),
    "fault": Look("contributor", "/{fault_page}"),
}

SETTINGS = {
    "discover": Look("admin", CONNECTIONS),
    "discover-nothing-found": Look("admin", f"{CONNECTIONS}?q=zzz"),
    "discover-add-menu": Look("admin", f"{CONNECTIONS}exports/", acts.add_menu, over=True),
    "connections-exports": Look("admin", f"{CONNECTIONS}exports/"),
    "connections-enrichment": Look("admin", f"{CONNECTIONS}enrichment/"),
    "connections-filtered": Look("admin", f"{CONNECTIONS}exports/?q=sftp&status=ready&sort=-used"),
    "connections-nothing-found": Look("admin", f"{CONNECTIONS}exports/?q=zzz"),
    "connections-selection": Look("admin", f"{CONNECTIONS}exports/", acts.tick_two),
    "connections-bulk-remove": Look(
        "admin", f"{CONNECTIONS}exports/", acts.bulk("Remove", everything=True), over=True
    ),
    "connections-menu": Look("admin", f"{CONNECTIONS}exports/", acts.row_menu, over=True),
    "connection-help": Look("admin", f"{CONNECTIONS}help/sftp/"),
    "connection-help-import": Look("admin", f"{CONNECTIONS}help/sftp_custom_import/"),
    "connection-import": Look("admin", CONNECTIONS + "{source_uuid}/"),
    "connection-import-next": Look("admin", CONNECTIONS + "{source_uuid}/?next=1"),
    "edit-import": Look("admin", CONNECTIONS + "{source_uuid}/edit/"),
    "set-up-import": Look("admin", f"{CONNECTIONS}new/sftp_custom_import/", acts.save_errors),
    "set-up-import-verified": Look("admin", CONNECTIONS, acts.import_pane_verified, over=True),
    "connection": Look("admin", CONNECTIONS + "{connection}/"),
    "connection-next": Look("admin", CONNECTIONS + "{connection}/?next=1"),
    "connection-needs-attention": Look("admin", CONNECTIONS + "{needs}/", acts.unfold),
    "connection-paused": Look("admin", CONNECTIONS + "{paused}/"),
    "connection-stopped": Look("admin", CONNECTIONS + "{stopped}/"),
    "connection-stop": Look("admin", CONNECTIONS + "{connection}/stop/"),
    "connection-stop-dialog": Look(
        "admin", CONNECTIONS + "{connection}/", acts.follow("Stop everything"), over=True
    ),
    "connection-stopped-print": Look("admin", CONNECTIONS + "{stopped}/stopped/"),
    "connection-agreement-withdrawn": Look("admin", CONNECTIONS + "{withdrawn}/"),
    "connection-not-verified": Look("admin", CONNECTIONS + "{unverified}/"),
    "connection-long-name": Look("admin", CONNECTIONS + "{unused}/"),
    "connection-pause": Look("admin", CONNECTIONS + "{connection}/pause/"),
    "connection-pause-dialog": Look("admin", CONNECTIONS + "{connection}/", acts.follow("Pause"), over=True),
    "connection-withdraw": Look("admin", CONNECTIONS + "{connection}/withdraw/"),
    "connection-withdraw-refused": Look("admin", CONNECTIONS + "{withdrawn}/withdraw/"),
    "connection-remove-in-use": Look("admin", CONNECTIONS + "{connection}/remove/"),
    "connection-remove-in-use-dialog": Look(
        "admin", CONNECTIONS + "{connection}/", acts.follow("Remove"), over=True
    ),
    "connection-remove-unused": Look("admin", CONNECTIONS + "{unused}/remove/"),
    "connection-remove-each": Look("admin", CONNECTIONS + "{connection}/remove/?see=1"),
    "connection-remove-each-dialog": Look(
        "admin", CONNECTIONS + "{connection}/", acts.see_what_uses_it, over=True
    ),
    "connection-remove-import-each": Look("admin", CONNECTIONS + "{source_uuid}/remove/?see=1"),
    "exports-back-to-removing": Look("admin", EXPORTS + "?connection={connection}&removing=1"),
    "connection-move": Look("admin", CONNECTIONS + "{connection}/move/"),
    "connection-move-dialog": Look("admin", CONNECTIONS + "{connection}/", acts.move_shown, over=True),
    "connections-removed": Look("admin", f"{CONNECTIONS}removed/"),
    "connection-restore": Look("admin", CONNECTIONS + "removed/{removed}/restore/"),
    "set-up-page": Look("admin", f"{CONNECTIONS}new/sftp/"),
    "set-up-page-errors": Look("admin", f"{CONNECTIONS}new/sftp/", acts.save_errors),
    "set-up-like-another": Look("admin", CONNECTIONS + "new/sftp/?like={connection}"),
    "set-up-pane": Look("admin", CONNECTIONS, acts.set_up_pane, over=True),
    "set-up-pane-errors": Look("admin", CONNECTIONS, acts.set_up_pane_errors, over=True),
    "set-up-pane-trust": Look("admin", CONNECTIONS, acts.set_up_pane_trust, over=True),
    "set-up-pane-verified": Look("admin", CONNECTIONS, acts.set_up_pane_verified, over=True),
    "set-up-pane-refused": Look("admin", CONNECTIONS, acts.set_up_pane_refused, over=True),
    "set-up-pane-unreached": Look("admin", CONNECTIONS, acts.set_up_pane_unreached, over=True),
    "set-up-leave": Look("admin", CONNECTIONS, acts.set_up_leave, over=True),
    "edit": Look("admin", CONNECTIONS + "{connection}/edit/"),
    "edit-pane": Look("admin", CONNECTIONS + "{connection}/", acts.follow("Edit"), over=True),
    "edit-paused": Look("admin", CONNECTIONS + "{withdrawn}/edit/"),
    "edit-errors": Look("admin", CONNECTIONS + "{connection}/edit/", acts.edit_errors),
    "edit-stale": Look("admin", CONNECTIONS + "{connection}/edit/", acts.edit_stale),
    "edit-changed-key": Look("admin", CONNECTIONS + "{changed_key}/edit/", acts.edit_changed_key),
    "share": Look("admin", CONNECTIONS + "{connection}/share/"),
    "share-specific-people": Look("admin", CONNECTIONS + "{connection}/share/", acts.share_specific),
    "connection-access": Look("admin", CONNECTIONS + "{connection}/access/"),
    "people": Look("admin", PERMISSIONS),
    "people-nothing-found": Look("admin", f"{PERMISSIONS}?q=zzz"),
    "people-menu": Look("admin", f"{PERMISSIONS}?q=weber", acts.row_menu, over=True),
    "people-selection": Look("admin", PERMISSIONS, acts.tick_two),
    "people-bulk-remove": Look("admin", f"{PERMISSIONS}?role=Contributor", acts.bulk("Remove"), over=True),
    "person-add": Look("admin", f"{PERMISSIONS}add/"),
    "person-add-errors": Look("admin", f"{PERMISSIONS}add/", permission_acts.typed_badly),
    "person-add-pane": Look("admin", PERMISSIONS, acts.follow("Add person"), over=True),
    "person-edit": Look("admin", PERMISSIONS + "{contributor}/edit/"),
    "person-edit-stops": Look("admin", PERMISSIONS + "{contributor}/edit/", permission_acts.role_taken),
    "person-password": Look("admin", PERMISSIONS + "{contributor}/password/"),
    "person-deactivate": Look("admin", PERMISSIONS + "{contributor}/deactivate/"),
    "person-activate": Look("admin", PERMISSIONS + "{contributor}/activate/"),
    "person-remove": Look("admin", PERMISSIONS + "{contributor}/remove/"),
    "person-access": Look("admin", PERMISSIONS + "{contributor}/access/"),
    "groups": Look("admin", f"{PERMISSIONS}groups/"),
    "group-add": Look("admin", f"{PERMISSIONS}groups/add/"),
    "group-edit": Look("admin", PERMISSIONS + "groups/{group}/"),
    "group-edit-pane": Look("admin", f"{PERMISSIONS}groups/", permission_acts.open_group, over=True),
    "group-remove": Look("admin", PERMISSIONS + "groups/{group}/remove/"),
    "person-made-password": Look("admin", PERMISSIONS, permission_acts.made_password, over=True),
    "share-pane": Look("admin", CONNECTIONS + "{connection}/", acts.follow("Share"), over=True),
    "share-withdrawal": Look("admin", CONNECTIONS + "{connection}/share/", acts.share_withdrawal),
    "connections-requests": Look("admin", f"{CONNECTIONS}requests/"),
    "connections-requests-all": Look("admin", f"{CONNECTIONS}requests/?status=all"),
    "connections-requests-nothing-found": Look("admin", f"{CONNECTIONS}requests/?q=zzz"),
    "connections-requests-menu": Look("admin", f"{CONNECTIONS}requests/", acts.row_menu, over=True),
    "request-grant": Look("admin", CONNECTIONS + "requests/{open_request}/grant/"),
    "request-grant-errors": Look(
        "admin", CONNECTIONS + "requests/{open_request}/grant/", acts.press("Share")
    ),
    "request-grant-former": Look("admin", CONNECTIONS + "requests/{former_request}/grant/"),
    "request-grant-answered": Look("admin", CONNECTIONS + "requests/{declined_request}/grant/"),
    "request-decline": Look("admin", CONNECTIONS + "requests/{open_request}/decline/"),
    "request-decline-errors": Look(
        "admin", CONNECTIONS + "requests/{open_request}/decline/", acts.press("Decline")
    ),
    "see-as": Look("admin", f"{CONNECTIONS}see-as/"),
    "see-as-nobody-found": Look("admin", f"{CONNECTIONS}see-as/?q=zzz"),
    "see-as-somebody": Look("admin", CONNECTIONS + "see-as/?person={contributor}"),
}

AUDIT = {
    "audit": Look("admin", "/settings/audit/"),
    "audit-details": Look("admin", "/settings/audit/?action=secret.used", acts.open_details),
    "audit-history": Look("admin", "/settings/audit/?object={connection}"),
    "audit-nothing-found": Look("admin", "/settings/audit/?q=zzz"),
    "audit-time-errors": Look("admin", "/settings/audit/?from=yesterday"),
}

DATA = {
    "tables": Look("contributor", "/data/tables/"),
    "table-sample": Look("contributor", "/data/tables/segment/high_value/?sample=1"),
    "table-viewer": Look("viewer", "/data/tables/table/orders/"),
    "exports": Look("contributor", EXPORTS),
    "exports-viewer": Look("viewer", EXPORTS),
    "exports-inactive": Look("contributor", f"{EXPORTS}?status=inactive"),
    "exports-of-a-connection": Look("admin", EXPORTS + "?connection={connection}"),
    "exports-nothing-found": Look("contributor", f"{EXPORTS}?q=zzz"),
    "exports-menu": Look("contributor", EXPORTS, acts.row_menu, over=True),
    "exports-selection": Look("contributor", EXPORTS, acts.tick_one),
    "exports-selection-several": Look("contributor", EXPORTS, acts.tick_two),
    "exports-bulk-run": Look("contributor", EXPORTS, acts.bulk("Run", everything=True), over=True),
    "exports-bulk-schedule": Look("contributor", EXPORTS, acts.bulk("Schedule"), over=True),
    "exports-bulk-detach": Look("contributor", EXPORTS, acts.bulk("Detach connection"), over=True),
    "exports-bulk-remove": Look("contributor", EXPORTS, acts.bulk("Remove", everything=True), over=True),
    "run-all": Look("contributor", f"{EXPORTS}run-all/"),
    "run-all-dialog": Look("contributor", EXPORTS, acts.follow("Run all"), over=True),
    "export": Look("contributor", EXPORTS + "{export}/"),
    "export-next": Look("contributor", EXPORTS + "{export}/?next=1"),
    "export-viewer": Look("viewer", EXPORTS + "{export}/"),
    "export-detached": Look("contributor", EXPORTS + "{detached_export}/"),
    "export-take-over": Look("contributor", EXPORTS + "{unowned_export}/"),
    "export-add": Look("contributor", f"{EXPORTS}new/"),
    "export-add-errors": Look("contributor", f"{EXPORTS}new/", acts.press("Save")),
    "export-edit": Look("admin", EXPORTS + "{export}/edit/"),
    "export-edit-stale": Look("admin", EXPORTS + "{export}/edit/", acts.edit_stale),
    "export-view": Look("viewer", EXPORTS + "{export}/edit/"),
    "export-rename": Look("contributor", EXPORTS + "{export}/rename/"),
    "export-rename-errors": Look("contributor", EXPORTS + "{export}/", acts.rename_errors, over=True),
    "export-schedule": Look("contributor", EXPORTS + "{daily_export}/schedule/"),
    "export-schedule-dialog": Look("contributor", EXPORTS + "{export}/", acts.follow("Schedule"), over=True),
    "export-detach": Look("contributor", EXPORTS + "{export}/detach/"),
    "export-attach": Look("contributor", EXPORTS + "{detached_export}/attach/"),
    "export-attach-errors": Look(
        "contributor", EXPORTS + "{detached_export}/attach/", acts.press("Add connection")
    ),
    "exports-waiting": Look("contributor", f"{EXPORTS}waiting/"),
    "exports-attach-waiting": Look("contributor", f"{EXPORTS}waiting/sftp/"),
    "exports-attach-waiting-errors": Look(
        "contributor", f"{EXPORTS}waiting/sftp/", acts.press("Add connection")
    ),
    "requests": Look("contributor", "/data/requests/"),
    "request-access": Look("contributor", "/data/requests/new/"),
    "request-access-errors": Look("contributor", "/data/requests/new/", acts.press("Send request")),
    "request-access-dialog": Look("contributor", "/data/requests/", acts.follow("Request access"), over=True),
    "request-withdraw": Look("contributor", "/data/requests/{open_request}/withdraw/"),
    "export-remove": Look("contributor", EXPORTS + "{export}/remove/"),
    "run": Look("contributor", EXPORTS + "{export}/runs/{run}/"),
    "run-running": Look("contributor", EXPORTS + "{running_export}/runs/{running_run}/"),
    "run-retrying": Look("contributor", EXPORTS + "{retrying_export}/runs/{retrying_run}/"),
    "run-failed": Look("contributor", EXPORTS + "{failed_export}/runs/{failed_run}/"),
    "run-failed-admin": Look("admin", EXPORTS + "{failed_export}/runs/{failed_run}/"),
    "run-canceled": Look("contributor", EXPORTS + "{canceled_export}/runs/{canceled_run}/"),
    "run-warnings": Look("contributor", EXPORTS + "{warnings_export}/runs/{warnings_run}/"),
    "run-take-over": Look("contributor", EXPORTS + "{unowned_export}/runs/{unowned_run}/"),
    # last: what it makes changes the list
    "export-duplicate": Look("contributor", EXPORTS + "{export}/", acts.press("Create duplicate")),
    "toast": Look("contributor", EXPORTS, acts.duplicate_in_list, over=True),
}

SYSTEM = {
    "system": Look("admin", "/settings/system/"),
    "system-errors": Look("admin", "/settings/system/", acts.refresh_errors),
    "system-status": Look("viewer", "/settings/system/status/"),
    "system-status-admin": Look("admin", "/settings/system/status/"),
    "system-refresh": Look("contributor", "/settings/system/status/{refresh}/"),
}

PAGES = (
    EMPTY
    | enrichment_pages.FILLED
    | SIGNED_OUT
    | ACCOUNT
    | SETTINGS
    | vault_pages.PAGES
    | AUDIT
    | SYSTEM
    | DATA
)


def prepare(page: Page, portal: Portal) -> dict[str, str]:
    """A connection, an export on it and a finished run; their identifiers by name."""
    steps.sign_in(page, portal, "admin")
    steps.set_up_connection(page, portal)
    connection = page.url.split("?")[0].rstrip("/").rsplit("/", 1)[1]
    steps.sign_out(page)
    steps.sign_in(page, portal, "contributor")
    steps.add_export(page, portal, ["Loyalty gold", "Store opening guests"])
    export = page.url.split("?")[0].rstrip("/").rsplit("/", 1)[1]
    steps.run_export(page)
    run = page.url.rstrip("/").rsplit("/", 1)[1]
    steps.sign_out(page)
    return {"connection": connection, "export": export, "run": run}


def prepare_states(portal: Portal) -> dict[str, str]:
    """What ``tests.browser.states`` makes, after ``prepare``."""
    made = portal.manage("shell", "-c", "from tests.browser.states import main; main()")
    return {name: str(value) for name, value in json.loads(made.splitlines()[-1]).items()}


def visit(
    new_page: Callable[[], Page], portal: Portal, only: Collection[str] = PAGES
) -> Iterator[tuple[str, Page]]:
    """Open every page of PAGES (or ``only`` some) in a portal that was just started; gives name and page of each.

    ``new_page`` opens a window with cookies of its own: one per person, so that each signs in once.
    """
    windows: dict[str, Page] = {"": new_page()}

    def window(who: str) -> Page:
        if who not in windows:
            windows[who] = new_page()
            steps.sign_in(windows[who], portal, who)
        return windows[who]

    for name, look in ((name, EMPTY[name]) for name in EMPTY if name in only):
        yield name, _open(window(look.who), portal, look, {})
    maker = new_page()
    filled = prepare(maker, portal) | prepare_states(portal)
    maker.context.close()
    for name, look in ((name, PAGES[name]) for name in PAGES if name in only and name not in EMPTY):
        yield name, _open(window(look.who), portal, look, filled)


def _open(page: Page, portal: Portal, look: Look, filled: dict[str, str]) -> Page:
    made_elsewhere = filled.get(look.address.strip("/{}"), "")
    if made_elsewhere.startswith(("<", "\n")):
        # a page that cannot be asked for: what the portal itself made of it, at an address of the portal
        page.route(
            "**/made-elsewhere/", lambda route: route.fulfill(body=made_elsewhere, content_type="text/html")
        )
        page.goto(f"{portal.url}/made-elsewhere/")
        page.unroute("**/made-elsewhere/")
    else:
        page.goto(portal.url + look.address.format(**filled))
    if look.act:
        look.act(page, portal)
    if look.over:
        expect(page.locator(":is(dialog[open], [popover]:popover-open)").first).to_be_visible()
    return page
