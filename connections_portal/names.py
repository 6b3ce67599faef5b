"""Rules for the names that people give to connections and exports (rule S23)."""

import unicodedata
from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _

MAX_LENGTH = 100

# Categories of characters that do not show: control, format (bidi and zero width), surrogate, private, unassigned,
# line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean_name(text: str) -> str:
    """Trim, compose (NFC) and check a name: 1 to 100 visible characters. Raises ValidationError."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise ValidationError(_("Enter a name."), code="required")
    if any(unicodedata.category(c) in _HIDDEN for c in name):
        raise ValidationError(
            _("The name contains a character that cannot be seen. Type it again."), code="hidden"
        )
    if len(name) > MAX_LENGTH:
        raise ValidationError(
            _("The name has %(length)d characters; 100 are allowed.") % {"length": len(name)}, code="too_long"
        )
    return name


def name_key(name: str) -> str:
    """The form in which two names are the same: without case."""
    # some single characters unfold to many; the column holds 200
    return unicodedata.normalize("NFKC", name).casefold()[:200]


def folder_slug(name: str) -> str:
    """A lower-case folder name of at most 60 letters, digits, ``-`` and ``_``; ``export`` if nothing is left."""
    return slugify(name).strip("-_")[:60].strip("-_") or "export"


def search_words(text: str) -> str:
    """What was typed into a search: at most 100 characters, single blanks, and no NUL, which PostgreSQL refuses."""
    return " ".join(text.replace("\0", "").split())[:100]


def copy_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """*NAME (copy)*, *NAME (copy 2)* …: the first whose key is not taken, at most 100 characters; empty after 1000.

    ``is_taken`` is asked with the key of a candidate (``name_key``).
    """
    for number in range(1, 1000):
        end = _(" (copy)") if number == 1 else _(" (copy %(number)d)") % {"number": number}
        kept = name[: MAX_LENGTH - len(end)]
        # the key is cut at its column's length: what tells copies apart has to be within it
        while not name_key(kept + end).endswith(name_key(end)):
            kept = kept[:-1]
        candidate = kept.rstrip() + end
        if not is_taken(name_key(candidate)):
            return candidate
    return ""
