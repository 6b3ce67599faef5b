"""Which rows of a staged file enrich which customers: one Ibis expression, evaluated in the data engine.

Each row gets one reason, the first that holds, in the order of ``REASONS``; the empty one stands for rows that enrich.
Customer IDs are compared as text, character by character: *007* is not the customer 7.
"""

from typing import Any

from django.utils.translation import gettext as _

from connections_portal.customer_data import CUSTOMER, CUSTOMER_ID, STAGED, BrokenItem, Engine, Kind
from enrichments.importing.model import DATE, DATE_TIME, TEXT, ZONE, DataType, Model

# codes of rows, by the number that the engine gives them
REASONS = ("", "no_customer_id", "duplicate", "bad_value", "unknown_customer", "not_in_segment")


def rows_sql(engine: Engine, model: Model, segment: str) -> str:
    """The engine's SQL of all rows of the staged file: index into ``REASONS``, customer ID, and the typed values.

    Columns have no names of the file: these are given where the rows are written.
    ``segment`` is a segment's name, or empty for all customers. Raises CustomerDataError.
    """
    import ibis

    staged = _staged(engine, model)
    customers = _ids(engine, Kind.TABLE, CUSTOMER)
    key = staged[_column(model, model.key)]
    present = staged.filter(key.notnull()).select(key.name("id"))
    times = present.group_by("id").agg(n=present.count())
    doubled = times.filter(times["n"] > 1)
    values = [
        _typed(staged[_column(model, a.name)], a.type).name(f"v{n}") for n, a in enumerate(model.values)
    ]
    cases = [
        (key.isnull() | (key.strip() == ""), 1),
        (key.isin(doubled["id"]), 2),
        (_bad(staged, model), 3),
        (~key.isin(customers["id"]), 4),
    ]
    if segment:
        cases.append((~key.isin(_ids(engine, Kind.SEGMENT, segment)["id"]), 5))
    reason = ibis.cases(*cases, else_=0).cast("int8").name("reason")
    as_customers = key.try_cast(_id_type(engine, Kind.TABLE, CUSTOMER)).name("id")
    return _sql(engine, staged.select(reason, as_customers, *values))


def selected_sql(engine: Engine, segment: str) -> str:
    """The engine's SQL of the number of customers in the data set. Raises CustomerDataError."""
    customers = _ids(engine, Kind.TABLE, CUSTOMER)
    if segment:
        customers = customers.filter(customers["id"].isin(_ids(engine, Kind.SEGMENT, segment)["id"]))
    return _sql(engine, customers.count().as_table())


def bad_values_sql(engine: Engine, model: Model) -> str:
    """The engine's SQL of one row: for each column to bring in, how many of its values do not fit its type."""
    staged = _staged(engine, model)
    bad = [
        _is_bad(staged[_column(model, a.name)], a.type).sum().name(f"v{n}")
        for n, a in enumerate(model.values)
    ]
    return _sql(engine, staged.agg(bad))


def _staged(engine: Engine, model: Model) -> Any:
    import ibis

    columns = {_column(model, attribute.name): "string" for attribute in model.attributes}
    return ibis.table(columns, name=engine.view(Kind.TABLE, STAGED))


def _column(model: Model, name: str) -> str:
    return f"c{[attribute.name for attribute in model.attributes].index(name)}"


def _ids(engine: Engine, kind: Kind, name: str) -> Any:
    """The customer IDs of an item as text, in a column ``id``, without empty ones."""
    import ibis

    table = ibis.table({CUSTOMER_ID: _id_type(engine, kind, name)}, name=engine.view(kind, name))
    ids = table[CUSTOMER_ID]
    return table.filter(ids.notnull()).select(ids.cast("string").name("id"))


def _id_type(engine: Engine, kind: Kind, name: str) -> Any:
    from ibis.backends.sql import datatypes

    found = next((c.type for c in engine.columns(kind, name) if c.name == CUSTOMER_ID), None)
    if found is None:
        raise BrokenItem(_("%(item)s has no column %(column)s.") % {"item": name, "column": CUSTOMER_ID})
    return {"duckdb": datatypes.DuckDBType}[engine.dialect].from_string(found)


def _typed(text: Any, kind: DataType) -> Any:
    """The value, or null where there is none or it does not fit."""
    import ibis

    if kind is TEXT:
        return text
    value = _given(text)
    cast = _in_utc(value) if kind is DATE_TIME else value.try_cast(kind.sql)
    fits = value.re_search(f"^({kind.pattern})$") & cast.notnull()
    if kind in (DATE, DATE_TIME):
        fits &= cast.year().between(1, 9999)  # others have no form in files and pages
    return ibis.ifelse(fits, cast, ibis.null(kind.sql))


def _in_utc(value: Any) -> Any:
    """A time without zone: as it is written, or the one in UTC where a zone stands behind it.

    As a time without zone alone the engine would take any text and forget the zone.
    """
    import ibis

    # the engine's name of it; another dialect brings its own
    timezone = ibis.udf.scalar.builtin(
        name="timezone", signature=(("string", "timestamp('UTC', 6)"), "timestamp(6)")
    )(lambda zone, value: ...)
    zoned = timezone("UTC", value.try_cast("timestamp('UTC', 6)"))
    return ibis.ifelse(value.re_search(f"{ZONE}$"), zoned, value.try_cast(DATE_TIME.sql))


def _is_bad(text: Any, kind: DataType) -> Any:
    if kind is TEXT:
        return text.isnull() & text.notnull()
    return _given(text).notnull() & _typed(text, kind).isnull()


def _bad(staged: Any, model: Model) -> Any:
    import ibis

    bad = ibis.literal(False)
    for attribute in model.values:
        if attribute.type is not TEXT:
            bad |= _is_bad(staged[_column(model, attribute.name)], attribute.type)
    return bad


def _given(text: Any) -> Any:
    return text.strip().nullif("")


def _sql(engine: Engine, expression: Any) -> str:
    import ibis

    return str(ibis.to_sql(expression, dialect=engine.dialect))
