"""What a browser sends for the wizard of an enrichment, and how to read its pages."""

import re
from html import unescape
from typing import Any

from django.urls import reverse

from connections.models import Connection
from enrichments.models import Enrichment
from tests.enrichments.making import TYPE

URL = f"/data/enrichment/new/{TYPE}/"


def answers(source: Connection, **changes: str) -> dict[str, str]:
    """Everything as the last step sends it."""
    return {
        "at": "review",
        "reached": "review",
        "connection": str(source.uuid),
        "data_set": "segment:loyal",
        "option_path": "scores",
        "option_filename": "CustomEnrichmentData.csv",
        "name": "Churn scores",
        "table_name": "Churn_scores",
    } | changes


def text(response: Any) -> str:
    return unescape(response.content.decode())


def step_of(page: str) -> str:
    found = re.search(r'<h2 id="step-title">([^<]*)</h2>', page)
    assert found
    return found[1]


def hidden(page: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
    assert found, f"{name} is not kept"
    return found[1]


def edit_url(enrichment: Enrichment) -> str:
    return reverse("enrichments:edit", args=[enrichment.uuid])
