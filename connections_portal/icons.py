"""The icons that pages show, read from ``static/vendor/fluent-icons``, and the tint of each category of service.

Vendors' logos are trade marks and are not drawn: an icon stands for a category.
"""

import functools
import re

from django.conf import settings

FOLDER = settings.BASE_DIR / "static" / "vendor" / "fluent-icons"

# A category keeps its tint wherever it is shown; one that is not listed here is grey.
TINTS = {
    "files": "orange",
    "storage": "teal",
    "email marketing": "blue",
    "maps": "green",
    "demographics": "violet",
    "identity": "pink",
}
AVATAR_TINTS = ("blue", "green", "orange", "violet", "teal", "pink")


@functools.cache
def names() -> frozenset[str]:
    """Every name that ``drawing`` knows: ``edit``, or ``home_filled`` for the filled variant."""
    regular = {path.name.removesuffix("_20_regular.svg") for path in FOLDER.glob("*_20_regular.svg")}
    filled = {path.name.removesuffix("_20_filled.svg") + "_filled" for path in FOLDER.glob("*_20_filled.svg")}
    return frozenset(regular | filled)


@functools.cache
def drawing(name: str) -> str:
    """The inside of the named 20 × 20 icon as SVG markup. Raises LookupError for a name that is not vendored."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise LookupError(f"{name!r} is no name of an icon")
    stem = name.removesuffix("_filled")
    path = FOLDER / f"{stem}_20_{'filled' if name.endswith('_filled') else 'regular'}.svg"
    if not path.is_file():
        raise LookupError(f"no icon {name!r} in {FOLDER.name}")
    text = path.read_text(encoding="utf-8")
    return text[text.index(">") + 1 : text.rindex("</svg>")]


def tint_of(category: str) -> str:
    """The tint of a category of services, in any case: a word of the ``tint-…`` classes."""
    return TINTS.get(category.casefold(), "grey")
