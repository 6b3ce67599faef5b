"""What the tests of enrichments' pages share: a connection to read from, an enrichment on it, its runs."""

import datetime as dt
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from connections.models import Connection
from connections_portal.models import RunState, Trigger, User
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.edit import create_enrichment
from enrichments.operations.run import enqueue_run
from tests.factories import make_connection

TYPE = "sftp_custom_import"
SETTINGS = {"auth_method": "password", "username": "portal", "hostname": "files.example.com"}
FILE = {"path": "scores", "filename": "CustomEnrichmentData.csv"}
COVERAGE = [["score", "Score", "whole number", 3], ["tier", "Tier", "text", 1]]


@pytest.fixture
def make_source(admin: User) -> Callable[..., Connection]:
    """A ready connection that enrichments read from."""

    def build(name: str = "Scores, data science") -> Connection:
        return make_connection(actor=admin, name=name, type_key=TYPE, settings=SETTINGS)

    return build


@pytest.fixture
def source(make_source: Callable[..., Connection]) -> Connection:
    """One connection that enrichments read from."""
    return make_source()


@pytest.fixture
def make_enrichment(source: Connection, contributor: User, customers: Path) -> Callable[..., Enrichment]:
    """An enrichment made by the contributor unless told otherwise."""

    def build(name: str = "Churn scores", **changes: Any) -> Enrichment:
        values: dict[str, Any] = {
            "type_key": TYPE,
            "table_name": name.replace(" ", "_"),
            "connection": source,
            "segment": "",
            "options": FILE,
            "actor": contributor,
        }
        return create_enrichment(name=name, **values | changes)

    return build


@pytest.fixture
def enrichment(make_enrichment: Callable[..., Enrichment]) -> Enrichment:
    """One enrichment of all customers."""
    return make_enrichment()


@pytest.fixture
def detached(enrichment: Enrichment) -> Enrichment:
    """The enrichment as the removal of its connection leaves it: inactive, and waiting."""
    Enrichment.objects.filter(pk=enrichment.pk).update(active=False, connection=None)
    enrichment.refresh_from_db()
    return enrichment


@pytest.fixture
def make_enrichment_run(contributor: User) -> Callable[..., EnrichmentRun]:
    """A run as a worker leaves it, in the given state; one that succeeded enriched 3 of 4 customers."""

    def build(enrichment: Enrichment, state: RunState, **columns: Any) -> EnrichmentRun:
        run = enqueue_run(enrichment=enrichment, actor=contributor, trigger=Trigger.PERSON)
        now = timezone.now()
        values: dict[str, Any] = {"state": state}
        if state in (RunState.RUNNING, RunState.PUBLISHING):
            values |= {"lease_token": uuid.uuid4(), "lease_until": now + dt.timedelta(minutes=1)}
        if state != RunState.QUEUED:
            values |= {"started_at": now - dt.timedelta(minutes=2), "attempt": 1}
        if state not in (RunState.QUEUED, RunState.RUNNING, RunState.PUBLISHING):
            values |= {"finished_at": now}
        if state in (RunState.SUCCESSFUL, RunState.WARNINGS):
            values |= {
                "selected": 4, "read": 7, "sent": 3, "left_out": 2, "rejected": 2, "coverage": COVERAGE,
                "reasons": {"unknown_customer": 2, "no_customer_id": 2}, "bytes_sent": 2_000,
            }  # fmt: skip
        EnrichmentRun.objects.filter(pk=run.pk).update(**values | columns)
        run.refresh_from_db()
        return run

    return build
