"""Run, Activate, Deactivate and Delete: of one enrichment, of several, and of all that wait for a connection."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from connections_portal.models import AuditEntry, RunState, User
from enrichments import tables
from enrichments.models import Enrichment, EnrichmentRun
from tests.enrichments.making import TYPE
from tests.enrichments.results import write_result

pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]
Make = Callable[..., Enrichment]
MakeRun = Callable[..., EnrichmentRun]
MINE = "/data/enrichment/mine/"
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{MINE}?sort=-name"}


def text(response: Any) -> str:
    return unescape(response.content.decode())


def at(name: str, enrichment: Enrichment) -> str:
    return reverse(f"enrichments:{name}", args=[enrichment.uuid])


@pytest.fixture
def client(client_of: Clients, contributor: User) -> Client:
    return client_of(contributor)


# ---- one


def test_run_leads_to_the_run(client: Client, enrichment: Enrichment) -> None:
    response = client.post(at("run_now", enrichment))
    run = enrichment.runs.get()
    assert response["Location"] == f"/data/enrichment/{enrichment.uuid}/runs/{run.uuid}/"
    again = client.post(at("run_now", enrichment), follow=True)
    assert "A run of this enrichment is under way already." in text(again)
    assert enrichment.runs.count() == 1


def test_deactivate_asks_and_keeps_the_connection(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    run = make_enrichment_run(enrichment, RunState.RUNNING)
    assert "keeps its settings, its connection and its results" in text(
        client.get(at("deactivate", enrichment))
    )
    response = client.post(at("deactivate", enrichment))
    enrichment.refresh_from_db()
    run.refresh_from_db()
    assert response["Location"] == at("detail", enrichment)
    assert (enrichment.active, enrichment.connection is not None, run.state) == (False, True, "canceled")
    assert "inactive already" in text(client.get(at("deactivate", enrichment)))
    assert client.post(at("deactivate", enrichment)).status_code == 422


def test_deactivating_waits_for_a_run_that_is_just_finishing(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(enrichment, RunState.PUBLISHING)
    response = client.post(at("deactivate", enrichment))
    assert response.status_code == 409
    assert "The run is just finishing." in text(response)
    enrichment.refresh_from_db()
    assert enrichment.active


def test_activate_with_a_connection_is_one_press(client: Client, enrichment: Enrichment) -> None:
    Enrichment.objects.update(active=False)
    assert "<select" not in text(client.get(at("activate", enrichment), headers=HTMX))
    response = client.post(at("activate", enrichment), headers=HTMX)
    enrichment.refresh_from_db()
    assert enrichment.active
    assert "closeDialogs" in response["HX-Trigger"]
    assert "listChanged" in response["HX-Trigger"]


def test_activate_without_a_connection_asks_for_one(
    client: Client, detached: Enrichment, source: Connection, contributor: User
) -> None:
    page = text(client.get(at("activate", detached)))
    assert "It has no connection." in page
    assert "Scores, data science" in page
    response = client.post(at("activate", detached), {"connection": ""})
    assert response.status_code == 422
    assert "Choose a connection." in text(response)
    response = client.post(at("activate", detached), {"connection": str(source.uuid)})
    detached.refresh_from_db()
    assert response.status_code == 303
    assert (detached.active, detached.connection, detached.responsible) == (True, source, contributor)


def test_activate_takes_no_connection_that_was_not_offered(
    client: Client, detached: Enrichment, admin: User
) -> None:
    from connections.models import Access
    from tests.factories import make_connection

    other = make_connection(actor=admin, access=Access.CONTRIBUTORS)
    response = client.post(at("activate", detached), {"connection": str(other.uuid)})
    assert response.status_code == 422
    assert "Choose a connection from the list." in text(response)


def test_activate_when_no_connection_is_ready(
    client: Client, detached: Enrichment, source: Connection
) -> None:
    Connection.objects.update(state="paused")
    page = text(client.get(at("activate", detached)))
    assert "There is no SFTP Custom Import connection ready." in page
    assert '<button class="btn primary">' not in page


def test_delete_asks_and_takes_the_table_along(client: Client, enrichment: Enrichment) -> None:
    write_result(enrichment.table_name, {"customer_id": ["c1"]})
    page = text(client.get(at("delete", enrichment)))
    assert "its output table Churn_scores" in page
    assert "This cannot be undone." in page
    with_commit = client.post(at("delete", enrichment))
    assert with_commit["Location"] == MINE
    assert not Enrichment.objects.exists()
    assert AuditEntry.objects.filter(action="enrichment.deleted").exists()


@pytest.mark.django_db(transaction=True)
def test_deleted_for_good_the_table_is_gone(client: Client, enrichment: Enrichment) -> None:
    write_result(enrichment.table_name, {"customer_id": ["c1"]})
    client.post(at("delete", enrichment))
    assert tables.current_folder("Churn_scores") is None


# ---- several


def bulk(client: Client, command: str, chosen: list[Enrichment], **more: str) -> Any:
    url = reverse(f"enrichments:bulk_{command}")
    return client.post(url, {"selected": [str(e.uuid) for e in chosen], **more})


@pytest.fixture
def three(make_enrichment: Make) -> list[Enrichment]:
    """Two that are active, and one that is not."""
    made = [make_enrichment(name) for name in ("Age", "Boats", "Cars")]
    Enrichment.objects.filter(name="Cars").update(active=False)
    return list(Enrichment.objects.filter(pk__in=[e.pk for e in made]).order_by("name"))


def test_running_several_asks_first(client: Client, three: list[Enrichment]) -> None:
    page = text(bulk(client, "run", three))
    assert "Run enrichments (2)" in page
    assert "1 is left out" in page
    assert "It is inactive." in page
    assert not EnrichmentRun.objects.exists()
    page = text(bulk(client, "run", three, confirmed="1"))
    assert EnrichmentRun.objects.count() == 2
    assert "2 runs are queued." in page


def test_deactivating_and_activating_several(client: Client, three: list[Enrichment]) -> None:
    assert bulk(client, "deactivate", three[:2], confirmed="1").status_code == 303
    assert not Enrichment.objects.filter(active=True).exists()
    assert bulk(client, "activate", three, confirmed="1").status_code == 303
    assert Enrichment.objects.filter(active=True).count() == 3


def test_one_without_connection_is_not_activated_with_others(
    client: Client, three: list[Enrichment], detached: Enrichment
) -> None:
    page = text(bulk(client, "activate", [three[2], detached], confirmed="1"))
    assert "It has no connection. Activate it by itself, and choose one." in page
    detached.refresh_from_db()
    assert not detached.active
    assert Enrichment.objects.get(name="Cars").active


def test_deleting_several(client: Client, three: list[Enrichment]) -> None:
    assert (
        bulk(client, "delete", three, confirmed="1", query="sort=-name")["Location"] == f"{MINE}?sort=-name"
    )
    assert not Enrichment.objects.exists()


def test_nobody_s_enrichment_is_left_out(client: Client, three: list[Enrichment]) -> None:
    three[0].delete()
    page = text(bulk(client, "run", three[:2], confirmed="1"))
    assert "It was deleted meanwhile." in page
    assert EnrichmentRun.objects.count() == 1


# ---- all that wait


def test_all_that_wait_get_one_connection(
    client: Client, three: list[Enrichment], source: Connection
) -> None:
    Enrichment.objects.update(active=False, connection=None)
    url = reverse("enrichments:attach_waiting", args=[TYPE])
    page = text(client.get(url))
    assert "Add connection (3)" in page
    assert "Age, Boats, Cars" in page
    shown = {"selected": [str(e.uuid) for e in three]}
    assert client.post(url, shown).status_code == 422
    response = client.post(url, shown | {"connection": str(source.uuid)})
    assert response.status_code == 303
    assert Enrichment.objects.filter(active=True, connection=source).count() == 3


def test_what_got_a_connection_meanwhile_is_left_alone(
    client: Client, three: list[Enrichment], source: Connection, make_source: Callable[..., Connection]
) -> None:
    other = make_source("Another one")
    Enrichment.objects.filter(name="Age").update(active=False, connection=None)
    url = reverse("enrichments:attach_waiting", args=[TYPE])
    chosen = {"selected": [str(e.uuid) for e in three[:2]], "connection": str(other.uuid)}
    page = text(client.post(url, chosen))
    assert "It has a connection already, or was deleted meanwhile." in page
    assert Enrichment.objects.get(name="Boats").connection == source
    assert Enrichment.objects.get(name="Age").connection == other


def test_nothing_waits(client: Client) -> None:
    assert "No enrichment waits for a connection." in text(client.get(reverse("enrichments:waiting")))
    url = reverse("enrichments:attach_waiting", args=[TYPE])
    assert "No enrichment of this type waits for a connection." in text(client.get(url))
    assert client.get(reverse("enrichments:attach_waiting", args=["nonsense"])).status_code == 200
