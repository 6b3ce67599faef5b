"""What imports need: customers, a place for results, and a way to run them."""

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.data import write_customers
from tests.enrichments.making import (
    detached,
    enrichment,
    make_enrichment,
    make_enrichment_run,
    make_source,
    source,
)
from tests.enrichments.remote import Importing

__all__ = ["detached", "enrichment", "make_enrichment", "make_enrichment_run", "make_source", "source"]


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
