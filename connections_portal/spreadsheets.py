"""Text that a spreadsheet program would take for a formula, and what keeps it from doing so (rule S23).

Such a program runs text that begins with one of ``= + - @``, a tab or a line end; with an apostrophe before it the text
is shown as it is (OWASP, CSV Injection).
"""

import re

# RE2 and Python alike: ^ is where the text begins, not where a line does
FORMULA = r"^[=+\-@\t\r\n]"


def neutral(text: str) -> str:
    """The text, with an apostrophe before what would be a formula."""
    return f"'{text}" if re.match(FORMULA, text) else text
