"""Why a row of a file does not become a row of the output table: words for the codes that an import counts."""

from django.utils.translation import gettext_lazy as _

WORDS = {
    "no_customer_id": _("without a customer ID"),
    "duplicate": _("with a customer ID that another row has"),
    "bad_value": _("with a value that does not fit its column"),
    "wrong_columns": _("with too few or too many columns"),
    "unknown_customer": _("of unknown customers"),
    "not_in_segment": _("of customers outside the data set"),
}
