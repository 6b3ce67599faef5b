"""Output tables of enrichments, put where a run would have put them."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from enrichments import tables


def run_name() -> str:
    """The name of a run's folder, another one each time."""
    return f"run-{uuid.uuid4().hex}-{uuid.uuid4().hex[:8]}"


def write_result(table: str, columns: Mapping[str, Any], *, publish: bool = True) -> Path:
    """Write what a run brought in, and let the table show it; returns the run's folder."""
    folder = tables.new_folder(table, run_name())
    pq.write_table(pa.table(dict(columns)), folder / "part-1.parquet")
    if publish:
        tables.publish(table, folder.name)
    return folder
