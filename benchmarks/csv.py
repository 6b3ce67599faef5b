"""``csv``: a segment's profiles to a CSV file on this machine, against DuckDB's own ``COPY`` of the same SQL.

Ours is the path of a run up to the destination: selection by Ibis, batches from the locked engine, the portal's
encoder with its SHA-256. ``rows`` are written, from twice as many profiles of 20 columns.
"""

import shutil
from pathlib import Path

from django.conf import settings

from benchmarks.harness import Result
from benchmarks.local_files import compare
from benchmarks.profiles import FIELDS, write_profiles
from connections_portal.customer_data import Kind
from exports import payload

ROWS = 1_000_000
SEGMENT = "members"
SELECTION = payload.Selection(Kind.SEGMENT, SEGMENT, FIELDS)


def measure(rows: int) -> Result:
    """The portal's rows per second as a share of ``COPY``'s. Raises AssertionError when they do not write the same."""
    place = Path(settings.VAR_DIR) / "csv"
    write_profiles(place, 2 * rows, segment=SEGMENT, one_of=2)
    result = compare(
        "csv",
        rows,
        folder=place,
        segment=SEGMENT,
        select=lambda engine: payload.sql(engine, SELECTION),
        outputs=place,
        goal=0.9,
        floor=0.7,
    )
    shutil.rmtree(place)
    return result
