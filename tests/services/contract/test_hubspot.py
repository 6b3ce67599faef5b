"""HubSpot's requests against its descriptions of contacts, lists and properties."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connections.connectors import hubspot
from connections.connectors.base import StepStatus
from connections.connectors.http.client import HttpService
from connections.connectors.hubspot import HubSpot
from connections.outgoing import gateway
from tests.services.contract import descriptions
from tests.services.contract.conftest import Described
from tests.services.contract.records import chunk_of_people

SETTINGS = {"account": "12345678"}
SECRETS = {"access_token": "pat-eu1-01234567-89ab-cdef-0123-456789abcdef"}
MAPPING = (
    ("email", "email"),
    ("first_name", "first"),
    ("last_name", "last"),
    ("phone", "phone"),
    ("company", "firm"),
)
ADDED = tuple((name, name) for name in ("points", "share", "vip", "born", "seen"))


@pytest.fixture
def contacts(described: Callable[[str], Described], monkeypatch: pytest.MonkeyPatch) -> Described:
    """The account's details are in no description here: a fake answers for them in ``test_hubspot.py`` above."""

    def same(service: HttpService, account: str) -> None:
        """The account is the right one."""

    service = described("hubspot")
    monkeypatch.setattr(HubSpot, "base_url", service.url)
    monkeypatch.setattr(hubspot, "_require_account", same)
    return service


def test_verify_asks_what_is_described(contacts: Described) -> None:
    steps = list(HubSpot(SETTINGS, SECRETS, gateway()).verify())
    assert [step.status for step in steps] == [StepStatus.DONE] * 3
    contacts.assert_all_as_described()


@pytest.mark.parametrize(("mapping", "added"), [(MAPPING, ADDED), (MAPPING[:1], ())])
def test_contacts_and_members_of_a_list_are_as_described(
    contacts: Described, people: Path, mapping: Any, added: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the description answers with made-up contacts: whom they are is put in, so that the list is asked too
    everybody = {0: "101", 1: "102", 2: "103"}
    monkeypatch.setattr(hubspot, "read_upserted", lambda said, asked, partly: (everybody, []))
    connector = HubSpot(SETTINGS, SECRETS, gateway())
    with connector.push({"list": "42"}, run="run", check=lambda: None) as delivery:
        outcome = delivery.send(chunk_of_people(HubSpot, mapping, added))
        delivery.finish()
    contacts.assert_all_as_described()
    look, upsert, add = contacts.exchanges
    assert (look.method, upsert.method, add.method) == ("GET", "POST", "PUT")
    schemas = descriptions.read("hubspot-contacts.json")["components"]["schemas"]
    known = set(schemas["SimplePublicObjectBatchInputUpsert"]["properties"])
    inputs = json.loads(upsert.body)["inputs"]
    assert len(inputs) == 3
    for given in inputs:
        assert set(given) == known
        assert given["idProperty"] == "email"
        assert given["properties"]["email"] == given["id"]
        assert set(given["properties"]) <= {
            "email",
            "firstname",
            "lastname",
            "phone",
            "company",
            *dict(added),
        }
    assert json.loads(add.body) == ["101", "102", "103"]
    assert outcome.rejected == ()


def test_the_documented_answers_are_read(ports: Mapping[str, int]) -> None:
    """Names that the code reads stand in the description: a change there is seen here."""
    schemas = descriptions.read("hubspot-contacts.json")["components"]["schemas"]
    answer = schemas["BatchResponseSimplePublicUpsertObjectWithErrors"]["properties"]
    assert {"results", "errors"} <= set(answer)
    assert {"id", "properties", "objectWriteTraceId"} <= set(
        schemas["SimplePublicUpsertObject"]["properties"]
    )
    assert {"category", "message", "context", "errors", "id"} <= set(schemas["StandardError"]["properties"])
    lists = descriptions.read("hubspot-lists.json")["components"]["schemas"]
    assert "recordIdsMissing" in lists["MembershipsUpdateResponse"]["properties"]
    assert "processingType" in lists["PublicObjectList"]["properties"]
    assert "list" in lists["ListFetchResponse"]["properties"]
