"""What can be wrong with a file that is brought in, in sentences for whoever may edit the enrichment.

They hold names of tables and columns, cut and printable, numbers of rows and lines, and nothing else of the file.
"""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

NAME_LENGTH = 40
NAMED = 4
MOST = 300


class ImportProblem(Exception):
    """The file, or its description, cannot become a table; another attempt with the same file ends the same.

    ``code`` is a short fixed word; ``cause`` and ``remedy`` are sentences of at most 300 characters.
    """

    def __init__(self, code: str, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause[:MOST]
        self.remedy = remedy[:MOST]


class SourceChanged(Exception):
    """What was read is not what there was at the beginning; the run starts over (rule S28).

    ``code`` is ``file_changed`` or ``customers_changed``, ``cause`` a sentence.
    """

    def __init__(self, code: str, cause: str) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause


def file_changed() -> SourceChanged:
    """The file or its description was written to or replaced while it was read."""
    return SourceChanged("file_changed", _("The file or its model.json changed while they were read."))


def customers_changed() -> SourceChanged:
    """The customers or the segment were replaced while they were read."""
    return SourceChanged("customers_changed", _("The customer data changed while it was read."))


def shown(name: str) -> str:
    """A name out of a file as it may stand in a sentence: printable, at most 40 characters."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return plain if len(plain) <= NAME_LENGTH else plain[: NAME_LENGTH - 1] + "…"


def listed(names: Sequence[str]) -> str:
    """The first names of many: *a, b, c, d and 3 more*."""
    first = ", ".join(shown(name) for name in names[:NAMED])
    more = len(names) - NAMED
    if more <= 0:
        return first
    return ngettext("%(names)s and %(n)d more", "%(names)s and %(n)d more", more) % {
        "names": first,
        "n": more,
    }
