"""A service that the portal may reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from connections.outgoing import gateway
from tests.data import write_customers
from tests.services.serving import Service, serving


@pytest.fixture
def data(tmp_path: Path, settings: Settings) -> Path:
    """Four customers, segments loyal, newsletter and rich, table orders."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'data'}"
    return write_customers(tmp_path / "data")


@pytest.fixture
def service(tmp_path: Path, settings: Settings) -> Iterator[Service]:
    """A service on loopback whose certificate is believed."""
    with serving(tmp_path) as running:
        settings.OUTGOING_ALLOW = f"127.0.0.1:{running.port}"
        settings.OUTGOING_CA_FILE = str(running.ca_file)
        gateway.cache_clear()
        yield running
        gateway.cache_clear()
