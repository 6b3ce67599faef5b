"""``prepare``: a segment of one in five profiles, 12 columns renamed, the e-mail hashed, against DuckDB's ``COPY``.

The expression is the run's own selection with names and hash on top, as the mapping of a destination asks for them:
e-mail trimmed, in lower case, SHA-256. All of it is evaluated in the engine; ``rows`` are written to a CSV file.
"""

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings

from benchmarks.harness import Result
from benchmarks.local_files import compare
from benchmarks.profiles import FIELDS, write_profiles
from connections_portal.customer_data import Engine, Kind
from exports import payload

ROWS = 2_000_000
ONE_OF = 5
SEGMENT = "members"
SELECTION = payload.Selection(Kind.SEGMENT, SEGMENT, FIELDS)
NAMES = {
    "customer_id": "external_id",
    "first_name": "fn",
    "last_name": "ln",
    "email": "email_sha256",
    "phone": "phone_number",
    "birth_date": "dob",
    "city": "ct",
    "country": "country_name",
    "company": "employer",
    "lifetime_value": "value",
    "opted_in": "consent",
    "created_at": "customer_since",
}


def measure(rows: int) -> Result:
    """The portal's rows per second as a share of ``COPY``'s. Raises AssertionError when they do not write the same."""
    place = Path(settings.VAR_DIR) / "prepare"
    write_profiles(place, ONE_OF * rows, segment=SEGMENT, one_of=ONE_OF)
    result = compare(
        "prepare", rows, folder=place, segment=SEGMENT, select=prepared, outputs=place, goal=0.9, floor=0.7
    )
    shutil.rmtree(place)
    return result


def prepared(engine: Engine) -> str:
    """The SQL of the selection with its columns renamed and the e-mail as the digest of its normal form."""

    def column(rows: Any, name: str) -> Any:
        value = rows[name].strip().lower().hexdigest("sha256") if name == "email" else rows[name]
        return value.name(NAMES[name])

    return payload.sql(engine, SELECTION, lambda rows: rows.select(*(column(rows, name) for name in FIELDS)))
