"""Rows as the records a service takes: normalised, checked, hashed and written as JSON in the data engine.

One Ibis expression gives, per customer, ``key`` (the customer ID as text), ``record`` (a JSON object in the connector's
shape, without entries that have no value) and ``problem`` (empty, or why the row cannot be sent). Rows come in the
order of their keys, so that the same inputs are cut into the same chunks at every attempt.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as Mapped
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from connections.connectors.base import Connector
from connections.connectors.records import Added, Chunk, Of, RecordLimits, Shape, Target, TargetKind
from connections_portal.customer_data import CUSTOMER_ID, STAGED, Engine, Kind
from exports import payload
from exports.payload import Counts, Selection

BATCH_ROWS = 10_000

# One @, no blanks, a dot in the domain: what no service takes is left out, everything else is theirs to judge.
EMAIL = r"^[^@\s<>(),;:\\\"]+@[^@\s<>(),;:\\\"]+\.[^@\s<>(),;:\\\".]+$"
PHONE = r"^\+?[0-9]{6,15}$"
GUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """Which column fills which target: pairs of target and column; ``added`` are pairs of a name and a column."""

    targets: Sequence[tuple[str, str]]
    added: Sequence[tuple[str, str]] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is needed, once."""
        return tuple(dict.fromkeys(column for _name, column in (*self.targets, *self.added)))


def sql(
    engine: Engine,
    selection: Selection,
    connector: type[Connector],
    mapping: Mapping,
    *,
    after: str = "",
    only_sendable: bool = True,
    staged: bool = False,
) -> str:
    """The engine's SQL of the records, those after the key ``after`` only; with ``staged`` those whose keys the run has
    staged for this item. Raises PayloadError.
    """

    def prepare(rows: Any) -> Any:
        rows = rows.mutate(key=rows[CUSTOMER_ID].cast("string"))
        if staged:
            rows = rows.semi_join(_staged(engine, selection), "key")
        if after:
            rows = rows.filter(rows["key"] > after)
        if only_sendable:
            # ordered before anything is computed: so the engine sorts little, and the rest streams behind it
            rows = rows.order_by(["key", *mapping.columns])
        problem = _problem(rows, connector, mapping)
        made = rows.select(
            key=rows["key"],
            record=_json(connector.shape, _values(rows, connector, mapping), _added(rows, mapping)),
            problem=problem,
        )
        return made.filter(made["problem"] == "") if only_sendable else made

    return payload.sql(engine, _with_key(selection), prepare)


def count(
    engine: Engine,
    selection: Selection,
    connector: type[Connector],
    mapping: Mapping,
    *,
    staged: bool = False,
) -> Counts:
    """How many rows are selected and can be sent, and why the others cannot; ``staged`` as for ``sql``.

    Raises PayloadError, CustomerDataError.
    """
    query = sql(engine, selection, connector, mapping, only_sendable=False, staged=staged)
    if staged:
        here = int(engine.rows(f"SELECT count(*) FROM ({query}) AS records")[0][0])  # noqa: S608  # Ibis' own
        wanted = _staged(engine, selection).distinct().count().name("n").as_table()
        total = int(engine.rows(payload.to_sql(engine, wanted))[0][0])
        # whoever left the segment since is left out like one without a profile
        counts = Counts(total, here, {payload.NO_PROFILE: total - here} if total > here else {})
    else:
        counts = payload.count(engine, _with_key(selection))
    rows = engine.rows(
        f"SELECT problem, count(*) FROM ({query}) AS records WHERE problem <> '' GROUP BY problem"  # noqa: S608  # Ibis'
    )
    problems = {str(problem): int(number) for problem, number in rows}
    return Counts(counts.selected, counts.sendable - sum(problems.values()), {**counts.left_out, **problems})


def chunks(batches: Iterable[pa.RecordBatch], limits: RecordLimits, *, first: int = 0) -> Iterator[Chunk]:
    """Cut the stream of ``sql`` into chunks within the limits, numbered from ``first``."""
    keys: list[str] = []
    texts: list[str] = []
    size = 0
    for batch in batches:
        for key, text in zip(
            batch.column("key").to_pylist(), batch.column("record").to_pylist(), strict=True
        ):
            length = len(text.encode()) if not text.isascii() else len(text)
            if len(keys) >= limits.rows or (keys and size + length > limits.bytes):
                yield Chunk(number=first, keys=keys, records=texts)
                first, keys, texts, size = first + 1, [], [], 0
            keys.append(key)
            texts.append(text)
            size += length
    if keys:
        yield Chunk(number=first, keys=keys, records=texts)


