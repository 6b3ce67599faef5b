"""What the tests of the support admin share: a row of everything, and runs of both kinds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from connections_portal.models import User
from tests.data import write_customers
from tests.support.rows import make_everything


@pytest.fixture(autouse=True)
def customer_data(tmp_path: Path, settings: Settings) -> Path:
    """Four customers, segments and a table."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'data'}"
    return write_customers(tmp_path / "data")


@pytest.fixture
def runs(admin: User, contributor: User) -> dict[str, Any]:
    """A queued run of each kind, by the name of its model."""
    run, enrichment_run = make_everything(admin, contributor)
    return {"exportrun": run, "enrichmentrun": enrichment_run}


@pytest.fixture
def client(support: User, client_of: Callable[[User | None], Client]) -> Client:
    """Somebody of support, signed in."""
    return client_of(support)
