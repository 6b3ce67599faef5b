"""People with every kind of field, and a connection and export that send them to a service."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connections_portal.models import User
from exports.item import Item
from exports.models import Export, ExportRun, ItemKind, RejectedRow
from exports.operations.edit import Timing, create_export
from tests.factories import make_connection

PEOPLE: dict[str, list[Any]] = {
    "customer_id": ["p1", "p2", "p3", "p4", "p5"],
    "email": [" Ana@Example.com ", "bo@example.com", "no address", None, "zoë@exämple.org"],
    "first": ["Ana", None, "Cy", "Di", 'Zoë "Z" \\ 😀\r\n'],
    "last": ["Łódź", "", "Cz", "Dz", "x" * 300],
    "phone": ["00 44 20 7946 0958", "none", None, None, "+41 44 668 18 00"],
    "firm": ["Contoso", None, None, None, "A & B"],
    "points": [10, None, 0, 1, -5],
    "share": [0.5, None, 1e300, 0.0, -0.25],
    "vip": [True, False, None, True, None],
    "born": [dt.date(1990, 2, 28), None, None, None, dt.date(2000, 1, 1)],
    "seen": [dt.datetime(2026, 1, 2, 3, 4, 5), None, None, None, None],
}
ADDED = ("points", "share", "vip", "born", "seen")
SENDABLE = ["p1", "p2", "p5"]


def write_people(folder: Path) -> Path:
    """The people, all of them in the segment ``everyone``; three have an address."""
    (folder / "segments").mkdir(parents=True)
    pq.write_table(pa.table(PEOPLE), folder / "customer.parquet")
    pq.write_table(pa.table({"customer_id": PEOPLE["customer_id"]}), folder / "segments" / "everyone.parquet")
    return folder


def write_many(folder: Path, number: int) -> Path:
    """So many people of the segment ``everyone`` with addresses ``n0000@example.com`` and on."""
    (folder / "segments").mkdir(parents=True)
    people = {
        "customer_id": [f"p{n:04}" for n in range(number)],
        "email": [f"n{n:04}@example.com" for n in range(number)],
    }
    pq.write_table(pa.table(people), folder / "customer.parquet")
    pq.write_table(pa.table({"customer_id": people["customer_id"]}), folder / "segments" / "everyone.parquet")
    return folder


def export_of_everyone(
    actor: User,
    type_key: str,
    *,
    settings: Mapping[str, str],
    secrets: Mapping[str, str],
    options: Mapping[str, str],
    mapping: Sequence[tuple[str, str]] = (("email", "email"),),
    added: Sequence[tuple[str, str]] = (),
) -> Export:
    """An export of ``everyone`` over a new connection, through the product's own *Save*."""
    connection = make_connection(actor=actor, type_key=type_key, settings=settings, secrets=secrets)
    fields = tuple(dict.fromkeys(column for _name, column in (*mapping, *added)))
    item = Item(
        kind=ItemKind.SEGMENT, source="everyone", fields=fields, mapping=tuple(mapping), added=tuple(added)
    )
    return create_export(
        name="Everyone", connection=connection, options=options, items=[item], schedule=Timing(), actor=actor
    )


def refused(run: ExportRun) -> dict[str, tuple[str, str]]:
    """Code and words by customer ID of every record that was refused."""
    rows = RejectedRow.objects.filter(rejection__task__run=run).select_related("rejection")
    return {row.key: (row.rejection.code, row.rejection.reason) for row in rows}


def counted(run: ExportRun) -> tuple[int | None, int, int, int, int]:
    """Selected, read, sent, rejected, left out; read is all of what became of rows (rule S28)."""
    assert run.read == run.sent + run.rejected + run.left_out
    return (run.selected, run.read, run.sent, run.rejected, run.left_out)
