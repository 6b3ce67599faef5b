"""What is looked at: one page in one kind of state."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from tests.browser.running import Portal

Act = Callable[[Page, Portal], None]


@dataclass(frozen=True)
class Look:
    """Who looks at which address ({names} are filled in), and what they do there first. ``over``: what opens above."""

    who: str
    address: str
    act: Act | None = None
    over: bool = False
