"""What the tests of exports share: customer data, a connection shared with one contributor, an export on it."""

import datetime as dt
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from connections.models import Access, Connection
from connections_portal.models import RunState, Trigger, User
from exports.item import Item
from exports.models import Export, ExportRun, ItemKind
from exports.operations.edit import Timing, create_export
from exports.operations.run import enqueue_run
from tests.data import write_customers
from tests.factories import make_connection

LOYAL = Item(kind=ItemKind.SEGMENT, source="loyal", fields=("customer_id", "email"))
ORDERS = Item(kind=ItemKind.TABLE, source="orders", fields=("order_id", "amount"))
ALL_FIELDS = ["customer_id", "email", "city", "points"]


@pytest.fixture
def data(tmp_path: Path, settings: Settings) -> Path:
    """Four customers, segments loyal, newsletter and rich, table orders."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'data'}"
    return write_customers(tmp_path / "data")


@pytest.fixture
def connection(admin: User, contributor: User) -> Connection:
    """A connection that the contributor may use and the outsider may not."""
    return make_connection(actor=admin, access=Access.SPECIFIC, people=[contributor])


@pytest.fixture
def hidden(admin: User) -> Connection:
    """A connection shared with nobody."""
    return make_connection(actor=admin, name="Board reports")


@pytest.fixture
def make_export(connection: Connection, contributor: User, data: Path) -> Callable[..., Export]:
    """An export made by the contributor unless told otherwise."""

    def build(name: str = "Loyalty mailing", **changes: Any) -> Export:
        values: dict[str, Any] = {
            "connection": connection,
            "options": {},
            "items": [LOYAL],
            "schedule": Timing(),
            "actor": contributor,
        }
        return create_export(name=name, **values | changes)

    return build


@pytest.fixture
def export(make_export: Callable[..., Export]) -> Export:
    """One export of one segment."""
    return make_export()


@pytest.fixture
def make_run(admin: User) -> Callable[..., ExportRun]:
    """A run as a worker leaves it, in the given state."""

    def build(export: Export, state: RunState, **columns: Any) -> ExportRun:
        run = enqueue_run(export=export, actor=admin, trigger=Trigger.PERSON)
        now = timezone.now()
        values: dict[str, Any] = {"state": state}
        if state in (RunState.RUNNING, RunState.PUBLISHING):
            values |= {"lease_token": uuid.uuid4(), "lease_until": now + dt.timedelta(minutes=1)}
        if state != RunState.QUEUED:
            values |= {"started_at": now - dt.timedelta(minutes=2), "attempt": 1}
        if state not in (RunState.QUEUED, RunState.RUNNING, RunState.PUBLISHING):
            values |= {"finished_at": now}
        ExportRun.objects.filter(pk=run.pk).update(**values | columns)
        run.refresh_from_db()
        return run

    return build
