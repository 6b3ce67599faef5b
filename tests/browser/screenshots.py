"""``make screenshots``: every page, light and dark, 1440 and 390 wide, into var/screenshots.

The portal runs as ``make run`` starts it, on a folder of its own.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser.pages import prepare, visit
from tests.browser.running import CHROMIUM_ARGS, ROOT, Portal, running_portal

FOLDER = ROOT / "var" / "screenshots"
WIDTHS = (1440, 390)
THEMES = ("light", "dark")


def main() -> int:
    """Write the pictures and say where they are."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder) / "var") as portal:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=CHROMIUM_ARGS
            )
            filled = prepare(browser.new_page(), portal)
            for width in WIDTHS:
                for theme in THEMES:
                    photograph(browser, portal, filled, width, theme)
            browser.close()
    print(f"{len(list(FOLDER.iterdir()))} pictures in {FOLDER}")
    return 0


def photograph(browser: Browser, portal: Portal, filled: dict[str, str], width: int, theme: str) -> None:
    """One picture of every page at this width and in this theme."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    page = context.new_page()
    for name in visit(page, portal, filled):
        whole = not name.startswith(("pane-", "dialog-", "menu-"))
        page.screenshot(path=FOLDER / f"{name}-{width}-{theme}.png", full_page=whole)
    context.close()


if __name__ == "__main__":
    sys.exit(main())
