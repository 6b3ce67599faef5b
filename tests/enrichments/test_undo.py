"""*Undo* after *Deactivate*, *Stop everything* and *Usage* of a connection that enrichments read from."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection, State
from connections.operations.stop import stop_everything
from connections_portal.models import AuditEntry, RunState, User
from enrichments.models import Enrichment, EnrichmentRun
from enrichments.operations.state import activate, deactivate

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LIST = "/data/enrichment/mine/"
UNDO = "/data/enrichment/undo/"
HTMX = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{LIST}"}
Clients = Callable[[User | None], Client]
Make = Callable[..., Enrichment]
MakeRun = Callable[..., EnrichmentRun]


@pytest.fixture
def client(contributor: User, client_of: Clients) -> Client:
    return client_of(contributor)


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.unescape(answer.content.decode())))


def token_in(answer: Any) -> str:
    found = re.search(r'name="token" value="([^"]+)"', answer.content.decode())
    assert found, answer.content.decode()
    return found[1]


def rest(client: Client, enrichment: Enrichment) -> str:
    """Deactivate as a person does without script; the token of the button on the page that follows."""
    answer = client.post(reverse("enrichments:deactivate", args=[enrichment.uuid]))
    assert answer.status_code == 303
    page = client.get(answer["Location"])
    assert f"{enrichment.name} is inactive. Undo" in words(page)
    return token_in(page)


def test_it_is_active_as_it_was_and_its_canceled_run_stays_so(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun, admin: User, contributor: User
) -> None:
    Enrichment.objects.update(responsible=admin)
    run = make_enrichment_run(enrichment, RunState.RUNNING)
    answer = client.post(UNDO, {"token": rest(client, enrichment)})
    assert answer.status_code == 303
    assert "is active again" in words(client.get(answer["Location"]))
    found = Enrichment.objects.get()
    assert (found.active, found.responsible, found.connection) == (True, admin, enrichment.connection)
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    entry = AuditEntry.objects.get(action="enrichment.deactivation_undone")
    assert entry.actor_id == contributor.pk


def test_once_and_not_after_another_change_nor_by_somebody_else(
    client: Client, enrichment: Enrichment, admin: User, client_of: Clients
) -> None:
    token = rest(client, enrichment)
    assert client_of(admin).post(UNDO, {"token": token}).status_code == 403
    assert client.post(UNDO, {"token": token}).status_code == 303
    assert client.post(UNDO, {"token": token}).status_code == 409
    later = rest(client, enrichment)
    activate(enrichment=enrichment, actor=admin)
    deactivate(enrichment=enrichment, actor=admin)
    refused = client.post(UNDO, {"token": later})
    assert refused.status_code == 409
    assert "changed since" in words(refused)
    assert not Enrichment.objects.get().active


@pytest.mark.parametrize("gone", ["connection", "enrichment"])
def test_what_is_gone_is_said(client: Client, enrichment: Enrichment, gone: str) -> None:
    token = rest(client, enrichment)
    if gone == "connection":
        Enrichment.objects.update(connection=None)
    else:
        Enrichment.objects.all().delete()
    refused = client.post(UNDO, {"token": token}, headers=HTMX)
    assert refused.status_code == 409
    said = "The connection was removed" if gone == "connection" else "The enrichment was deleted"
    assert f"{said} meanwhile" in words(refused)
    assert not Enrichment.objects.filter(active=True).exists()


def test_several_are_undone_together(client: Client, make_enrichment: Make, admin: User) -> None:
    several = [make_enrichment(name=f"Scores {number}") for number in range(3)]
    data = {"selected": [str(one.uuid) for one in several], "confirmed": "1"}
    answer = client.post(reverse("enrichments:bulk_deactivate"), data, headers=HTMX)
    token = token_in(answer)
    activate(enrichment=several[0], actor=admin)
    answer = client.post(UNDO, {"token": token}, headers=HTMX)
    assert "2 enrichments are active again. 1 is left out Scores 0" in words(answer)
    assert Enrichment.objects.filter(active=True).count() == 3


def test_activating_one_that_waits_asks_for_a_connection_first(
    client: Client, detached: Enrichment, source: Connection
) -> None:
    url = reverse("enrichments:activate", args=[detached.uuid])
    assert str(source.uuid) in client.get(url).content.decode()
    assert client.post(url).status_code == 422
    assert not Enrichment.objects.get().active
    assert client.post(url, {"connection": str(source.uuid)}).status_code == 303
    assert Enrichment.objects.get().connection == source


def test_the_banner_gives_all_that_wait_one_connection(
    client: Client, detached: Enrichment, source: Connection, client_of: Clients, viewer: User
) -> None:
    assert "1 enrichment waits for a connection" in words(client.get(LIST))
    assert "A contributor or an administrator can add one." in words(client_of(viewer).get(LIST))
    url = reverse("enrichments:attach_waiting", args=[detached.type_key])
    data = {"connection": str(source.uuid), "selected": [str(detached.uuid)], "confirmed": "1"}
    assert client.post(url, data).status_code == 303
    found = Enrichment.objects.get()
    assert (found.active, found.connection) == (True, source)
    assert "enrichment waits" not in words(client.get(LIST))


def test_everything_stops_and_the_connections_page_says_what_depends_on_it(
    make_enrichment: Make, make_enrichment_run: MakeRun, source: Connection, admin: User, client_of: Clients
) -> None:
    enrichment = make_enrichment(name="Churn scores")
    make_enrichment_run(enrichment, RunState.SUCCESSFUL)
    run = make_enrichment_run(enrichment, RunState.RUNNING)
    client = client_of(admin)
    shown = words(client.get(reverse("connections:detail", args=[source.uuid])))
    assert "Used by 1 enrichment Churn scores" in shown
    assert "People 4" in shown
    assert "Rows in 30 days 3 in 1 run" in shown
    entry = stop_everything(connection=source, actor=admin)
    assert (entry.details["canceled"], entry.details["runs"]) == (1, ["Churn scores"])
    run.refresh_from_db()
    source.refresh_from_db()
    assert (run.state, source.state, source.epoch) == (RunState.CANCELED, State.PAUSED, 2)
    printed = words(client.get(reverse("connections:stopped", args=[source.uuid])))
    assert "1 enrichment Churn scores" in printed
    assert "portal on the server of sftp://files.example.com" in printed
