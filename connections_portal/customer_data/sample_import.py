"""A file to bring in, for the invented customers: loyalty scores as another program could have worked them out.

It lies beside its description ``model.json``, the way an enrichment of the type SFTP Custom Import reads it.
"""

import datetime as dt
import json
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from connections_portal.customer_data.sample_data import PEOPLE, SEED, TODAY

FOLDER = "import"
FILE = "loyalty_scores.csv"
MODEL = "model.json"
# Most customers have a score; some that the file names are customers no longer.
SHARE = 0.6
UNKNOWN = 12
# name, friendly name, type
COLUMNS = (
    ("customer_id", "Customer ID", "string"),
    ("loyalty_score", "Loyalty score", "int64"),
    ("preferred_channel", "Preferred channel", "string"),
    ("last_visit", "Last visit", "date"),
    ("returns_rate", "Share of returns", "double"),
)


def write_sample_import(folder: Path, *, people: int = PEOPLE, seed: int = SEED) -> bool:
    """Write file and description into ``folder``; leave a folder that exists alone.

    Returns whether anything was written. The folder appears complete or not at all.
    """
    if folder.exists():
        return False
    building = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    pacsv.write_csv(_scores(people, random.Random(seed)), building / FILE)  # noqa: S311  # the same each time
    (building / MODEL).write_text(json.dumps(_model(), indent=2) + "\n", encoding="utf-8")
    building.rename(folder)
    return True


def _scores(people: int, rng: random.Random) -> pa.Table:
    known = [f"C{number:07d}" for number in range(1, people + 1) if rng.random() < SHARE]
    former = [f"C99998{number:02d}" for number in range(UNKNOWN)]
    rows = [
        {
            "customer_id": customer,
            "loyalty_score": rng.randrange(1, 101),
            "preferred_channel": rng.choice(("mail", "phone", "store", "web", None)),
            "last_visit": TODAY - dt.timedelta(days=rng.randrange(730)) if rng.random() < 0.8 else None,
            "returns_rate": round(rng.betavariate(1.2, 9), 3),
        }
        for customer in rng.sample(known + former, len(known) + len(former))
    ]
    return pa.Table.from_pylist(rows)


def _model() -> dict[str, object]:
    """The description in terms of the Common Data Model, with the name of the key column."""
    return {
        "name": "LoyaltyScores",
        "version": "1.0",
        "modifiedTime": f"{TODAY.isoformat()}T06:00:00Z",
        "entities": [
            {
                "$type": "LocalEntity",
                "name": "LoyaltyScores",
                "annotations": [{"name": "c360:PrimaryKey", "value": COLUMNS[0][0]}],
                "attributes": [
                    {"name": name, "friendlyName": label, "dataType": kind} for name, label, kind in COLUMNS
                ],
                "partitions": [{"name": FILE}],
            }
        ],
    }
