"""What a browser sends for the export form, and how to read the boxes of the answer."""

import re
from typing import Any

from connections.models import Connection


def filled(connection: Connection | None, /, **changes: Any) -> dict[str, Any]:
    """What a browser sends for a valid form."""
    values: dict[str, Any] = {
        "action": "save",
        "name": "Loyalty mailing",
        "connection": str(connection.uuid) if connection else "",
        "option_compression": "gzip",
        "option_delimiter": "comma",
        "option_formulas": "keep",
        "items": ["segment:loyal"],
        "shown": ["fields:segment"],
        "fields:segment": ["customer_id", "email"],
        "schedule": "manual",
        "time": "06:00",
        "days": "",
        "zone": "Europe/Berlin",
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


def text(response: Any) -> str:
    """The page as it was sent."""
    decoded: str = response.content.decode()
    return decoded


def box(page: str, name: str, value: str) -> str:
    """The tag of one box to tick."""
    found = re.search(
        rf'<input class="tick" type="checkbox" name="{name}" value="{re.escape(value)}"[^>]*>', page
    )
    assert found, f"{name}={value} is not on the page"
    return found[0].partition(" hx-")[0]


def ticked(page: str, name: str, value: str) -> bool:
    return " checked" in box(page, name, value)
