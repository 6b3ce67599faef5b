"""What imports need: customers, a place for results, and a way to run them."""

from tests.enrichments.making import (
    detached,
    enrichment,
    make_enrichment,
    make_enrichment_run,
    make_source,
    source,
)
from tests.enrichments.remote import customers, importing

__all__ = [
    "customers",
    "detached",
    "enrichment",
    "importing",
    "make_enrichment",
    "make_enrichment_run",
    "make_source",
    "source",
]
