"""Why a row of a file does not become a row of the output table, by the codes that a run counts."""

from django.utils.translation import gettext_lazy as _

# the row itself cannot be used; all others are about customers that the enrichment is not about
REJECTED = frozenset({"no_id", "duplicate_id"})

WORDS = {
    "no_id": _("without a customer ID"),
    "duplicate_id": _("with a customer ID that another row has"),
    "unknown": _("of unknown customers"),
    "not_in_segment": _("of customers outside the data set"),
}
