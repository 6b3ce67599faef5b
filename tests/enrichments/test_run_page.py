"""The page of a run: how far it is, what became of each row, attempts in words, and what each person is told."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections_portal.models import RunState, User
from enrichments.importing import LEFT_OUT, REJECTED
from enrichments.models import Enrichment, EnrichmentAttempt, EnrichmentRun
from enrichments.reasons import WORDS

pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]
MakeRun = Callable[..., EnrichmentRun]


def at(name: str, run: EnrichmentRun) -> str:
    return reverse(f"enrichments:{name}", args=[run.enrichment.uuid, run.uuid])


def text(response: Any) -> str:
    return unescape(response.content.decode())


@pytest.fixture
def client(client_of: Clients, contributor: User) -> Client:
    return client_of(contributor)


def test_every_row_is_accounted_for(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    page = text(client.get(at("run", make_enrichment_run(enrichment, RunState.WARNINGS))))
    assert "7 read = 3 enriched + 2 left out + 2 rejected." in page
    assert "2 of unknown customers" in page
    assert "2 without a customer ID" in page
    assert "4 customers in the data set" in page
    assert "Run started by Ana Weber, over the connection Scores, data science." in page


def test_every_reason_has_words() -> None:
    assert set(WORDS) == {*REJECTED, *LEFT_OUT}


def test_an_unknown_reason_is_shown_as_it_is(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    run = make_enrichment_run(enrichment, RunState.WARNINGS, reasons={"<new>": 4})
    assert "4 &lt;new&gt;" in client.get(at("run", run)).content.decode()


def test_while_it_reads_the_page_asks_again(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    run = make_enrichment_run(enrichment, RunState.RUNNING, read=12_400, bytes_sent=1_440_000)
    page = text(client.get(at("run", run)))
    assert "12,400 rows read, 1.4 MB" in page
    assert 'hx-trigger="every 2s"' in page
    assert '<progress aria-label="Reading the file">' in page
    answer = client.get(at("run_status", run), headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in text(answer)
    assert text(client.get(at("run_status", run))).count("<html") == 1  # without htmx the whole page


def test_asking_ends_with_the_run(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    run = make_enrichment_run(enrichment, RunState.WARNINGS)
    answer = client.get(at("run_status", run), headers={"HX-Request": "true"})
    assert answer.status_code == 286
    assert 'id="run-tag" hx-swap-oob="true"' in text(answer)
    assert 'hx-trigger="every' not in text(answer)


def test_who_is_told_what(
    client_of: Clients,
    viewer: User,
    contributor: User,
    admin: User,
    enrichment: Enrichment,
    make_enrichment_run: MakeRun,
) -> None:
    texts = {
        "code": "x",
        "cause": "The server did not answer.",
        "remedy": "Try again.",
        "detail": "10.0.0.7 said no",
    }
    run = make_enrichment_run(enrichment, RunState.FAILED, who_acts="administrator", **texts)
    EnrichmentAttempt.objects.create(
        run=run, number=1, outcome="failed", started_at=timezone.now(), ended_at=timezone.now(), **texts
    )
    for person in (viewer, contributor):
        page = text(client_of(person).get(at("run", run)))
        assert "The server did not answer." in page
        assert "Try again. Ask an administrator." in page
        assert "10.0.0.7" not in page
        assert "Agreed by" not in page
    page = text(client_of(admin).get(at("run", run)))
    assert "10.0.0.7 said no" in page
    assert "Agreed by" in page
    assert "CustomEnrichmentData.csv" not in text(client_of(viewer).get(at("run", run)))
    assert "Cancel job" not in text(client_of(viewer).get(at("run", run)))


def test_the_editor_helps_in_the_words_of_enrichments(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    run = make_enrichment_run(enrichment, RunState.FAILED, who_acts="editor", cause="There is no such file.")
    assert "Whoever may edit the enrichment can help." in text(client.get(at("run", run)))


def test_cancel_stops_it(client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun) -> None:
    run = make_enrichment_run(enrichment, RunState.RUNNING)
    page = text(client.post(at("cancel", run), follow=True))
    run.refresh_from_db()
    assert run.state == "canceled"
    assert "The run is canceled. The output table stays as it was." in page


@pytest.mark.parametrize(
    ("state", "said"),
    [(RunState.PUBLISHING, "The run is just finishing."), (RunState.WARNINGS, "The run had ended already.")],
)
def test_too_late_to_cancel(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun, state: RunState, said: str
) -> None:
    run = make_enrichment_run(enrichment, state)
    assert said in text(client.post(at("cancel", run), follow=True))
    run.refresh_from_db()
    assert run.state == state


def test_a_run_of_another_enrichment_is_not_found(
    client: Client, make_enrichment: Callable[..., Enrichment], make_enrichment_run: MakeRun
) -> None:
    run, other = make_enrichment_run(make_enrichment("Age"), RunState.WARNINGS), make_enrichment("Boats")
    for name in ("run", "run_status"):
        assert client.get(reverse(f"enrichments:{name}", args=[other.uuid, run.uuid])).status_code == 404
    assert client.post(reverse("enrichments:cancel", args=[other.uuid, run.uuid])).status_code == 404
