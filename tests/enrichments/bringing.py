"""Everything that a run of an enrichment needs: customers, a server with a file, a connection, and results on disk."""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.utils import timezone
from pytest_django import Settings

from connections.models import Connection
from connections_portal import runs
from connections_portal.models import RunState, Trigger, User
from connections_portal.sandbox import SandboxServer
from enrichments import tables
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.edit import create_enrichment
from enrichments.operations.execute import STILL, execute_run
from enrichments.operations.run import enqueue_run
from tests.connectors.servers import SandboxFactory, Server
from tests.data import write_customers
from tests.factories import make_connection

FIELDS = (("score", "Score", "int64"), ("channel", "Channel", "string"))
# c1 and c3 are customers, "gone" is nobody, c2 stands there twice
FILE = "customer_id,score,channel\r\nc1,10,mail\r\nc2,1,phone\r\nc2,2,phone\r\nc3,30,\r\ngone,5,mail\r\n"
COUNTS = {"read": 5, "sent": 2, "rejected": 2, "left_out": 1}


def model_json(file: str, fields: Sequence[tuple[str, str, str]] = FIELDS) -> str:
    """A description of a file keyed by ``customer_id``."""
    attributes = [{"name": name, "friendlyName": label, "dataType": kind} for name, label, kind in fields]
    return json.dumps(
        {
            "name": "Scores",
            "version": "1.0",
            "entities": [
                {
                    "$type": "LocalEntity",
                    "name": "Scores",
                    "annotations": [{"name": "c360:PrimaryKey", "value": "customer_id"}],
                    "attributes": [{"name": "customer_id", "dataType": "string"}, *attributes],
                    "partitions": [{"name": file}],
                }
            ],
        }
    )


@dataclass(kw_only=True)
class Bringing:
    """What there is; ``box`` can be told to misbehave."""

    server: Server
    box: SandboxServer
    connection: Connection
    admin: User

    def put(self, content: str | bytes = FILE, *, name: str = "scores.csv") -> Path:
        """Lay a file with its description into ``in`` at the server."""
        folder = self.server.files / "in"
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text(model_json(name))
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def enrichment(self, **more: Any) -> Enrichment:
        """An enrichment of all customers out of ``in/scores.csv``."""
        values: dict[str, Any] = {
            "name": "Scores",
            "type_key": "sftp_custom_import",
            "table_name": "Scores",
            "connection": self.connection,
            "segment": "",
            "options": {"path": "in", "filename": "scores.csv"},
            "actor": self.admin,
        }
        return create_enrichment(**(values | more))

    def start(self, enrichment: Enrichment, *, actor: User | None = None) -> EnrichmentRun:
        """A queued run by hand."""
        return enqueue_run(enrichment=enrichment, actor=actor or self.admin, trigger=Trigger.PERSON)


def carry(run: EnrichmentRun, *, worker: str = "test") -> str:
    """What a worker does with the run's message, in this process; ``run`` then is as the database has it."""
    outcome = execute_run(run_id=run.pk, worker=worker)
    run.refresh_from_db()
    return outcome


def carry_again(run: EnrichmentRun) -> str:
    """The next attempt, without waiting for its time."""
    assert run.state == RunState.QUEUED, run.state
    EnrichmentRun.objects.filter(pk=run.pk).update(not_before=timezone.now() - dt.timedelta(seconds=1))
    return carry(run)


def claimed(run: EnrichmentRun) -> runs.Lease:
    """The lease of a worker that has just taken the run up, without doing anything for it."""
    outcome, lease = runs.claim(
        EnrichmentRun,
        run.pk,
        worker="test",
        lock_first=lambda run_id: None,
        slot_free=lambda run: True,
        refuses=lambda run: None,
        on_refused=lambda run, refusal: None,
        still=STILL,
    )
    assert lease is not None, outcome
    run.refresh_from_db()
    return lease


def lose_worker(run: EnrichmentRun) -> None:
    """Let the run's lease be over, as if its worker had been killed a while ago."""
    over = timezone.now() - dt.timedelta(seconds=1)
    assert EnrichmentRun.objects.filter(pk=run.pk, lease_token__isnull=False).update(lease_until=over)
    run.refresh_from_db()


def shown(table: str) -> dict[str, dict[str, Any]] | None:
    """What the output table shows now, by customer; None without one."""
    folder = tables.current_folder(table)
    if folder is None:
        return None
    rows = pq.read_table(folder).to_pylist()
    return {row.pop("customer_id"): row for row in rows}


@pytest.fixture
def bringing(
    transactional_db: None,
    tmp_path: Path,
    settings: Settings,
    admin: User,
    sandbox_server: SandboxFactory,
    allow_outgoing: Callable[[int], None],
) -> Iterator[Bringing]:
    """Customers, a file at a server and a connection; the database is real to all threads."""
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()
    settings.SPILL_DIR = settings.VAR_DIR / "spill"
    settings.ENRICHMENTS_DIR = settings.VAR_DIR / "enrichments"
    settings.MIN_FREE_BYTES = 0
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'customer-data')}"
    with sandbox_server() as (server, box):
        allow_outgoing(server.port)
        connection = make_connection(
            actor=admin,
            type_key="sftp_custom_import",
            name="Scores from the data team",
            settings={
                "auth_method": "password",
                "username": server.username,
                "hostname": f"{server.host}:{server.port}",
            },
            secrets={"password": server.password},
            host_key=server.public_key,
        )
        found = Bringing(server=server, box=box, connection=connection, admin=admin)
        found.put()
        yield found
