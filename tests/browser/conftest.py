"""Fixtures of the browser tests: Chromium of the system, pages that must stay free of errors, axe, quick sign-in.

Every test in this folder carries the marker ``browser``. ``page``, ``context`` and ``new_context`` come from
pytest-playwright; all pages are watched, whoever opens them. Do not use ``page.wait_for_function``: the
Content-Security-Policy forbids what it needs, and is not to be bypassed.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response, WebError
from pytest_django.live_server_helper import LiveServer

from connections_portal.models import User
from tests.browser.running import CHROMIUM_ARGS

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Chromium reports every answer 4xx to the console. Tests provoke some on purpose, and look at them.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")

Check = Callable[[Page], None]
NewContext = Callable[..., BrowserContext]
SignIn = Callable[..., Page]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies here as a browser test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Chromium of the system (CHROMIUM, else /usr/bin/chromium), which calls nobody on its own account."""
    return {
        **browser_type_launch_args,
        "executable_path": os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        "args": CHROMIUM_ARGS,
    }


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """A wide window without motion, in English."""
    return {
        **browser_context_args,
        "viewport": {"width": 1440, "height": 900},
        "reduced_motion": "reduce",
        "locale": "en-GB",
        "timezone_id": "Europe/Berlin",
    }


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """What went wrong in any page: script and console errors (CSP refusals too), 5xx, missing static files."""
    found: list[str] = []
    yield found
    assert not found, "The browser reported:\n" + "\n".join(found)


@pytest.fixture
def new_context(new_context: NewContext, problems: list[str]) -> NewContext:
    """One more browser window with cookies of its own; its pages are watched."""

    def build(**options: Any) -> BrowserContext:
        context = new_context(**options)
        _watch(context, problems)
        return context

    return build


def _watch(context: BrowserContext, problems: list[str]) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not REFUSED.match(message.text):
            problems.append(f"console: {message.text}")

    def on_error(error: WebError) -> None:
        problems.append(f"script: {error.error}")

    def on_response(response: Response) -> None:
        if response.status >= 500 or (response.status == 404 and "/static/" in response.url):
            problems.append(f"{response.status}: {response.request.method} {response.url}")

    context.on("console", on_console)
    context.on("weberror", on_error)
    context.on("response", on_response)


@pytest.fixture
def sign_in(live_server: LiveServer, context: BrowserContext) -> SignIn:
    """``sign_in(user)`` gives a page of a window (``context=`` for another one) in which the person is signed in."""

    def build(user: User, *, context: BrowserContext = context) -> Page:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        session = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        return context.new_page()

    return build


@pytest.fixture(scope="session")
def axe() -> Check:
    """``axe(page)`` fails when the page as it stands breaks an accessibility rule, and says where."""
    return _axe({"type": "tag", "values": AXE_RULES})


@pytest.fixture(scope="session")
def axe_colours() -> Check:
    """As ``axe``, with the rules alone that colours decide: what is left to see of a page in its other theme."""
    return _axe({"type": "rule", "values": ["color-contrast", "link-in-text-block"]})


@pytest.fixture(scope="session")
def axe_stock() -> Check:
    """As ``axe``, for pages of Django: their style sheets import others, and axe would put these into the page as
    inline styles, which the policy refuses, to see whether a page can be turned.
    """
    return _axe({"type": "tag", "values": AXE_RULES}, preload=False)


def _axe(rules: dict[str, Any], *, preload: bool = True) -> Check:
    source = AXE.read_text(encoding="utf-8")

    def check(page: Page) -> None:
        if not page.evaluate("'axe' in window"):
            page.evaluate(source)
        result = page.evaluate(
            "([rules, preload]) => axe.run(document, {runOnly: rules, preload, resultTypes: ['violations']})",
            [rules, preload],
        )
        lines = [
            f"{violation['id']} ({violation['impact']}): {violation['help']}\n    {node['html'][:200]}"
            for violation in result["violations"]
            for node in violation["nodes"]
        ]
        assert not lines, f"axe on {page.url}:\n" + "\n".join(lines)
        assert result["passes"], "axe looked at nothing"

    return check
