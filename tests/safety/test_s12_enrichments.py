"""S12: pages of enrichments tell nothing of the connection but its name, and viewers see no row of people's data."""

from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from connections_portal.models import AuditEntry, RunState, User
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.urls import urlpatterns
from tests.enrichments.making import FILE, TYPE, make_enrichment_run
from tests.enrichments.remote import customers
from tests.enrichments.results import write_result
from tests.factories import make_connection

__all__ = ["customers", "make_enrichment_run"]
pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]

HOST, ACCOUNT = "canary-host.example.com", "canary-account"
SOMEBODY = "canary-customer"
WALK = {"at": "overview", "go": "review", "option_filename": "scores.csv", "preview": "1", "sample": "1"}


@pytest.fixture
def scored(
    admin: User, contributor: User, customers: Path, make_enrichment_run: Callable[..., EnrichmentRun]
) -> Enrichment:
    """An enrichment with a failed and a successful run, and with somebody in its output table."""
    from enrichments.operations.edit import create_enrichment

    source = make_connection(
        actor=admin,
        name="Scores, data science",
        type_key=TYPE,
        settings={"auth_method": "password", "username": ACCOUNT, "hostname": HOST},
    )
    made = create_enrichment(
        name="Churn scores", type_key=TYPE, table_name="Churn_scores", connection=source, segment="", options=FILE,
        actor=contributor,
    )  # fmt: skip
    make_enrichment_run(made, RunState.FAILED, cause="Refused.", detail=f"{ACCOUNT}@{HOST} was refused")
    make_enrichment_run(made, RunState.WARNINGS)
    write_result(made.table_name, {"customer_id": [SOMEBODY], "score": [7]})
    return made


def pages(client: Client, enrichment: Enrichment) -> Iterator[tuple[str, str]]:
    """Every page of the app that answers GET, for the enrichment and each of its runs; the table's own page too."""
    for pattern in urlpatterns:
        name = f"enrichments:{pattern.name}"
        converters = pattern.pattern.converters
        if "type_key" in converters:
            addresses = [reverse(name, args=[TYPE])]
        elif "run_uuid" in converters:
            addresses = [reverse(name, args=[enrichment.uuid, run.uuid]) for run in enrichment.runs.all()]
        elif converters:
            addresses = [reverse(name, args=[enrichment.uuid])]
        else:
            addresses = [reverse(name)]
        for address in (*addresses, reverse("tables:detail", args=["table", enrichment.table_name])):
            yield address, unescape(client.get(address, WALK).content.decode())


@pytest.mark.parametrize("role", ["viewer", "contributor"])
def test_no_page_names_host_or_account(
    role: str, client_of: Clients, scored: Enrichment, request: pytest.FixtureRequest
) -> None:
    looked = list(pages(client_of(request.getfixturevalue(role)), scored))
    assert len(looked) > len(urlpatterns)
    assert any("Scores, data science" in page for _address, page in looked)
    for address, page in looked:
        assert HOST not in page, address
        assert ACCOUNT not in page, address


def test_no_page_shows_a_viewer_somebody_s_row(client_of: Clients, viewer: User, scored: Enrichment) -> None:
    for address, page in pages(client_of(viewer), scored):
        assert SOMEBODY not in page, address
    assert not AuditEntry.objects.filter(action="table.sample_viewed").exists()


def test_a_contributor_s_look_at_rows_is_recorded(
    client_of: Clients, contributor: User, scored: Enrichment
) -> None:
    seen = [address for address, page in pages(client_of(contributor), scored) if SOMEBODY in page]
    assert seen
    looks = AuditEntry.objects.filter(action="table.sample_viewed", actor_id=contributor.pk)
    assert looks.count() == len(seen)


def test_an_administrator_is_told_what_the_server_said(
    client_of: Clients, admin: User, scored: Enrichment
) -> None:
    assert any(HOST in page for _address, page in pages(client_of(admin), scored))
    assert Connection.objects.count() == 1
