"""A place to import from that lies in memory: files with a time, which may change while they are read."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from connections.connectors import file_errors
from connections.connectors.files import FileIdentity
from enrichments.importing import Imported, ImportProblem, run_import
from tests.data import write_customers
from tests.enrichments.results import run_name

NAME = "scores.csv"
# stands in files and must stand nowhere else
CANARY = "canary-4711"


class MemorySource:
    """Implements ``RemoteSource``. ``meanwhile`` is called after the first block, with this source."""

    def __init__(self, files: Mapping[str, bytes], *, block: int = 64 * 1024) -> None:
        self.files = dict(files)
        self.modified = dict.fromkeys(files, 1_000)
        self.block = block
        self.meanwhile: Callable[[MemorySource], None] = lambda source: None
        self.taken = 0

    def replace(self, path: str, content: bytes) -> None:
        """Another file of this name, written later."""
        self.files[path] = content
        self.modified[path] = self.modified.get(path, 1_000) + 60

    def stat(self, path: str) -> FileIdentity:
        """See ``RemoteSource.stat``."""
        if path not in self.files:
            raise file_errors.file_missing()
        return FileIdentity(size=len(self.files[path]), modified=self.modified[path])

    def read(self, path: str, *, most: int) -> bytes:
        """See ``RemoteSource.read``."""
        if self.stat(path).size > most:
            raise file_errors.file_too_large()
        return self.files[path]

    def stream(self, path: str) -> Iterator[bytes]:
        """See ``RemoteSource.stream``; what is read is the file as it was opened."""
        content = self.files[path]
        for start in range(0, len(content), self.block):
            self.taken += 1
            yield content[start : start + self.block]
            if not start:
                self.meanwhile(self)


def model(columns: Mapping[str, str], *, key: str | None = "customer_id", **more: Any) -> dict[str, Any]:
    """A ``model.json`` with one table: names and data types of columns, the annotation, and more of the table."""
    table: dict[str, Any] = {
        "name": "scores",
        "attributes": [{"name": name, "dataType": kind} for name, kind in columns.items()],
        **more,
    }
    if key is not None:
        table["annotations"] = [{"name": "c360:PrimaryKey", "value": key}]
    return {"name": "enrichment", "version": "1.0", "entities": [table]}


def source_of(content: bytes, description: Any, *, name: str = NAME, block: int = 64 * 1024) -> MemorySource:
    """A source with this file and its ``model.json`` (bytes, or what is written as JSON)."""
    if not isinstance(description, bytes):
        description = json.dumps(description).encode()
    return MemorySource({name: content, "model.json": description}, block=block)


class Importing:
    """Runs imports into new folders below ``root`` and keeps the last one; progress and checks are counted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root
        self.reports: list[tuple[int, int]] = []
        self.checks = 0

    def check(self) -> None:
        """The run is not lost."""
        self.checks += 1

    def __call__(
        self, source: Any, *, name: str = NAME, path: str = "", segment: str = "", check: Any = None
    ) -> Imported:
        """Import the file; see ``run_import``."""
        self.folder = self.root / run_name()
        self.folder.mkdir(parents=True)
        return run_import(
            source=source,
            options={"path": path, "filename": name},
            segment=segment,
            folder=self.folder,
            report=lambda *progress: self.reports.append(progress),
            check=check or self.check,
        )

    def rows(self) -> list[dict[str, Any]]:
        """What the last import wrote, by customer ID."""
        import pyarrow.parquet as pq

        found = [row for path in self.folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
        return sorted(found, key=lambda row: str(row["customer_id"]))

    def nothing_written(self) -> bool:
        """Whether the last import left its folder empty, and nothing beside it."""
        return not list(self.folder.iterdir()) and not [
            p for p in self.root.iterdir() if p.name.startswith(".")
        ]

    def problem(self, source: Any, **how: Any) -> ImportProblem:
        """Why the import of the file fails, which it must: in words without the canary, and nothing is left of it."""
        with pytest.raises(ImportProblem) as caught:
            self(source, **how)
        problem = caught.value
        assert CANARY not in problem.cause + problem.remedy
        assert (problem.cause + problem.remedy).isprintable()
        assert max(len(problem.cause), len(problem.remedy)) <= 300
        assert self.nothing_written()
        return problem


@pytest.fixture
def customers(tmp_path: Path, settings: Settings) -> Path:
    """The customers of ``tests.data`` and an empty place for results; returns the folder of customer data."""
    settings.ENRICHMENTS_DIR = tmp_path / "enrichments"
    settings.SPILL_DIR = tmp_path / "spill"
    folder = write_customers(tmp_path / "customer-data")
    settings.CUSTOMER_DATA_URL = f"duckdb://{folder}"
    return folder


@pytest.fixture
def importing(customers: Path, tmp_path: Path) -> Importing:
    """Runs imports for these customers."""
    return Importing(tmp_path / "enrichments" / "Scores")
