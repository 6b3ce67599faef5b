"""What Home tells one person: something that needs them, and what ran last. Each app says it of its own things."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

# So many things are named; the rest is a number and a link.
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that is named, with its page: *Weekly offers*, *The server did not answer.*"""

    text: str
    url: str
    sub: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One line of *Needs your attention*: *3 exports failed*, the first of them, and where all are.

    ``kind`` is ``bad``, ``warn``, ``info`` or ``ok``; ``action`` are the words on the button that leads to ``url``.
    """

    kind: str
    title: str
    items: Sequence[Item]
    url: str
    action: str
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """One of the last runs: of what, how it stands (kinds of ``_status.html``), since when, and with how many rows."""

    name: str
    url: str
    what: str
    kind: str
    text: str
    at: datetime
    rows: int
