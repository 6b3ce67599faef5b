"""The results page: customers enriched, coverage, the chart, the preview for those who may see people's data."""

import datetime as dt
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections_portal.models import AuditEntry, RunState, User
from enrichments.models import Enrichment, EnrichmentRun
from tests.enrichments.results import write_result

pytestmark = pytest.mark.django_db
Clients = Callable[[User | None], Client]
MakeRun = Callable[..., EnrichmentRun]


def page_of(client: Client, enrichment: Enrichment, **params: str) -> str:
    response: Any = client.get(reverse("enrichments:detail", args=[enrichment.uuid]), params)
    assert response.status_code == 200
    return unescape(response.content.decode())


@pytest.fixture
def client(client_of: Clients, contributor: User) -> Client:
    return client_of(contributor)


@pytest.fixture
def scored(enrichment: Enrichment, make_enrichment_run: MakeRun) -> Enrichment:
    """An enrichment whose only run enriched 3 of 4 customers."""
    make_enrichment_run(enrichment, RunState.WARNINGS)
    write_result(enrichment.table_name, {"customer_id": ["c1", "c2", "c3"], "score": [7, None, 31]})
    return enrichment


def test_before_the_first_run_it_offers_one(
    client: Client, client_of: Clients, viewer: User, enrichment: Enrichment
) -> None:
    page = page_of(client, enrichment)
    assert "No results yet" in page
    assert page.count(f'action="/data/enrichment/{enrichment.uuid}/run/"') == 2  # command bar and empty state
    assert "Not started" in page
    page = page_of(client_of(viewer), enrichment)
    assert "No results yet" in page
    assert "/run/" not in page


