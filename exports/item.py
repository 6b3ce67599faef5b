"""What an export sends, as form and operations speak of it."""

from dataclasses import dataclass

from exports.models import ItemKind


@dataclass(frozen=True, kw_only=True)
class Item:
    """A segment or table to send, and the names of the ticked fields in the order of the source.

    For a service that takes records ``mapping`` and ``added`` are as in ``ExportItem``, and the fields those they use.
    """

    kind: ItemKind
    source: str
    fields: tuple[str, ...]
    mapping: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
