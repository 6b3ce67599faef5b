"""Files that lie at a real server, and the round trip: what the SFTP export writes comes back as it was."""

import datetime as dt
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connections.connectors.errors import ConnectorError, FileUnusable
from connections.connectors.files import RemoteSource
from connections_portal import customer_data
from connections_portal.customer_data import Kind
from enrichments.importing import ImportProblem, SourceChanged
from exports import csv_files, payload
from tests.connectors.servers import Server
from tests.enrichments.remote import Importing, model

UTC = dt.UTC
KINDS: dict[str, list[Any]] = {
    "customer_id": ["c1", "c2", "c3"],
    "text": ['Łódź "a", b;\r\nc', "", None],
    "whole": [2**63 - 1, -1, None],
    "decimal": [1.5, -1e-300, None],
    "yes": [True, False, None],
    "day": [dt.date(2026, 2, 28), dt.date(1, 1, 1), None],
    "moment": [dt.datetime(2026, 2, 28, 1, 2, 3, 456_000), dt.datetime(1999, 1, 1), None],
    "zoned": [dt.datetime(2026, 2, 28, 1, 2, 3, tzinfo=UTC), dt.datetime(1970, 1, 1, tzinfo=UTC), None],
    "clock": [dt.time(23, 59, 1), dt.time(0, 0), None],
    "formula": ["=1+1", "-x", "@y"],
}


@pytest.fixture
def place(openssh_server: Server) -> Path:
    """A folder of its own at the server."""
    folder = openssh_server.files / f"in-{secrets.token_hex(4)}"
    folder.mkdir()
    return folder


@pytest.fixture
def source(openssh_server: Server) -> Iterator[RemoteSource]:
    with openssh_server.importer().fetch() as source:
        yield source


def put(place: Path, name: str, content: bytes, columns: dict[str, str] | None = None) -> None:
    (place / name).write_bytes(content)
    described = model(columns or {"customer_id": "string", "score": "int64"})
    (place / "model.json").write_text(json.dumps(described))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_what_an_export_wrote_comes_back(
    importing: Importing, customers: Path, place: Path, source: RemoteSource, gzipped: bool, delimiter: str
) -> None:
    pq.write_table(pa.table(KINDS), customers / "customer.parquet")
    selection = payload.Selection(Kind.TABLE, "customer", tuple(KINDS))
    with customer_data.open_for_run() as engine:
        columns = payload.columns(engine, selection)
        encoder = csv_files.CsvEncoder(
            payload.schema(engine, selection), gzipped=gzipped, delimiter=delimiter
        )
        pieces = [p for batch in payload.stream(engine, selection) for p in encoder.encode(batch)]
    name = csv_files.file_name("customer", 1, gzipped=gzipped)
    (place / name).write_bytes(b"".join([*pieces, *encoder.finish()]))
    described = csv_files.Described(
        "customer", [(c.name, csv_files.cdm_type(c.words)) for c in columns], [(name, encoder.rows)]
    )
    other = csv_files.Described("other", [("customer_id", "string")], [("other_1.csv", 1)])
    document = csv_files.model_json(
        "Round trip", [described, other], delimiter=delimiter, modified="2026-02-28T00:00:00Z"
    )
    document["entities"][0]["annotations"] = [{"name": "c360:PrimaryKey", "value": "customer_id"}]
    (place / "model.json").write_text(json.dumps(document))

    imported = importing(source, path=place.name, name=name)

    assert (imported.read, imported.enriched, imported.reasons) == (3, 3, {})
    came_back = {key: [row[key] for row in importing.rows()] for key in KINDS}
    # a time without zone: the same moment in UTC
    zoned = [value and value.replace(tzinfo=None) for value in KINDS["zoned"]]
    assert came_back == {**KINDS, "zoned": zoned}
    words = {column.name: column.words for column in columns}
    assert {name: kind for name, _label, kind, _covered in imported.coverage} == {
        name: kind for name, kind in words.items() if name != "customer_id"
    }


@pytest.mark.parametrize("name", ["Scores.csv", "scores of May (1).csv", "Größe.csv"])
def test_names_of_files(importing: Importing, place: Path, source: RemoteSource, name: str) -> None:
    put(place, name, b"customer_id,score\nc1,7\nc4,9\n")
    assert importing(source, path=place.name, name=name).enriched == 2


def test_many_blocks(importing: Importing, place: Path, source: RemoteSource) -> None:
    rows = b"".join(b"x%07d,%d\n" % (number, number) for number in range(200_000))
    put(place, "scores.csv", b"customer_id,score\nc1,7\n" + rows + b"c4,9\n")
    imported = importing(source, path=place.name)
    assert (imported.read, imported.enriched) == (200_002, 2)
    assert imported.reasons == {"unknown_customer": 200_000}
    assert imported.bytes_read == (place / "scores.csv").stat().st_size
    assert importing.checks > imported.bytes_read // (256 * 1024)


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b",1\n", b",2\n"))
    os.utime(path, (1, 1))


def cut_off(path: Path) -> None:
    os.truncate(path, 1_000)


def renamed_over(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes() + b"c2,1\n")
    new.rename(path)


@pytest.mark.parametrize("change", [rewritten, cut_off, renamed_over])
def test_a_file_that_changes_while_it_is_read(
    importing: Importing, place: Path, source: RemoteSource, change: Callable[[Path], None]
) -> None:
    put(place, "scores.csv", b"customer_id,score\n" + b"c1,1\n" * 4_000_000)
    begun = iter([True])

    def check() -> None:
        if next(begun, False):
            change(place / "scores.csv")

    with pytest.raises((SourceChanged, ConnectorError)) as changed:
        importing(source, path=place.name, check=check)
    assert getattr(changed.value, "code", "") == "file_changed"
    assert importing.nothing_written()


@pytest.mark.parametrize(
    ("name", "code"),
    [("nothing.csv", "file_missing"), ("folder.csv", "not_a_file"), ("link.csv", "file_missing")],
)
def test_files_that_are_none(
    importing: Importing, place: Path, source: RemoteSource, name: str, code: str
) -> None:
    put(place, "scores.csv", b"customer_id,score\nc1,7\n")
    (place / "folder.csv").mkdir()
    (place / "link.csv").symlink_to("nowhere")
    with pytest.raises(FileUnusable) as problem:
        importing(source, path=place.name, name=name)
    assert problem.value.code == code


def test_a_description_that_is_missing_or_too_large(
    importing: Importing, place: Path, source: RemoteSource
) -> None:
    put(place, "scores.csv", b"customer_id,score\nc1,7\n")
    (place / "model.json").write_text(json.dumps({"x": "y" * 1_000_000}))
    for code in ("model_too_large", "model_missing"):
        with pytest.raises(ImportProblem) as problem:
            importing(source, path=place.name)
        assert problem.value.code == code
        (place / "model.json").unlink(missing_ok=True)
