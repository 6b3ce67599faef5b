"""What file destinations receive, in words; numbers and names are those that runs use."""

from collections.abc import Sequence

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from connections.connectors.base import Connector
from connections.delivered import Fact
from exports.csv_files import MODEL, ROWS_PER_FILE, file_name


def facts(connector: type[Connector]) -> Sequence[Fact]:
    """Folder, files and dialect for a type that takes files; nothing for others."""
    if not connector.takes_files():
        return ()
    names = {
        "plain": file_name("customer", 1, gzipped=False),
        "gzipped": file_name("customer", 1, gzipped=True),
        "model": MODEL,
        "rows": number_format(ROWS_PER_FILE, force_grouping=True),
    }
    return [
        (
            _("Folder"),
            _(
                "Each run makes one folder, export/date-time-run/, for example "
                "loyal-customers/20260131-060000Z-1a2b3c4d/. While a run is under way its files lie in a folder "
                "that begins with .incoming-; it gets its final name by one rename, so it is complete or not "
                "there. A server that cannot rename folders gets the files one by one, %(model)s last. Nothing is "
                "ever overwritten, and renaming an export does not move what it sent."
            )
            % names,
        ),
        (
            _("Files"),
            _(
                "One or more for each segment and table: %(plain)s, or %(gzipped)s when compressed. "
                "Another one is begun after %(rows)s rows, as far as the number of files allows."
            )
            % names,
        ),
        (_("Description"), _("%(model)s names the tables, their columns and types, and the files.") % names),
        (
            _("Text"),
            _(
                "CSV as in RFC 4180: UTF-8 without byte-order mark, lines end with CR LF, a header with the "
                "names of the columns, texts in double quotes with quotes inside doubled. Nothing between two "
                'delimiters means no value, "" an empty text.'
            ),
        ),
        (
            _("Values"),
            _("true and false; dates and times as ISO 8601, with Z where the column knows its time zone."),
        ),
    ]
