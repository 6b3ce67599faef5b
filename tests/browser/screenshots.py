"""``make screenshots``: every page in every kind of state, into var/screenshots.

Light and dark, 1440 and 390 wide, and in forced colours. The portal runs as ``make run`` starts it, on a folder of its
own. ``python -m tests.browser.screenshots WORD`` takes only those whose name begins with the word.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.browser.pages import PAGES, visit
from tests.browser.running import CHROMIUM_ARGS, ROOT, running_portal

FOLDER = Path(os.environ.get("SCREENSHOTS") or ROOT / "var" / "screenshots")
WIDTHS = (1440, 390)
# by name: what the system asks pages for
SCHEMES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "forced_colors": "none"},
    "dark": {"color_scheme": "dark", "forced_colors": "none"},
    "forced": {"color_scheme": "dark", "forced_colors": "active"},
}


def main(words: list[str]) -> int:
    """Write the pictures and say where they are."""
    only = [name for name in PAGES if not words or name.startswith(tuple(words))]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder) / "var") as portal:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=CHROMIUM_ARGS
            )

            def new_page() -> Page:
                return browser.new_context(
                    viewport={"width": WIDTHS[0], "height": 900},
                    reduced_motion="reduce",
                    locale="en-GB",
                    timezone_id="Europe/Berlin",
                ).new_page()

            for name, page in visit(new_page, portal, only):
                photograph(page, name)
            browser.close()
    print(f"{len(list(FOLDER.iterdir()))} pictures in {FOLDER}")
    return 0


def photograph(page: Page, name: str) -> None:
    """The page as it stands, in every width and scheme; left as it was found."""
    for width in reversed(WIDTHS):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, media in SCHEMES.items():
            if scheme == "forced" and width != WIDTHS[0]:
                continue
            page.emulate_media(**media)
            page.screenshot(path=FOLDER / f"{name}-{width}-{scheme}.png", full_page=not PAGES[name].over)
    page.emulate_media(**SCHEMES["light"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
