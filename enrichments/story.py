"""What the pages of an enrichment tell of a run: rows accounted for, reasons, coverage, as lines for templates."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from connections_portal.templatetags.portal import number
from enrichments.importing import REJECTED
from enrichments.models import EnrichmentRun
from enrichments.reasons import WORDS

# so many fields are shown at once, the others on demand
FIELDS_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Rows of the run; reasons are ``(number, words)``, largest first."""

    left_out: list[tuple[int, str]]
    rejected: list[tuple[int, str]]
    line: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """An output field: how many customers of ``maximum`` have a value in it."""

    name: str
    label: str
    count: int
    maximum: int


def sums(run: EnrichmentRun) -> Sums:
    """The numbers written out: *1,700 read = 1,612 enriched + 58 left out + 30 rejected*."""
    line = _("%(read)s read = %(sent)s enriched + %(left_out)s left out + %(rejected)s rejected.") % {
        "read": number(run.read),
        "sent": number(run.sent),
        "left_out": number(run.left_out),
        "rejected": number(run.rejected),
    }
    counted = sorted(run.reasons.items(), key=lambda entry: -entry[1])
    worded = [(code, amount, str(WORDS.get(code, code))) for code, amount in counted if amount]
    return Sums(
        left_out=[(amount, words) for code, amount, words in worded if code not in REJECTED],
        rejected=[(amount, words) for code, amount, words in worded if code in REJECTED],
        line=line,
    )


def coverage(run: EnrichmentRun) -> list[Field]:
    """The output fields, the fullest first; two labels that are the same are told apart by their names."""
    maximum = max(1, run.selected or 0, run.sent)
    fields = [
        Field(name=str(name), label=str(label or name), count=int(count), maximum=maximum)
        for name, label, _type, count in run.coverage
    ]
    return sorted(fields, key=lambda field: -field.count)


def share(run: EnrichmentRun) -> str:
    """*91.74%* of the customers in the data set; empty where there are none."""
    if not run.selected:
        return ""
    percent = round(100 * run.sent / run.selected, 2)
    return _("%(percent)s%%") % {"percent": number(int(percent) if percent == int(percent) else percent)}
