"""Reading what a service answered: whatever is not what it should be is as if it were not there."""

from collections.abc import Mapping, Sequence
from typing import Any


def objects(said: Any, key: str) -> Sequence[Mapping[str, Any]]:
    """The objects in the list under ``key``."""
    listed = said.get(key) if isinstance(said, dict) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def text(said: Any, key: str) -> str:
    """The text or number under ``key``."""
    found = said.get(key) if isinstance(said, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def number(said: Any, key: str) -> int:
    """The whole number under ``key``; 0 for none."""
    found = said.get(key) if isinstance(said, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
