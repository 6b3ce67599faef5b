"""Output tables beside the customer data: listed, counted, read, sent, and gone again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections_portal import customer_data
from connections_portal.customer_data import BrokenItem, Engine, Kind, Origin, UnknownItem
from connections_portal.models import User
from enrichments import tables
from exports import payload
from exports.payload import PayloadError, Selection
from tests.data import write_customers
from tests.enrichments.results import write_result

Clients = Callable[[User | None], Client]

SCORES = {"customer_id": ["c1", "c3"], "score": [7, None], "city": ["Łódź", ""]}


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.CUSTOMER_DATA_URL = f"duckdb://{write_customers(tmp_path / 'customer-data')}"
    settings.ENRICHMENTS_DIR = tmp_path / "enrichments"
    settings.SPILL_DIR = tmp_path / "spill"
    return tmp_path


def outputs(engine: Engine) -> dict[str, str]:
    return {
        e.item.name: e.error or str(e.count)
        for e in customer_data.list_items(engine)
        if e.item.origin is Origin.ENRICHMENT
    }


def test_an_output_is_a_table_with_columns_count_sample_and_identity(folder: Path) -> None:
    write_result("Scores", SCORES)
    with customer_data.open_for_page() as engine:
        assert outputs(engine) == {"Scores": "2"}
        words = {c.name: c.words for c in engine.columns(Kind.TABLE, "Scores")}
        assert words == {"customer_id": "text", "score": "whole number", "city": "text"}
        assert len(customer_data.sample(engine, Kind.TABLE, "Scores").rows) == 2
        before = engine.identity(Kind.TABLE, "Scores")
    write_result("Scores", SCORES)
    with customer_data.open_for_page() as engine:
        assert engine.identity(Kind.TABLE, "Scores") != before


def test_a_table_is_what_current_led_to_when_it_was_opened(folder: Path) -> None:
    write_result("Scores", SCORES)
    write_result("Scores", {"customer_id": ["c1"], "score": [1]}, publish=False)
    with customer_data.open_for_run() as engine:
        write_result("Scores", {"customer_id": ["c1"], "score": [8]})
        assert engine.rows('SELECT count(*) FROM "Scores"') == [(2,)]
    with customer_data.open_for_run() as engine:
        assert engine.rows('SELECT * FROM "Scores"') == [("c1", 8)]


def test_a_run_that_has_not_finished_is_no_table(folder: Path) -> None:
    write_result("Scores", SCORES, publish=False)
    with customer_data.open_for_page() as engine:
        assert outputs(engine) == {}


def test_an_output_can_be_sent_and_vanishes_with_its_enrichment(folder: Path) -> None:
    write_result("Scores", SCORES)
    selection = Selection(Kind.TABLE, "Scores", ("score", "customer_id"))
    with customer_data.open_for_run() as engine:
        batches = list(payload.stream(engine, selection))
        assert sorted(row["customer_id"] for batch in batches for row in batch.to_pylist()) == ["c1", "c3"]
        tables.delete_table("Scores")
        with pytest.raises(UnknownItem):
            engine.identity(Kind.TABLE, "Scores")
    with customer_data.open_for_run() as engine, pytest.raises(PayloadError, match="not there any more"):
        payload.count(engine, selection)


def test_segments_may_ask_for_what_was_brought_in(folder: Path) -> None:
    query = folder / "customer-data" / "segments" / "scored.sql"
    query.write_text('SELECT customer_id FROM "Scores" WHERE score > 5')
    with customer_data.open_for_page() as engine, pytest.raises(BrokenItem):
        engine.view(Kind.SEGMENT, "scored")
    write_result("Scores", SCORES)
    with customer_data.open_for_page() as engine:
        assert customer_data.count(engine, Kind.SEGMENT, "scored") == 1


@pytest.mark.parametrize(("name", "listed_as"), [("orders", "orders (enrichment)"), ("Orders", "Orders")])
def test_a_name_that_the_customer_data_has_stays_its_own(folder: Path, name: str, listed_as: str) -> None:
    """A file may be put there after the enrichment was made."""
    write_result(name, SCORES)
    with customer_data.open_for_page() as engine:
        assert "has a table with this name too" in outputs(engine)[listed_as]
        assert {c.name for c in engine.columns(Kind.TABLE, "orders")} == {"order_id", "customer_id", "amount"}
        with pytest.raises(BrokenItem):
            engine.view(Kind.TABLE, listed_as)


@pytest.mark.django_db
def test_the_page_lists_them_in_a_group_of_their_own(
    folder: Path, client_of: Clients, contributor: User
) -> None:
    write_result("Scores", SCORES)
    write_result("orders", SCORES)
    page = client_of(contributor).get(reverse("tables:list"))
    groups = {group["title"]: [item["name"] for item in group["items"]] for group in page.context["groups"]}
    assert groups["Tables"] == ["customer", "orders"]
    assert groups["Enrichment"] == ["Scores", "orders (enrichment)"]
    detail = client_of(contributor).get(reverse("tables:detail", args=["table", "Scores"]) + "?sample=1")
    assert "2 rows, 3 columns" in detail.content.decode()
    assert (
        client_of(contributor)
        .get(reverse("tables:detail", args=["table", "orders (enrichment)"]))
        .status_code
        == 200
    )
