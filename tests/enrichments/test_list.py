"""My enrichments: what a row says, search, filters, order and pages in the address, and what each person may press."""

import re
from collections.abc import Callable
from html import unescape

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from connections.models import Connection
from connections_portal.models import RunState, User
from enrichments.models import Enrichment, EnrichmentRun
from tests.enrichments.making import TYPE

pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]
Make = Callable[..., Enrichment]
MakeRun = Callable[..., EnrichmentRun]
MINE = "/data/enrichment/mine/"


def listed(client: Client, **params: str) -> str:
    return unescape(client.get(MINE, params).content.decode())


def names(page: str) -> list[str]:
    return re.findall(r'<a class="name clip-2"[^>]*>([^<]*)</a>', page)


@pytest.fixture
def client(client_of: Clients, contributor: User) -> Client:
    return client_of(contributor)


@pytest.fixture
def several(
    make_enrichment: Make, make_enrichment_run: MakeRun, make_source: Callable[..., Connection]
) -> dict[str, Enrichment]:
    """One that succeeded, one that failed, one that never ran, one that is inactive, and one that waits."""
    made = {name: make_enrichment(name) for name in ("Age", "Boats", "Cars", "Dogs", "Eggs")}
    made["Boats"].connection = make_source("Harbour office")
    made["Boats"].save()
    make_enrichment_run(made["Age"], RunState.WARNINGS)
    make_enrichment_run(
        made["Boats"], RunState.SUCCESSFUL, read=1_000, sent=1_000, selected=1_608, left_out=0, rejected=0
    )
    make_enrichment_run(made["Boats"], RunState.FAILED, cause="The server did not answer.", who_acts="editor")
    Enrichment.objects.filter(name="Dogs").update(active=False)
    Enrichment.objects.filter(name="Eggs").update(active=False, connection=None)
    return made


def test_a_row_says_everything(client: Client, several: dict[str, Enrichment]) -> None:
    page = listed(client, q="boats")
    assert names(page) == ["Boats"]
    assert "SFTP custom import" in page
    assert "Harbour office" in page
    assert "1,000 out of 1,608" in page  # the last run failed; what the table holds is older
    assert "The server did not answer. Whoever may edit the enrichment can help." in page
    assert "Ana Weber" in page
    page = listed(client, q="eggs")
    assert "No Connection" in page
    assert "Waits for a connection" in page
    assert "Not started" in page


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-name"}, ["Eggs", "Dogs", "Cars", "Boats", "Age"]),
        ({"sort": "state"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-state"}, ["Eggs", "Dogs", "Age", "Boats", "Cars"]),
        ({"sort": "status"}, ["Boats", "Age", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-status"}, ["Cars", "Dogs", "Eggs", "Age", "Boats"]),
        ({"sort": "connection"}, ["Boats", "Age", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-connection"}, ["Age", "Cars", "Dogs", "Boats", "Eggs"]),
        ({"sort": "enriched"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-enriched"}, ["Boats", "Age", "Cars", "Dogs", "Eggs"]),
        ({"sort": "refreshed"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-refreshed"}, ["Boats", "Age", "Cars", "Dogs", "Eggs"]),
        ({"sort": "type"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"sort": "-updated"}, ["Boats", "Eggs", "Dogs", "Cars", "Age"]),
        ({"sort": "nonsense"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"q": "a"}, ["Age", "Boats", "Cars", "Dogs"]),  # Dogs by its connection
        ({"q": "harbour"}, ["Boats"]),
        ({"q": "CUSTOM import"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"q": "zzz"}, []),
        ({"q": "\0"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"state": "active"}, ["Age", "Boats", "Cars"]),
        ({"state": "inactive"}, ["Dogs", "Eggs"]),
        ({"state": "waiting"}, ["Eggs"]),
        ({"status": "failed"}, ["Boats"]),
        ({"status": "warnings"}, ["Age"]),
        ({"status": "not_started"}, ["Cars", "Dogs", "Eggs"]),
        ({"status": "processing"}, []),
        ({"type": TYPE}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"type": "unknown"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
        ({"connection": "nonsense"}, []),
        ({"page": "99"}, ["Age", "Boats", "Cars", "Dogs", "Eggs"]),
    ],
)
@pytest.mark.both_databases
def test_search_filters_and_order(
    client: Client, several: dict[str, Enrichment], params: dict[str, str], expected: list[str]
) -> None:
    assert names(listed(client, **params)) == expected


def test_a_connection_s_enrichments(client: Client, several: dict[str, Enrichment]) -> None:
    harbour = Connection.objects.get(name="Harbour office")
    assert names(listed(client, connection=str(harbour.uuid))) == ["Boats"]


def test_retrying_counts_as_failed_and_running_as_processing(
    client: Client, make_enrichment: Make, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(make_enrichment("Age"), RunState.QUEUED, attempt=1)
    make_enrichment_run(make_enrichment("Boats"), RunState.RUNNING)
    make_enrichment_run(make_enrichment("Cars"), RunState.QUEUED)
    assert names(listed(client, status="failed")) == ["Age"]
    assert names(listed(client, status="processing")) == ["Boats", "Cars"]


def test_the_fragment_is_the_table_alone(client: Client, enrichment: Enrichment) -> None:
    answer = client.get(MINE, headers={"HX-Request": "true"}).content.decode()
    assert answer.lstrip().startswith('<div id="enrichments-table"')
    assert "<html" not in answer


def test_as_many_questions_for_many_rows_as_for_one(
    client: Client, make_enrichment: Make, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(make_enrichment("Enrichment 0"), RunState.SUCCESSFUL, rejected=0, left_out=0, read=3)
    listed(client)
    with CaptureQueriesContext(database) as one:
        listed(client)
    for number in range(1, 9):
        make_enrichment_run(make_enrichment(f"Enrichment {number}"), RunState.WARNINGS)
    with CaptureQueriesContext(database) as many:
        assert len(names(listed(client))) == 9
    assert len(many) == len(one)


def test_a_contributor_presses_and_a_viewer_looks(
    client: Client, client_of: Clients, viewer: User, several: dict[str, Enrichment]
) -> None:
    commands = ["run", "edit", "activate", "deactivate", "delete"]
    page = listed(client)
    for command in commands:
        assert f'data-command="{command}"' in page
    page = listed(client_of(viewer))
    assert names(page) == ["Age", "Boats", "Cars", "Dogs", "Eggs"]
    for command in commands:
        assert f'data-command="{command}"' not in page
    assert "Add enrichment" not in page
    assert "Add connection" not in page
    assert "A contributor or an administrator can add one." in page


def test_what_waits_is_told_above_the_list(client: Client, several: dict[str, Enrichment]) -> None:
    page = listed(client)
    assert "1 enrichment waits for a connection" in page
    assert f'href="/data/enrichment/waiting/{TYPE}/"' in page
    assert f'href="{MINE}?state=waiting"' in page
    assert f'href="{MINE}?state=waiting"' not in listed(client, state="waiting")


def test_an_empty_list_leads_on(client: Client) -> None:
    page = listed(client)
    assert "No enrichments yet" in page
    assert reverse("enrichments:create") in page


def test_the_way_back_to_removing_the_connection(
    client: Client, client_of: Clients, admin: User, source: Connection, enrichment: Enrichment
) -> None:
    back = "Back to removing Scores, data science"
    asked = {"connection": str(source.uuid), "removing": "1"}
    page = listed(client_of(admin), **asked)
    assert back in page
    assert "Enrichments that use the connection Scores, data science" in page
    assert back not in listed(client_of(admin), connection=str(source.uuid))
    assert back not in listed(client, **asked)  # who removes no connections is not led there
