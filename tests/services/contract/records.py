"""Records as the data engine makes them of people with good and odd values."""

from collections.abc import Sequence

from connections.connectors.base import Connector
from connections.connectors.records import Chunk
from connections_portal import customer_data
from connections_portal.customer_data import Kind
from exports import records
from exports.payload import Selection

Pairs = Sequence[tuple[str, str]]


def chunk_of_people(connector: type[Connector], mapping: Pairs, added: Pairs) -> Chunk:
    """Everybody of the segment ``everyone`` who can be sent, as one chunk."""
    pairs = records.Mapping(targets=mapping, added=added)
    selection = Selection(kind=Kind.SEGMENT, source="everyone", fields=pairs.columns)
    with customer_data.open_for_run() as engine:
        query = records.sql(engine, selection, connector, pairs)
        (chunk,) = records.chunks(engine.stream(query, records.BATCH_ROWS), connector.record_limits)
    return chunk
