"""What Home tells one person: what needs them, how much there is, what ran last. Each app says it of its own things.

Home (``views/home.py``) names one function per kind of thing; each is given the person, shows nothing their role may
not see, and costs the same number of queries however much there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connections_portal.run_words import Status

# So many things are named; the rest is a number and a link.
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that is named, with its page (or none) and a second line: what is wrong, who asks, what was said."""

    text: str
    url: str = ""
    sub: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One line of *Needs your attention*: *3 exports failed*, the first of them, and the page of all.

    ``kind`` is one of ``_status.html`` (``bad``, ``warn``, ``run``, ``ok``); ``action`` are the words of the button
    that leads to ``url``; ``total`` counts what ``items`` are the first of.
    """

    kind: str
    title: str
    url: str
    action: str
    text: str = ""
    items: Sequence[Item] = ()
    total: int = 0

    @property
    def more(self) -> int:
        """How many are not named."""
        return max(0, self.total - len(self.items))


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number with its words (*Exports*) and the list it counts."""

    value: int
    text: str
    url: str


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """One of the last runs: of what (name and page of the run), how it stands, when it was queued, with which rows."""

    name: str
    url: str
    what: str
    status: Status
    at: datetime
    rows: int
