"""Names that the wizard suggests: the enrichment's from its file or type, the table's from the enrichment's name."""

import re
import unicodedata
from collections.abc import Callable

from connections_portal.names import MAX_LENGTH, name_key
from enrichments.models import Enrichment

TABLE_LENGTH = 60


def name_for(type_name: str, filename: str, segment_label: str) -> str:
    """A free name: *Crm scores*, from the file's own name, else the type's; a segment's is added."""
    stem = re.sub(r"\.[A-Za-z0-9.]{1,8}$", "", filename.rsplit("/", 1)[-1])
    words = re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", stem)).strip()
    base = f"{words[:1].upper()}{words[1:].lower()}" if words else type_name
    if segment_label:
        base = f"{base}, {segment_label}"
    return _free(base[: MAX_LENGTH - 4], " {}", "name_key", name_key)


def table_for(name: str) -> str:
    """A free table name made of an enrichment's name: ASCII letters, digits and underscores, a letter first."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    if not words:
        words = "Enrichment"
    elif not words[0].isalpha():
        words = f"T_{words}"
    return _free(words[: TABLE_LENGTH - 4].rstrip("_"), "_{}", "table_key", str.lower)


def name_from_table(table_name: str) -> str:
    """A free enrichment name made of a table's: *Crm scores* from ``Crm_scores``."""
    words = table_name.replace("_", " ").strip()[: MAX_LENGTH - 4]
    return _free(words, " {}", "name_key", name_key) if words else ""


def _free(base: str, suffix: str, column: str, key_of: Callable[[str], str]) -> str:
    keys = set(Enrichment.objects.values_list(column, flat=True))
    candidates = (base if n == 1 else base + suffix.format(n) for n in range(1, len(keys) + 2))
    return next(c for c in candidates if key_of(c) not in keys)
