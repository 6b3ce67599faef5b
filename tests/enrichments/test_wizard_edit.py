"""*Edit* of an enrichment: the wizard filled with what is stored, and what has changed there meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from connections.models import Connection
from connections_portal.models import User
from enrichments.models import Enrichment
from tests.enrichments.wizarding import answers, edit_url, hidden, step_of, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("customers")]
Clients = Callable[[User | None], Client]


@pytest.fixture
def client(client_of: Clients, contributor: User) -> Client:
    return client_of(contributor)


def test_edit_opens_with_what_is_stored(client: Client, enrichment: Enrichment, source: Connection) -> None:
    page = text(client.get(edit_url(enrichment)))
    assert step_of(page) == "Review and run"
    assert 'value="Churn scores"' in page
    assert 'name="table_name"' not in page
    assert "Churn_scores" in page
    assert hidden(page, "connection") == str(source.uuid)
    assert hidden(page, "option_filename") == "CustomEnrichmentData.csv"
    assert hidden(page, "version") == "1"


def test_edit_changes_what_was_changed(client: Client, enrichment: Enrichment, source: Connection) -> None:
    sent = answers(
        source, name="Churn, loyal ones", option_filename="other.csv", table_name="Ignored", version="1"
    )
    response = client.post(edit_url(enrichment), sent)
    enrichment.refresh_from_db()
    assert response.status_code == 303
    assert (enrichment.name, enrichment.table_name) == ("Churn, loyal ones", "Churn_scores")
    assert (enrichment.options["filename"], enrichment.segment, enrichment.version) == (
        "other.csv",
        "loyal",
        2,
    )


def test_a_stale_edit_shows_what_is_stored_now(
    client: Client, client_of: Clients, enrichment: Enrichment, source: Connection, admin: User
) -> None:
    theirs = answers(source, name="Saved by somebody else", version="1")
    assert client_of(admin).post(edit_url(enrichment), theirs).status_code == 303
    response = client.post(edit_url(enrichment), answers(source, name="Typed here", version="1"))
    page = text(response)
    assert response.status_code == 409
    assert "Lena Hofmann saved this enrichment at" in page
    assert "Saved by somebody else" in page
    assert 'value="Typed here"' in page
    assert hidden(page, "version") == "2"
    assert (
        client.post(edit_url(enrichment), answers(source, name="Typed here", version="2")).status_code == 303
    )


def test_an_edit_pressed_twice_is_no_conflict(
    client: Client, enrichment: Enrichment, source: Connection
) -> None:
    sent = answers(source, name="Renamed", version="1")
    assert client.post(edit_url(enrichment), sent).status_code == 303
    assert client.post(edit_url(enrichment), sent).status_code == 303


def test_a_segment_that_is_gone_is_told_and_not_dropped(
    client: Client, make_enrichment: Callable[..., Enrichment], customers: Path
) -> None:
    enrichment = make_enrichment(segment="loyal")
    (customers / "segments" / "loyal.parquet").unlink()
    response = client.get(edit_url(enrichment))
    page = text(response)
    assert (response.status_code, step_of(page)) == (200, "Customer data set")
    assert "This segment no longer exists." in page
    assert "Loyal (no longer exists)" in page


def test_one_without_connection_can_be_edited_and_stays_so(client: Client, detached: Enrichment) -> None:
    page = text(client.get(edit_url(detached)))
    assert "No Connection" in page
    sent = {"at": "review", "version": "1", "connection": "", "name": "Renamed"}
    assert client.post(edit_url(detached), sent).status_code == 303
    detached.refresh_from_db()
    assert (detached.name, detached.connection, detached.active) == ("Renamed", None, False)


def test_its_own_paused_connection_may_stay(
    client: Client, enrichment: Enrichment, source: Connection
) -> None:
    Connection.objects.filter(pk=source.pk).update(state="paused")
    response = client.get(edit_url(enrichment), {"at": "review", "go": "connect"})
    assert "Scores, data science (Paused)" in text(response)
    assert client.post(edit_url(enrichment), answers(source, version="1")).status_code == 303
