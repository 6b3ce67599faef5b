"""What can be sent, as the export form and the pages speak about it: the customer data's segments and tables."""

from dataclasses import dataclass

from connections_portal.customer_data import (
    CUSTOMER,
    CustomerDataError,
    Item,
    Kind,
    Listed,
    list_items,
    open_for_page,
)
from exports.models import ItemKind


@dataclass(frozen=True, kw_only=True)
class Source:
    """A segment or table. ``count`` is members or rows; ``error`` says why it cannot be read (then it has no count)."""

    kind: ItemKind
    name: str
    count: int | None
    columns: tuple[str, ...]
    error: str = ""

    @property
    def key(self) -> str:
        """The value of its box: ``segment:loyalty_gold``."""
        return f"{self.kind.value}:{self.name}"

    @property
    def label(self) -> str:
        """The name as people read it."""
        return label_of(self.name)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything there is; ``profile_fields`` are those sent with segments, ``error`` says that nothing can be read."""

    segments: tuple[Source, ...] = ()
    tables: tuple[Source, ...] = ()
    profile_fields: tuple[str, ...] = ()
    error: str = ""

    def get(self, key: str) -> Source | None:
        """The source with this key, or None."""
        return next((source for source in (*self.segments, *self.tables) if source.key == key), None)


def load() -> Sources:
    """Read names, counts and columns (five seconds at most); trouble is told in the result, never raised."""
    try:
        with open_for_page() as engine:
            listed = list_items(engine)
    except CustomerDataError as error:
        return Sources(error=error.message)
    profile = next((e for e in listed if e.item.kind is Kind.TABLE and e.item.name == CUSTOMER), None)
    return Sources(
        segments=tuple(_source(entry) for entry in listed if entry.item.kind is Kind.SEGMENT),
        tables=tuple(_source(entry) for entry in listed if entry.item.kind is Kind.TABLE),
        profile_fields=tuple(column.name for column in profile.columns) if profile else (),
    )


def _source(entry: Listed) -> Source:
    return Source(
        kind=ItemKind(entry.item.kind.value),
        name=entry.item.name,
        count=entry.count,
        columns=tuple(column.name for column in entry.columns),
        error=entry.error,
    )


def label_of(name: str) -> str:
    """A segment's or table's name as people read it, also when it is gone: ``loyalty_gold`` → *Loyalty gold*."""
    return Item(Kind.TABLE, name, ()).label