def test_while_the_first_run_goes_on(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(enrichment, RunState.RUNNING)
    page = page_of(client, enrichment)
    assert "The first run is under way" in page
    assert "Show progress" in page


def test_the_cards_say_how_many_and_why_not(client: Client, scored: Enrichment) -> None:
    page = page_of(client, scored)
    assert '<p class="result-number num">3</p>' in page
    assert "of 4 customers (75%)" in page
    assert "2</span> of unknown customers" in page
    assert "2</span> without a customer ID" in page
    assert re.search(r'title="score">Score</span><span class="num">3</span>', page)
    assert '<progress max="4" value="1" aria-label="Tier">' in page
    assert 'href="/data/tables/table/Churn_scores/"' in page
    assert "Completed with warnings" in page


def test_a_failed_run_does_not_hide_the_results(
    client: Client, scored: Enrichment, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(scored, RunState.FAILED, cause="The server did not answer.", who_acts="administrator")
    page = page_of(client, scored)
    assert '<p class="result-number num">3</p>' in page
    assert "The last run failed" in page
    assert "The server did not answer. Ask an administrator." in page


def test_an_empty_data_set_is_no_division(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(
        enrichment,
        RunState.SUCCESSFUL,
        selected=0,
        read=0,
        sent=0,
        left_out=0,
        rejected=0,
        reasons={},
        coverage=[],
    )
    page = page_of(client, enrichment)
    assert "of 0 customers" in page
    assert "The file brings no field besides the customer ID." in page


def test_many_fields_are_folded(client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun) -> None:
    coverage = [[f"f{n}", f"Field <{n}>", "text", n % 4] for n in range(40)]
    make_enrichment_run(enrichment, RunState.WARNINGS, coverage=coverage)
    page = page_of(client, enrichment)
    assert "28 more fields" in page


# ---- the chart


def at(run: EnrichmentRun, days: float) -> None:
    EnrichmentRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - dt.timedelta(days=days))


def rows_of_chart(page: str) -> list[str]:
    table = page.split('class="data-table chart-table"', 1)[1].split("</table>", 1)[0]
    return re.findall(r'<td class="right num">([^<]*)</td>', table)


def test_the_chart_shows_the_last_result_of_each_day(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    for days, sent in ((60, 1), (20, 1), (3, 2), (1, 1), (1, 3)):
        at(make_enrichment_run(enrichment, RunState.WARNINGS, sent=sent, read=sent + 4), days)
    make_enrichment_run(enrichment, RunState.FAILED)
    page = page_of(client, enrichment)
    assert rows_of_chart(page) == ["2", "3"]
    assert '<option value="7" selected>Last 7 days' in page
    assert page.count("<circle") == 2
    assert '<polyline class="chart-line"' in page
    assert rows_of_chart(page_of(client, enrichment, days="30")) == ["1", "2", "3"]
    assert rows_of_chart(page_of(client, enrichment, days="90")) == ["1", "1", "2", "3"]
    assert rows_of_chart(page_of(client, enrichment, days="nonsense")) == ["2", "3"]


def test_one_result_is_a_point_and_none_a_sentence(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    run = make_enrichment_run(enrichment, RunState.WARNINGS)
    page = page_of(client, enrichment)
    assert page.count("<circle") == 1
    assert "<polyline" not in page
    at(run, 20)
    assert "It was not refreshed in this period." in page_of(client, enrichment)


def test_the_days_are_the_reader_s(
    client: Client, contributor: User, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    """Late in the evening in Honolulu it is the next day elsewhere."""
    User.objects.filter(pk=contributor.pk).update(time_zone="Pacific/Honolulu")
    run = make_enrichment_run(enrichment, RunState.WARNINGS)
    moment = timezone.now().replace(hour=5, minute=0) - dt.timedelta(
        days=2
    )  # 19:00 the day before in Honolulu
    EnrichmentRun.objects.filter(pk=run.pk).update(finished_at=moment)
    day = (moment - dt.timedelta(hours=10)).strftime("%-d %b")
    assert f"<title>{day}: 3</title>" in page_of(client, enrichment)


@pytest.mark.parametrize(
    ("lowest", "highest"), [(0, 0), (5, 5), (0, 1), (30_638, 31_904), (1, 9_999_999_999), (999, 1001)]
)
def test_the_scale_is_around_the_values(lowest: int, highest: int) -> None:
    from enrichments.chart import _scale

    low, high, step = _scale(lowest, highest)
    assert low <= lowest
    assert highest <= high
    assert low < high
    assert step >= 1
    assert (high - low) % step == 0
    assert 1 <= (high - low) // step <= 6


def test_another_period_swaps_the_chart_alone(client: Client, scored: Enrichment) -> None:
    url = reverse("enrichments:detail", args=[scored.uuid])
    headers = {"HX-Request": "true", "HX-Target": "enrichment-chart"}
    answer: Any = client.get(url, {"days": "30"}, headers=headers)
    assert answer.content.decode().lstrip().startswith('<section class="card" id="enrichment-chart">')
    answer = client.get(url, {"page": "2"}, headers={"HX-Request": "true", "HX-Target": "run-history"})
    assert answer.content.decode().lstrip().startswith('<div id="run-history"')


# ---- people's data (rule S12)


def test_the_preview_is_asked_for_and_recorded(client: Client, contributor: User, scored: Enrichment) -> None:
    page = page_of(client, scored)
    assert "Show a preview" in page
    assert ">c3<" not in page
    assert not AuditEntry.objects.filter(action="table.sample_viewed").exists()
    preview = page_of(client, scored, preview="1").split('id="preview"')[1]
    assert re.findall(r'<td class="nowrap">(c\d)</td>', preview) == ["c1", "c2", "c3"]
    entry = AuditEntry.objects.get(action="table.sample_viewed")
    assert (entry.actor_id, entry.details["name"]) == (contributor.pk, "Churn_scores")


def test_a_viewer_never_sees_people(client_of: Clients, viewer: User, scored: Enrichment) -> None:
    page = page_of(client_of(viewer), scored, preview="1")
    assert 'id="preview"' not in page
    assert ">c3<" not in page
    assert '<p class="result-number num">3</p>' in page
    assert not AuditEntry.objects.filter(action="table.sample_viewed").exists()


def test_a_viewer_is_not_told_where_the_file_lies(
    client_of: Clients, viewer: User, scored: Enrichment
) -> None:
    page = page_of(client_of(viewer), scored)
    assert "CustomEnrichmentData.csv" not in page
    assert "Scores, data science" in page


def test_only_administrators_get_to_the_connection(
    client: Client, client_of: Clients, admin: User, scored: Enrichment
) -> None:
    assert "/settings/connections/" not in page_of(client, scored)
    assert f"/settings/connections/{scored.connection.uuid}/" in page_of(client_of(admin), scored)  # type: ignore[union-attr]


def test_a_table_that_cannot_be_read_says_so(
    client: Client, enrichment: Enrichment, make_enrichment_run: MakeRun
) -> None:
    make_enrichment_run(enrichment, RunState.WARNINGS)  # and no file
    page = page_of(client, enrichment, preview="1")
    assert "It cannot be read" in page


def test_asking_for_the_head_records_nothing(client: Client, scored: Enrichment) -> None:
    client.head(reverse("enrichments:detail", args=[scored.uuid]), {"preview": "1"})
    assert not AuditEntry.objects.filter(action="table.sample_viewed").exists()
