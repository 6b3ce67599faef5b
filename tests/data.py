"""A few invented customers on disk, small enough to know every value."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

CUSTOMERS: dict[str, list[Any]] = {
    "customer_id": ["c1", "c2", "c3", "c4"],
    "email": ["ana@example.com", None, "", 'quote"d, and\r\nsplit@example.org'],
    "city": ["Łódź", "Montréal", None, "Zürich"],
    "points": [10, None, 0, 12_345],
}


def write_customers(folder: Path) -> Path:
    """Customers, three segments (one with somebody unknown and somebody twice) and a table; returns ``folder``."""
    (folder / "segments").mkdir(parents=True)
    (folder / "tables").mkdir()
    pq.write_table(pa.table(CUSTOMERS), folder / "customer.parquet")
    members = pa.table({"customer_id": ["c1", "c3", "c3", "gone"]})
    pq.write_table(members, folder / "segments" / "loyal.parquet")
    pacsv.write_csv(pa.table({"customer_id": ["c2", "c4"]}), folder / "segments" / "newsletter.csv")
    (folder / "segments" / "rich.sql").write_text("SELECT customer_id FROM customer WHERE points > 5;\n")
    pacsv.write_csv(
        pa.table({"order_id": ["o1", "o2"], "customer_id": ["c1", "c9"], "amount": [1.5, 20.25]}),
        folder / "tables" / "orders.csv",
    )
    return folder
