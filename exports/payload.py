"""What an export selects: one Ibis expression per item, compiled to the engine's SQL and streamed from there.

Ibis writes the SQL and never executes it (decision 3). Python never loops over rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from connections_portal.customer_data import (
    CUSTOMER,
    CUSTOMER_ID,
    Column,
    CustomerDataError,
    Engine,
    Kind,
    UnknownItem,
)

BATCH_ROWS = 10_000
NO_PROFILE = "no profile"


class PayloadError(Exception):
    """The selection does not fit the data any more; ``item`` and ``missing`` name what is gone.

    ``message`` is a sentence that holds names of segments, tables and columns, never data.
    """

    def __init__(self, message: str, *, item: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.item = item
        self.missing = tuple(missing)


@dataclass(frozen=True)
class Selection:
    """One item to send: a segment's profiles or a whole table, with these columns in this order."""

    kind: Kind
    source: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """``selected`` rows = ``sendable`` + the sum of ``left_out`` (reason → rows)."""

    selected: int
    sendable: int
    left_out: dict[str, int] = field(default_factory=dict)


def columns(engine: Engine, selection: Selection) -> list[Column]:
    """The selected columns with their types. Raises PayloadError naming what is gone."""
    source = (Kind.TABLE, CUSTOMER) if selection.kind is Kind.SEGMENT else (selection.kind, selection.source)
    try:
        engine.view(selection.kind, selection.source)
        known = {column.name: column for column in engine.columns(*source)}
    except UnknownItem:
        raise PayloadError(
            f"The {selection.kind} {selection.source} is not there any more.", item=selection.source
        ) from None
    except CustomerDataError as error:
        raise PayloadError(f"{selection.source}: {error.message}", item=selection.source) from None
    missing = [name for name in selection.fields if name not in known]
    if missing:
        raise PayloadError(
            f"{selection.source} has no field {', '.join(missing)} any more.",
            item=selection.source,
            missing=missing,
        )
    if not selection.fields:
        raise PayloadError(f"No field of {selection.source} is ticked.", item=selection.source)
    return [known[name] for name in selection.fields]


def count(engine: Engine, selection: Selection) -> Counts:
    """How many rows are selected and can be sent. A member without a profile is left out. Raises PayloadError."""
    columns(engine, selection)
    expression = _rows(engine, selection)
    sendable = _number(engine, expression, selection.source)
    if selection.kind is Kind.TABLE:
        return Counts(sendable, sendable)
    selected = _number(engine, _members(engine, selection.source), selection.source)
    left_out = {NO_PROFILE: selected - sendable} if selected > sendable else {}
    return Counts(selected, sendable, left_out)


def stream(engine: Engine, selection: Selection, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The selected rows as Arrow batches of at most ``batch_rows``, in no particular order. Raises PayloadError."""
    columns(engine, selection)
    try:
        yield from engine.stream(_sql(engine, _rows(engine, selection)), batch_rows)
    except CustomerDataError as error:
        raise PayloadError(f"{selection.source}: {error.message}", item=selection.source) from None


def schema(engine: Engine, selection: Selection) -> pa.Schema:
    """The Arrow schema of the selected rows, also when there are none. Raises PayloadError."""
    columns(engine, selection)
    limited = _rows(engine, selection).limit(0)
    return engine.schema(_sql(engine, limited))


def _rows(engine: Engine, selection: Selection) -> Any:
    """The expression of the rows: every profile with a membership, once; or every row of the table."""
    if selection.kind is Kind.TABLE:
        return _table(engine, Kind.TABLE, selection.source).select(*selection.fields)
    customers = _table(engine, Kind.TABLE, CUSTOMER)
    chosen = customers.semi_join(_members(engine, selection.source), CUSTOMER_ID)
    return chosen.select(*selection.fields)


def _members(engine: Engine, segment: str) -> Any:
    members = _table(engine, Kind.SEGMENT, segment)
    return members.filter(members[CUSTOMER_ID].notnull()).select(CUSTOMER_ID).distinct()


def _table(engine: Engine, kind: Kind, name: str) -> Any:
    """The item as an unbound Ibis table with the schema that the engine tells."""
    # Ibis takes most of a second to import, and only runs need it
    import ibis
    from ibis.backends.sql import datatypes

    types = {"duckdb": datatypes.DuckDBType}[engine.dialect]
    schema = {column.name: types.from_string(column.type) for column in engine.columns(kind, name)}
    return ibis.table(schema, name=engine.view(kind, name))


def _sql(engine: Engine, expression: Any) -> str:
    import ibis

    return str(ibis.to_sql(expression, dialect=engine.dialect))


def _number(engine: Engine, expression: Any, item: str) -> int:
    try:
        return int(engine.rows(_sql(engine, expression.count().name("n").as_table()))[0][0])
    except CustomerDataError as error:
        raise PayloadError(f"{item}: {error.message}", item=item) from None
