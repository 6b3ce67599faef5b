"""Enrichments on Home: failed and waiting ones for those who may change them, the last runs for all who may look."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from connections.models import Connection
from connections_portal.models import RunState, User
from enrichments.models import Enrichment, EnrichmentRun

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

Make = Callable[..., Enrichment]
MakeRun = Callable[..., EnrichmentRun]
Clients = Callable[[User | None], Client]


@pytest.fixture
def seen(client_of: Clients) -> Callable[[User], str]:
    def read(user: User) -> str:
        main = re.sub(r"(?s).*<main[^>]*>|</main>.*", "", client_of(user).get("/").content.decode())
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", main)))

    return read


def test_failed_and_waiting_enrichments_and_their_runs(
    admin: User,
    contributor: User,
    viewer: User,
    support: User,
    make_enrichment: Make,
    make_enrichment_run: MakeRun,
    seen: Callable[[User], str],
) -> None:
    well, broken = make_enrichment("Goes well"), make_enrichment("Goes wrong")
    waits, off = make_enrichment("Waits"), make_enrichment("Switched off")
    make_enrichment_run(well, RunState.FAILED, cause="The file is not there.")
    make_enrichment_run(well, RunState.SUCCESSFUL)
    for enrichment in (broken, off):
        make_enrichment_run(
            enrichment, RunState.FAILED, cause="The file is not there.", detail="10.0.0.1: no"
        )
    Enrichment.objects.filter(pk=waits.pk).update(active=False, connection=None)
    Enrichment.objects.filter(pk=off.pk).update(active=False)
    for person in (admin, contributor):
        attention, _runs, last = seen(person).partition("Recent runs")
        assert "The last run of 1 enrichment failed" in attention
        assert "Goes wrong Just now The file is not there." in attention
        assert "Goes well" not in attention
        assert "Switched off" not in attention
        assert "1 enrichment waits for a connection" in attention
        assert "Goes well Enrichment Successful Just now 3" in last
    page = seen(viewer)
    assert "Goes wrong Enrichment Failed" in page
    assert "enrichment failed" not in page
    assert "waits for a connection" not in page
    assert "Enrichments 4" in page
    assert "Goes wrong" not in seen(support)
    for person in (contributor, viewer):
        assert "10.0.0.1" not in seen(person)


def test_home_costs_the_same_queries_however_many_enrichments_there_are(
    admin: User,
    source: Connection,
    client_of: Clients,
    make_enrichment: Make,
    make_enrichment_run: MakeRun,
    django_assert_max_num_queries: Any,
) -> None:
    client = client_of(admin)

    def more(number: int) -> int:
        for n in range(number):
            make_enrichment_run(make_enrichment(f"F{number} {n}"), RunState.FAILED)
            waits = make_enrichment(f"W{number} {n}")
            Enrichment.objects.filter(pk=waits.pk).update(active=False, connection=None)
        client.get("/")
        with django_assert_max_num_queries(40) as captured:
            client.get("/")
        return len(captured)

    assert more(2) == more(3)  # ten of the type are allowed
