"""A connection to Mailchimp or HubSpot from the form to *Save*, and an export on it: what is wrong is told in place."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from connections.connectors.hubspot import HubSpot
from connections.connectors.mailchimp import Mailchimp
from connections.models import Access, Connection
from connections_portal.models import User
from exports.models import Export
from tests.connections.conftest import Clients
from tests.connections.filling import SetUp, error_at, steps, text_of
from tests.exports.filling import filled, text
from tests.factories import make_connection
from tests.services import test_hubspot, test_mailchimp
from tests.services.people import write_many
from tests.services.serving import Service

pytestmark = pytest.mark.django_db

FORMS = {
    "mailchimp": {"data_center": "us21", "api_key": test_mailchimp.KEY},
    "hubspot": {"account": "12345678", "access_token": test_hubspot.TOKEN},
}
SECRETS = {"mailchimp": "api_key", "hubspot": "access_token"}


@pytest.fixture(autouse=True)
def reached(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mailchimp, "base_url", f"{service.url}/3.0")
    monkeypatch.setattr(HubSpot, "base_url", service.url)


def verify(client: Client, key: str, **changes: str) -> Any:
    form = {"action": "verify", "name": f"Our {key}", "access": "administrators", **FORMS[key], **changes}
    return client.post(f"/settings/connections/new/{key}/", form)


@pytest.mark.parametrize("key", FORMS)
def test_it_is_verified_and_saved_and_the_secret_comes_back_nowhere(
    key: str, service: Service, admin: User, client_of: Clients
) -> None:
    service.answer = test_mailchimp.Audience() if key == "mailchimp" else test_hubspot.Account()
    form = SetUp(client_of(admin), url=f"/settings/connections/new/{key}/")
    secret = FORMS[key][SECRETS[key]]
    form.typed = {"access": "administrators", "name": f"Our {key}", **FORMS[key]}
    form.verify()
    assert steps(form.page) == ["ok"] * 3, text_of(form.page)
    form.typed.pop(SECRETS[key])
    form.agree().save()
    assert form.answer.status_code == 303, text_of(form.page)
    connection = Connection.objects.get()
    assert (connection.type_key, connection.state) == (key, "ready")
    assert not [page for page in form.seen if secret in page]


@pytest.mark.parametrize(
    ("key", "field", "typed"),
    [
        ("mailchimp", "data_center", "us21.evil.example/"),
        ("mailchimp", "data_center", "us21#"),
        ("mailchimp", "data_center", "127.0.0.1:"),
        ("mailchimp", "api_key", "no key"),
        ("mailchimp", "api_key", "0123456789abcdef0123456789abcdef"),
        ("hubspot", "account", "12 34"),
        ("hubspot", "account", "1/../2"),
        ("hubspot", "access_token", "x"),
        ("hubspot", "access_token", "pat-eu1-0123456789\r\nX-Other: 1"),
    ],
)
def test_what_cannot_be_right_is_told_at_its_field_and_nothing_is_asked(
    key: str, field: str, typed: str, service: Service, admin: User, client_of: Clients
) -> None:
    answer = verify(client_of(admin), key, **{field: typed})
    assert answer.status_code == 422
    assert error_at(text(answer), field)
    assert service.asked == []


@pytest.fixture
def export_form(admin: User, tmp_path: Path, settings: Settings) -> dict[str, object]:
    """What a browser sends of a right export of everyone to an audience."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'people'}"
    write_many(tmp_path / "people", 2)
    connection = make_connection(
        actor=admin,
        type_key="mailchimp",
        access=Access.CONTRIBUTORS,
        settings={"data_center": "us21"},
        secrets={"api_key": test_mailchimp.KEY},
    )
    values = {
        k: v for k, v in filled(connection).items() if not k.startswith(("option_", "fields:", "shown"))
    }
    return values | {
        "items": ["segment:everyone"],
        "option_audience": " abc123def4 ",
        "option_status": "pending",
        "map:email": "email",
        "added_name": ["TOWN"],
        "added_field": ["email"],
    }


def test_an_export_to_an_audience_is_saved(
    export_form: dict[str, object], contributor: User, client_of: Clients
) -> None:
    answer = client_of(contributor).post(reverse("exports:create"), export_form)
    assert answer.status_code in (302, 303), text(answer)
    assert Export.objects.get().options == {"audience": "abc123def4", "status": "pending"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"option_audience": "../lists"}, "An audience ID has 6 to 20 small letters and digits."),
        ({"option_audience": ""}, "option_audience"),
        ({"added_name": ["town"]}, "A merge tag of the audience: up to 10 capital letters"),
        ({"added_name": ["fname"]}, "This field has a line of its own above."),
    ],
)
def test_what_is_wrong_with_an_export_is_told_and_nothing_is_saved(
    export_form: dict[str, object],
    contributor: User,
    client_of: Clients,
    changes: dict[str, object],
    words: str,
) -> None:
    answer = client_of(contributor).post(reverse("exports:create"), export_form | changes)
    assert answer.status_code == 422
    assert words in text(answer)
    assert not Export.objects.exists()
