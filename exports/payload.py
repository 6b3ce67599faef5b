"""What an export selects: one Ibis expression per item, compiled to the engine's SQL and streamed from there.

Ibis writes the SQL and never executes it (decision 3). Python never loops over rows. What no file or record has a
form for is made text in the engine: lists and groups of values as JSON, bytes as base64, everything odd as it prints.
Errors of the data that another attempt may not meet (CustomerDataError) pass through; PayloadError is final.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext as _

from connections_portal.customer_data import (
    CUSTOMER,
    CUSTOMER_ID,
    BrokenItem,
    Column,
    Engine,
    Kind,
    UnknownItem,
)

# from one Ibis expression of rows to another
Prepare = Callable[[Any], Any]

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
    source = (selection.kind, selection.source)
    _there(engine, selection, *source)
    required = selection.fields
    if selection.kind is Kind.SEGMENT:
        source = (Kind.TABLE, CUSTOMER)
        _there(engine, selection, *source)
        required = (CUSTOMER_ID, *selection.fields)
    known = {column.name: column for column in engine.columns(*source)}
    missing = [name for name in dict.fromkeys(required) if name not in known]
    if missing:
        raise PayloadError(
            _("%(item)s has no field %(fields)s any more.")
            % {"item": selection.source, "fields": ", ".join(missing)},
            item=selection.source,
            missing=missing,
        )
    if not selection.fields:
        raise PayloadError(
            _("No field of %(item)s is ticked.") % {"item": selection.source}, item=selection.source
        )
    return [known[name] for name in selection.fields]


def _there(engine: Engine, selection: Selection, kind: Kind, name: str) -> None:
    """Raise PayloadError, in the name of the selection, when this item is gone or broken."""
    try:
        engine.view(kind, name)
    except UnknownItem:
        raise PayloadError(
            _("%(item)s is not there any more.") % {"item": f"{kind} {name}"}, item=selection.source
        ) from None
    except BrokenItem as error:
        raise PayloadError(f"{name}: {error.message}", item=selection.source) from None


def count(engine: Engine, selection: Selection) -> Counts:
    """How many rows are selected and can be sent. A member without a profile is left out.

    Raises PayloadError, CustomerDataError.
    """
    columns(engine, selection)
    sendable = _number(engine, _rows(engine, selection))
    if selection.kind is Kind.TABLE:
        return Counts(sendable, sendable)
    selected = _number(engine, _members(engine, selection.source).distinct())
    left_out = {NO_PROFILE: selected - sendable} if selected > sendable else {}
    return Counts(selected, sendable, left_out)


def stream(engine: Engine, selection: Selection, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """The selected rows as Arrow batches of at most ``batch_rows``, in no particular order.

    Raises PayloadError, CustomerDataError.
    """
    yield from engine.stream(sql(engine, selection), batch_rows)


def schema(engine: Engine, selection: Selection) -> pa.Schema:
    """The Arrow schema of the selected rows, also when there are none. Raises PayloadError."""
    return engine.schema(sql(engine, selection, lambda rows: rows.limit(0)))


def sql(engine: Engine, selection: Selection, prepare: Prepare = lambda rows: rows) -> str:
    """The engine's SQL of the selected rows; ``prepare`` may go on from their Ibis expression (limit, rename, hash).

    Raises PayloadError.
    """
    columns(engine, selection)
    return to_sql(engine, prepare(_rows(engine, selection)))


def _rows(engine: Engine, selection: Selection) -> Any:
    """The expression of the rows: every profile with a membership, once; or every row of the table.

    A semi-join asks whether there is a member: making members distinct first would only cost a second hash table.
    """
    if selection.kind is Kind.TABLE:
        return _sendable(_table(engine, Kind.TABLE, selection.source), selection.fields)
    customers = _table(engine, Kind.TABLE, CUSTOMER)
    members = _members(engine, selection.source)
    ids = customers[CUSTOMER_ID].type()
    if members[CUSTOMER_ID].type() != ids:
        # a list kept as text, say, of customers whose ids are numbers; what cannot be one has no profile
        members = members.select(members[CUSTOMER_ID].try_cast(ids).name(CUSTOMER_ID))
    return _sendable(customers.semi_join(members, CUSTOMER_ID), selection.fields)


def _members(engine: Engine, segment: str) -> Any:
    members = _table(engine, Kind.SEGMENT, segment)
    return members.filter(members[CUSTOMER_ID].notnull()).select(CUSTOMER_ID)


def _sendable(table: Any, fields: Sequence[str]) -> Any:
    """These columns in this order, each of a type that has a form in files and records."""
    import ibis

    # names of functions of the engine; another dialect brings its own
    function = ibis.udf.scalar.builtin
    to_json = function(name="to_json", signature=((None,), "string"))(lambda value: ...)
    to_base64 = function(name="to_base64", signature=(("binary",), "string"))(lambda value: ...)
    chosen = []
    for name in fields:
        column, kind = table[name], table[name].type()
        if kind.is_nested() or kind.is_json():
            column = to_json(column)
        elif kind.is_binary():
            column = to_base64(column)
        elif kind.is_interval() or kind.is_unknown():
            column = column.cast("string")
        chosen.append(column.name(name))
    return table.select(*chosen)


def _table(engine: Engine, kind: Kind, name: str) -> Any:
    """The item as an unbound Ibis table with the schema that the engine tells."""
    # Ibis takes most of a second to import, and only runs need it
    import ibis

    schema = {column.name: _type(engine.dialect, column.type) for column in engine.columns(kind, name)}
    return ibis.table(schema, name=engine.view(kind, name))


def _type(dialect: str, name: str) -> Any:
    """Ibis' type for the engine's; *unknown* for what Ibis cannot handle without an extension, or not at all."""
    import ibis.expr.datatypes as dt
    from ibis.backends.sql import datatypes

    try:
        found = {"duckdb": datatypes.DuckDBType}[dialect].from_string(name)
    except Exception:  # noqa: BLE001  # whatever its parser runs into: the column is sent as it prints
        return dt.unknown
    return dt.unknown if found.is_geospatial() else found


def to_sql(engine: Engine, expression: Any) -> str:
    """The engine's SQL of an Ibis expression."""
    import ibis

    return str(ibis.to_sql(expression, dialect=engine.dialect))


def _number(engine: Engine, expression: Any) -> int:
    return int(engine.rows(to_sql(engine, expression.count().name("n").as_table()))[0][0])
