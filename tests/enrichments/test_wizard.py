"""*Add enrichment* and *Edit*: steps that keep everything, answers that are checked again, one write at the end."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from connections.models import Connection
from connections_portal.models import AuditEntry, User
from enrichments.models import Enrichment, EnrichmentRun
from tests.enrichments.making import FILE, TYPE
from tests.enrichments.wizarding import URL, answers, edit_url, hidden, step_of, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("customers")]
Clients = Callable[[User | None], Client]


@pytest.fixture
def client(client_of: Clients, contributor: User) -> Client:
    return client_of(contributor)


# ---- forward and back


def test_it_begins_with_the_overview_and_writes_nothing(client: Client, source: Connection) -> None:
    page = text(client.get(URL))
    assert step_of(page) == "Overview"
    assert "Imports a prepared data file" in page
    for title in ("Overview", "Connect", "Customer data set", "Location", "Review and run"):
        assert title in page
    assert page.count('aria-current="step"') == 1
    assert not Enrichment.objects.exists()


def test_the_only_connection_is_chosen_already(client: Client, source: Connection) -> None:
    page = text(client.get(URL, {"at": "overview", "go": "connect"}))
    assert step_of(page) == "Connect"
    assert f'<option value="{source.uuid}" selected>' in page


def test_each_step_leads_to_the_next_and_keeps_what_was_answered(client: Client, source: Connection) -> None:
    sent = {"at": "connect", "connection": str(source.uuid)}
    page = text(client.get(URL, sent | {"go": "data_set"}))
    assert step_of(page) == "Customer data set"
    assert hidden(page, "connection") == str(source.uuid)
    assert "Customer table (4 customers)" in page
    assert "Loyal (3 members)" in page
    sent |= {"at": "data_set", "data_set": "segment:loyal"}
    page = text(client.get(URL, sent | {"go": "location"}))
    assert step_of(page) == "Location"
    assert hidden(page, "data_set") == "segment:loyal"
    sent |= {"at": "location", "option_path": "scores", "option_filename": "crm_scores.csv"}
    page = text(client.get(URL, sent | {"go": "review"}))
    assert step_of(page) == "Review and run"
    assert "Scores, data science" in page
    assert "Loyal" in page
    assert "crm_scores.csv" in page
    assert 'name="name" value="Crm scores, Loyal"' in page
    assert 'name="table_name" value="Crm_scores_Loyal"' in page


@pytest.mark.parametrize("step", ["overview", "connect", "data_set", "location"])
def test_going_back_keeps_everything_that_was_typed(client: Client, source: Connection, step: str) -> None:
    sent = answers(source, name="Typed", table_name="Typed_too", option_filename="../not right")
    response = client.get(URL, sent | {"go": step})
    page = text(response)
    assert response.status_code == 200
    assert hidden(page, "name") == "Typed"
    assert hidden(page, "table_name") == "Typed_too"
    assert 'value="../not right"' in page
    assert hidden(page, "reached") == "review"


def test_the_same_address_gives_the_same_page(client: Client, source: Connection) -> None:
    """What *Back* of a browser asks for: steps are plain GETs with everything in the address."""
    sent = answers(source) | {"at": "data_set", "go": "location"}
    first, second = text(client.get(URL, sent)), text(client.get(URL, sent))
    assert step_of(first) == step_of(second) == "Location"
    assert hidden(first, "name") == "Churn scores"


def test_no_token_of_a_form_is_ever_in_an_address(client: Client, source: Connection) -> None:
    page = text(client.get(URL, answers(source) | {"go": "review"}))
    wizard = page.split('<form class="wizard"', 1)[1].split("</form>", 1)[0]
    assert 'method="get"' in wizard
    assert '<input type="hidden" name="csrfmiddlewaretoken"' not in wizard
    for button in re.findall(r"<button[^>]*csrfmiddlewaretoken[^>]*>", wizard):
        assert 'formmethod="post"' in button


def test_the_name_of_the_table_follows_until_it_is_typed(client: Client, source: Connection) -> None:
    sent = answers(source, name="Loyalty tiers", table_name="Crm_scores", suggested="Crm_scores")
    assert 'name="table_name" value="Loyalty_tiers"' in text(client.get(URL, sent | {"go": "review"}))
    sent = answers(source, name="Loyalty tiers", table_name="My_own", suggested="Crm_scores")
    assert 'name="table_name" value="My_own"' in text(client.get(URL, sent | {"go": "review"}))


def test_the_name_comes_from_the_table_when_only_that_was_typed(client: Client, source: Connection) -> None:
    sent = answers(source, name="", table_name="My_own", suggested="Crm_scores")
    assert 'name="name" value="My own"' in text(client.get(URL, sent | {"go": "review"}))


def test_suggested_names_are_free(client: Client, enrichment: Enrichment, source: Connection) -> None:
    sent = answers(source, name="", table_name="", option_filename="churn_scores.csv", data_set="customers")
    page = text(client.get(URL, sent | {"go": "review"}))
    assert 'name="name" value="Churn scores 2"' in page
    assert 'name="table_name" value="Churn_scores_2"' in page


# ---- what is not right is said at its step


@pytest.mark.parametrize(
    ("name", "value", "step", "message"),
    [
        ("connection", "", "Connect", "Choose a connection."),
        ("connection", "no uuid", "Connect", "This connection is not offered any more."),
        ("data_set", "", "Customer data set", "Choose the Customer table or a segment."),
        ("data_set", "segment:nobody", "Customer data set", "This segment no longer exists."),
        (
            "data_set",
            "table:orders",
            "Customer data set",
            "Choose the Customer table or a segment from the list.",
        ),
        (
            "data_set",
            "segment:\0",
            "Customer data set",
            "Choose the Customer table or a segment from the list.",
        ),
        ("option_filename", "", "Location", "Enter the file's name."),
        ("option_filename", "../../etc/passwd", "Location", "This is not a file's name."),
        ("option_filename", "x" * 999, "Location", "at most"),
        ("option_path", "a/../b", "Location", "A folder above another one (..) cannot be used."),
        ("name", "", "Review and run", "Enter a name."),
        ("name", "x" * 101, "Review and run", "100 are allowed"),
        ("name", "zero\u200bwidth", "Review and run", "cannot be seen"),
        ("table_name", "", "Review and run", "Enter a name for the output table."),
        ("table_name", "1st", "Review and run", "begin with a letter"),
        ("table_name", "customer", "Review and run", "The customer data has a table with this name."),
        ("table_name", "Orders", "Review and run", "The customer data has a table with this name."),
    ],
)
def test_a_wrong_answer_is_an_error_at_its_step(
    client: Client, source: Connection, name: str, value: str, step: str, message: str
) -> None:
    response = client.post(URL, answers(source, **{name: value}))
    page = text(response)
    assert response.status_code == 422
    assert step_of(page) == step
    assert "has-error" in page
    assert message in page
    assert not Enrichment.objects.exists()
    if step != "Review and run":
        assert hidden(page, "name") == "Churn scores"  # what was typed elsewhere is kept


def test_next_stops_at_the_first_step_that_is_not_right(client: Client, source: Connection) -> None:
    response = client.get(URL, answers(source, connection="") | {"at": "location", "go": "review"})
    assert response.status_code == 422
    assert step_of(text(response)) == "Connect"


def test_a_connection_that_is_removed_in_another_window(client: Client, source: Connection) -> None:
    source.delete()
    response = client.post(URL, answers(source))
    assert (response.status_code, step_of(text(response))) == (422, "Connect")
    assert "There is no SFTP Custom Import connection ready" in text(response)


def test_a_connection_of_another_type_is_not_offered(client: Client, source: Connection, admin: User) -> None:
    from connections.models import Access
    from tests.factories import make_connection

    other = make_connection(actor=admin, access=Access.CONTRIBUTORS)
    response = client.post(URL, answers(other))
    assert (response.status_code, step_of(text(response))) == (422, "Connect")


def test_customer_data_that_cannot_be_read(client: Client, source: Connection, customers: Path) -> None:
    customers.rename(customers.with_name("away"))
    response = client.get(URL, answers(source) | {"at": "data_set", "go": "location"})
    assert (response.status_code, step_of(text(response))) == (422, "Customer data set")
    assert "The customer data cannot be read" in text(response)


@pytest.mark.parametrize(
    "params",
    [
        {"go": "nowhere"},
        {"at": "x", "go": "review"},
        {"reached": "é\0"},
        {"go": "review"},
        {"version": "9" * 99},
    ],
)
def test_an_odd_address_shows_a_step(client: Client, source: Connection, params: dict[str, str]) -> None:
    assert client.get(URL, params).status_code in (200, 422)


def test_a_type_that_brings_nothing_is_not_found(client: Client) -> None:
    assert client.get(reverse("enrichments:set_up", args=["sftp"])).status_code == 404
    assert client.get(reverse("enrichments:set_up", args=["unknown"])).status_code == 404


# ---- saving


def test_save_makes_the_enrichment(client: Client, source: Connection, contributor: User) -> None:
    response = client.post(URL, answers(source))
    made = Enrichment.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/data/enrichment/{made.uuid}/")
    assert (made.name, made.table_name, made.segment, made.active) == (
        "Churn scores",
        "Churn_scores",
        "loyal",
        True,
    )
    assert made.options == FILE
    assert (made.connection, made.responsible) == (source, contributor)
    assert not EnrichmentRun.objects.exists()
    assert AuditEntry.objects.filter(action="enrichment.created").count() == 1


def test_save_and_run_leads_to_the_run(client: Client, source: Connection) -> None:
    response = client.post(f"{URL}?run=1", answers(source))
    run = EnrichmentRun.objects.get()
    assert response["Location"] == f"/data/enrichment/{run.enrichment.uuid}/runs/{run.uuid}/"


def test_pressed_twice_it_is_saved_once(client: Client, source: Connection) -> None:
    first, second = client.post(f"{URL}?run=1", answers(source)), client.post(f"{URL}?run=1", answers(source))
    assert first["Location"] == second["Location"]
    assert (Enrichment.objects.count(), EnrichmentRun.objects.count()) == (1, 1)


def test_a_name_that_is_taken(client: Client, source: Connection, enrichment: Enrichment) -> None:
    response = client.post(URL, answers(source, name="CHURN scores", table_name="Other"))
    assert (response.status_code, step_of(text(response))) == (422, "Review and run")
    assert "An enrichment already has this name." in text(response)
    assert 'value="CHURN scores"' in text(response)
    response = client.post(URL, answers(source, name="Other", table_name="churn_SCORES"))
    assert "Another enrichment writes a table with this name." in text(response)


def test_no_room_left(
    client: Client, source: Connection, enrichment: Enrichment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connections.connectors.base import Limits
    from connections.connectors.sftp_custom_import import SftpCustomImport

    monkeypatch.setattr(SftpCustomImport, "limits", Limits(max_enrichments=1))
    assert "There is 1 enrichment of this type" in text(client.get(URL))
    response = client.post(URL, answers(source, name="Other", table_name="Other"))
    assert response.status_code == 422
    assert "that is all it allows" in text(response)
    assert Enrichment.objects.count() == 1


# ---- a connection from inside the wizard


def test_an_administrator_adds_a_connection_and_comes_back(
    client_of: Clients, admin: User, source: Connection
) -> None:
    client = client_of(admin)
    response = client.post(f"{URL}?add_connection=1", answers(source, at="connect"))
    assert response["Location"] == f"/settings/connections/new/{TYPE}/?then=choose"
    back = client.session["set_up_return"]
    session = client.session
    session["set_up_connection"] = str(source.uuid)
    session.save()
    page = text(client.get(back))
    assert step_of(page) == "Connect"
    assert f'<option value="{source.uuid}" selected>' in page
    assert hidden(page, "name") == "Churn scores"


def test_a_contributor_adds_none(client: Client, source: Connection) -> None:
    assert client.post(f"{URL}?add_connection=1", answers(source)).status_code == 403
    page = text(client.get(URL, {"at": "overview", "go": "connect"}))
    assert "Connections are set up by administrators: Lena Hofmann." in page
    assert "Add connection" not in page


def test_a_viewer_has_no_wizard(client_of: Clients, viewer: User, enrichment: Enrichment) -> None:
    assert client_of(viewer).get(URL).status_code == 403
    assert client_of(viewer).get(edit_url(enrichment)).status_code == 403


def test_the_longest_answers_fit_into_an_address(client: Client, source: Connection) -> None:
    """The web server takes 8190 bytes (docs/operating.md); each input ends before that, in any script."""
    page = text(client.get(URL, answers(source) | {"at": "review", "go": "location"}))
    page += text(client.get(URL, answers(source) | {"go": "review"}))
    most = {
        field: int(length)
        for field, length in re.findall(r'<input[^>]*name="(\w+)"[^>]*maxlength="(\d+)"', page)
    }
    assert set(most) == {"option_path", "option_filename", "name", "table_name"}
    longest = answers(source, data_set=f"segment:{'x' * 200}", suggested="x" * 60)
    longest |= {field: "字" * length for field, length in most.items()}
    assert len(f"GET {URL}?{urlencode(longest | {'go': 'review', 'version': '9' * 9})} HTTP/1.1") < 8190
