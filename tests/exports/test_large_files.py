"""Large tables: dealt out to five files, each row in exactly one, gzip that anybody reads, memory that stays.

The number of rows that make a new file is lowered here; everything else is what a run of any size does. The server is
OpenSSH.
"""

import functools
import gzip
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connections.models import Connection
from connections_portal.management.commands.portal_worker import WORKER
from connections_portal.models import RunState, User
from exports.csv_files import MAX_FILES, ROWS_PER_FILE, split_rows
from exports.item import Item
from exports.models import ExportFile, ExportRun, ItemKind
from exports.operations import deliver
from tests.connectors.servers import Server
from tests.runs.helpers import Delivery, carry, connect, make_export, start, until

MANY = 100_003
PER_FILE = 24_000
# what a worker may take more for five times the rows: noise of allocators, far below the 80 MB that are more to send
FLAT_MB = 32


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2_000_000, [2_000_000]),
        (2_000_001, [2_000_000, 1]),
        (9_999_999, [2_000_000] * 4 + [1_999_999]),
        (10_000_000, [2_000_000] * 5),
        (10_000_001, [2_000_001] * 4 + [1_999_997]),
        (50_000_000, [10_000_000] * 5),
    ],
)
def test_two_million_rows_fill_a_file_and_there_are_five_at_most(count: int, expected: list[int]) -> None:
    assert split_rows(count) == expected
    assert len(expected) == min(MAX_FILES, -(-count // ROWS_PER_FILE))


@pytest.fixture
def few_rows_per_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "split_rows", functools.partial(split_rows, rows_per_file=PER_FILE))


@pytest.fixture
def to_openssh(
    customer_data: Path,
    openssh_server: Server,
    admin: User,
    allow_outgoing: Callable[[int], None],
    tmp_path: Path,
) -> Connection:
    allow_outgoing(openssh_server.port)
    return connect(openssh_server, actor=admin, folder=f"exports/{tmp_path.name}", name="OpenSSH")


def write_many(data: Path, name: str, rows: int) -> None:
    """Customers' visits, and a segment with every third of the visitors, who are all customers."""
    ids = [f"v{number:08d}" for number in range(rows)]
    notes = pa.array(
        [f'"{number % 97}", {hashlib.md5(str(number).encode()).hexdigest()}' for number in range(rows)]
    )
    table = pa.table({"visit_id": ids, "note": notes, "shop": pa.array(range(rows), pa.int64())})
    pq.write_table(table, data / "tables" / f"{name}.parquet", row_group_size=20_000)


def write_many_customers(data: Path, rows: int) -> None:
    ids = [f"c{number:08d}" for number in range(rows)]
    customers = pa.table({"customer_id": ids, "points": pa.array(range(rows), pa.int64())})
    pq.write_table(customers, data / "customer.parquet", row_group_size=20_000)
    # in the segment: some twice, and one who is no customer
    pq.write_table(pa.table({"customer_id": [*ids, *ids[:500], "gone"]}), data / "segments" / "loyal.parquet")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_every_row_is_in_exactly_one_of_five_files(
    to_openssh: Connection,
    openssh_server: Server,
    customer_data: Path,
    admin: User,
    few_rows_per_file: None,
    compression: str,
) -> None:
    write_many(customer_data, "visits", MANY)
    write_many_customers(customer_data, 50_000)
    visits = Item(kind=ItemKind.TABLE, source="visits", fields=("visit_id", "note"))
    loyal = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("customer_id", "points"))
    export = make_export(to_openssh, visits, loyal, actor=admin, options={"compression": compression})
    run = start(export)
    assert carry(run) == "successful", (run.cause, run.detail)

    folder = openssh_server.files / to_openssh.settings["export_folder"] / run.final_folder
    ending = ".csv.gz" if compression == "gzip" else ".csv"
    shares = {"visits": [PER_FILE] * 4 + [MANY - 4 * PER_FILE], "loyal": [PER_FILE] * 2 + [2_000]}
    named = {
        f"{table}_{n}{ending}": rows for table, parts in shares.items() for n, rows in enumerate(parts, 1)
    }
    assert {path.name for path in folder.iterdir()} == {*named, "model.json"}

    seen: dict[str, list[str]] = {table: [] for table in shares}
    headers = {"visits": '"visit_id","note"', "loyal": '"customer_id","points"'}
    for name, rows in named.items():
        content = (folder / name).read_bytes()
        file = ExportFile.objects.get(task__run=run, name=name)
        assert (file.rows, file.size) == (rows, len(content))
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        if compression == "gzip":
            packed, content = len(content), gzip.decompress(content)
            assert packed < 0.8 * len(content)
        table = name.rpartition("_")[0]
        header, *lines = content.decode().removesuffix("\r\n").split("\r\n")
        assert (header, len(lines)) == (headers[table], rows)
        seen[table] += [line[1:10] for line in lines]
    assert sorted(seen["visits"]) == [f"v{number:08d}" for number in range(MANY)]
    assert sorted(seen["loyal"]) == [f"c{number:08d}" for number in range(50_000)]

    model = json.loads((folder / "model.json").read_text())
    described = {
        part["location"]: part["rowCount"] for entity in model["entities"] for part in entity["partitions"]
    }
    assert described == named
    assert (run.read, run.sent, run.left_out) == (MANY + 50_001, MANY + 50_000, 1)
    assert run.bytes_sent == sum((folder / name).stat().st_size for name in named)


def peak_mb(process: subprocess.Popen[bytes]) -> float:
    """The most memory that the process has held (VmHWM, proc(5))."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def ended(run: ExportRun) -> bool:
    run.refresh_from_db()
    return not run.is_active


@pytest.mark.usefixtures("connection_key")
def test_five_times_the_rows_take_a_worker_no_more_memory(
    delivery: Delivery,
    openssh_server: Server,
    environment: dict[str, str],
    process: Callable[..., subprocess.Popen[bytes]],
) -> None:
    delivery.allow(openssh_server.port)
    environment |= {"OUTGOING_ALLOW": f"127.0.0.1:{openssh_server.port}", "RUN_LEASE_SECONDS": "60"}
    connection = connect(
        openssh_server, actor=delivery.admin, folder=f"exports/{delivery.data.parent.name}", name="OpenSSH"
    )
    worker = process(*WORKER)
    peaks = {}
    for name, rows in (("some", 200_000), ("many", 1_000_000)):
        write_many(delivery.data, name, rows)
        item = Item(kind=ItemKind.TABLE, source=name, fields=("visit_id", "note", "shop"))
        export = make_export(
            connection, item, actor=delivery.admin, name=name, options={"compression": "gzip"}
        )
        run = start(export)
        until(functools.partial(ended, run))
        assert (run.state, run.sent) == (RunState.SUCCESSFUL, rows), (run.cause, run.detail)
        peaks[name] = peak_mb(worker)
    assert peaks["many"] < peaks["some"] + FLAT_MB, peaks