def _staged(engine: Engine, selection: Selection) -> Any:
    """The keys that the run has staged for this item."""
    import ibis

    keys = ibis.table({"source": "string", "key": "string"}, name=engine.view(Kind.TABLE, STAGED))
    return keys.filter(keys["source"] == selection.source).select("key")


def _with_key(selection: Selection) -> Selection:
    """The selection with the customer ID among its fields."""
    return replace(selection, fields=tuple(dict.fromkeys((CUSTOMER_ID, *selection.fields))))


def _values(rows: Any, connector: type[Connector], mapping: Mapping) -> dict[str, Any]:
    targets = {target.key: target for target in connector.targets}
    return {
        key: _hashed(_normal(rows[column], targets[key]), targets[key])
        for key, column in mapping.targets
        if key in targets
    }


def _added(rows: Any, mapping: Mapping) -> dict[str, Any]:
    return {name: rows[column] for name, column in mapping.added}


def _hashed(value: Any, target: Target) -> Any:
    import ibis

    if not target.hashed:
        return value
    sha256 = ibis.udf.scalar.builtin(name="sha256", signature=(("string",), "string"))(lambda text: ...)
    return sha256(value)


def _normal(column: Any, target: Target) -> Any:
    """The value in the kind's one form, NULL where it has none."""
    text = column.cast("string").strip()
    match target.kind:
        case TargetKind.EMAIL:
            made = text.lower()
            return made.re_search(EMAIL).ifelse(made, None)
        case TargetKind.PHONE:
            made = text.re_replace(r"^\s*00", "+").re_replace(r"[\s().\-/]", "")
            return made.re_search(PHONE).ifelse(made, None)
        case TargetKind.GUID:
            made = text.lower().re_replace(r"^\{(.*)\}$", r"\1")
            return made.re_search(GUID).ifelse(made, None)
        case TargetKind.NUMBER:
            return column.try_cast("float64")
        case TargetKind.INTEGER:
            return column.try_cast("int64")
        case TargetKind.BOOLEAN:
            return column.try_cast("boolean")
        case TargetKind.DATE:
            return column.try_cast("date").cast("string")
        case TargetKind.TIME:
            return column.try_cast("timestamp").strftime("%Y-%m-%dT%H:%M:%SZ")
    made = text.nullif("")
    if target.max_length is not None:
        made = (made.length() <= target.max_length).ifelse(made, None)
    return made


def _problem(rows: Any, connector: type[Connector], mapping: Mapping) -> Any:
    """Empty, or the first required target without a valid value: ``no:email`` for none, ``bad:email`` for another."""
    import ibis

    columns = dict(mapping.targets)
    branches = []
    for target in connector.targets:
        if not target.required:
            continue
        column = rows[columns[target.key]]
        empty = column.isnull() | (column.cast("string").strip() == "")
        branches.append((empty, ibis.literal(f"no:{target.key}")))
        branches.append((_normal(column, target).isnull(), ibis.literal(f"bad:{target.key}")))
    return ibis.cases(*branches, else_="") if branches else ibis.literal("")


def _json(shape: Shape, values: Mapped[str, Any], added: Mapped[str, Any]) -> Any:
    import ibis

    function = ibis.udf.scalar.builtin
    to_json = function(name="to_json", signature=((None,), "string"))(lambda value: ...)
    # a patch of an empty object is the object without its nulls (RFC 7396)
    patch = function(name="json_merge_patch", signature=(("string", "string"), "string"))(lambda a, b: ...)
    made = _struct(shape, values, added)
    assert made is not None
    return patch(ibis.literal("{}"), to_json(made))


def _text(column: Any) -> Any:
    """A value of any type as text: times in ISO 8601, no value for an empty one."""
    if column.type().is_timestamp():
        return column.strftime("%Y-%m-%dT%H:%M:%SZ")
    return column.cast("string").nullif("")


def _struct(shape: Shape, values: Mapped[str, Any], added: Mapped[str, Any]) -> Any:
    import ibis

    fields: dict[str, Any] = {}
    for name, entry in shape.items():
        match entry:
            case Of():
                if entry.target in values:
                    fields[name] = values[entry.target]
            case Added():
                sent = {key: _text(value) for key, value in added.items()} if entry.text else dict(added)
                if entry.inline:
                    fields.update(sent)
                elif sent:
                    fields[name] = ibis.struct(sent)
            case str() | bool():
                fields[name] = ibis.literal(entry)
            case _:
                inner = _struct(entry, values, added)
                if inner is not None:
                    fields[name] = inner
    return ibis.struct(fields) if fields else None
