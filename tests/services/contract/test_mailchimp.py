"""Mailchimp's requests against the description of its Marketing API, and field by field.

The description has no ``required`` for members: what has to be in them is compared with the documented fields here.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connections.connectors.base import StepStatus
from connections.connectors.mailchimp import EXISTS, Mailchimp
from connections.connectors.records import Rejection
from connections.outgoing import gateway
from tests.services.contract import descriptions
from tests.services.contract.conftest import Described
from tests.services.contract.records import chunk_of_people

SETTINGS = {"data_center": "us21"}
SECRETS = {"api_key": "0123456789abcdef0123456789abcdef-us21"}
ADDED = (("POINTS", "points"), ("SHARE", "share"), ("VIP", "vip"), ("BORN", "born"), ("SEEN", "seen"))
MAPPING = (("email", "email"), ("first_name", "first"), ("last_name", "last"))


@pytest.fixture
def mailchimp(described: Callable[[str], Described], monkeypatch: pytest.MonkeyPatch) -> Described:
    service = described("mailchimp")
    monkeypatch.setattr(Mailchimp, "base_url", service.url)
    return service


def test_verify_asks_what_is_described(mailchimp: Described) -> None:
    steps = list(Mailchimp(SETTINGS, SECRETS, gateway()).verify())
    assert [step.status for step in steps] == [StepStatus.DONE] * 3
    mailchimp.assert_all_as_described()


@pytest.mark.parametrize("status", ["subscribed", "pending"])
@pytest.mark.parametrize(("mapping", "added"), [(MAPPING, ADDED), (MAPPING[:1], ())])
def test_members_are_as_described(
    mailchimp: Described, people: Path, status: str, mapping: Any, added: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = Mailchimp(SETTINGS, SECRETS, gateway())
    options = {"audience": "abc123def4", "status": status}
    # everybody is there already: so the second request is made too
    refusals = "connections.connectors.mailchimp.refusals"
    with connector.push(options, run="run", check=lambda: None) as delivery:
        with monkeypatch.context() as there:
            there.setattr(refusals, everybody_exists)
            delivery.send(chunk_of_people(Mailchimp, mapping, added))
        delivery.finish()
    mailchimp.assert_all_as_described()
    _look, new, old = mailchimp.exchanges
    assert (new.method, old.method) == ("POST", "POST")
    operation = descriptions.read("mailchimp.json")["paths"]["/lists/{list_id}"]["post"]
    body = next(p["schema"] for p in operation["parameters"] if p["in"] == "body")
    member = body["properties"]["members"]["items"]["properties"]
    for exchange, existing in ((new, False), (old, True)):
        sent = json.loads(exchange.body)
        assert set(sent) <= set(body["properties"])
        assert sent["update_existing"] is existing
        assert len(sent["members"]) == 3
        for one in sent["members"]:
            assert set(one) <= set(member), "a field that the description does not know"
            assert ("status" in one) is not existing
            assert one.get("status", status) == status
            assert "@" in one["email_address"]
            assert all(isinstance(value, str) for value in one.get("merge_fields", {}).values())


def test_the_documented_answers_are_read(ports: Mapping[str, int]) -> None:
    """Names that the code reads stand in the description: a change there is seen here."""
    operation = descriptions.read("mailchimp.json")["paths"]["/lists/{list_id}"]["post"]
    answer = operation["responses"]["200"]["schema"]["properties"]
    assert {"new_members", "updated_members", "errors", "total_created", "total_updated"} <= set(answer)
    error = answer["errors"]["items"]["properties"]
    assert {"email_address", "error", "error_code", "field_message"} <= set(error)
    assert EXISTS.upper() in error["error_code"]["enum"]
    problem = operation["responses"]["default"]["schema"]["properties"]
    assert {"title", "detail"} <= set(problem)


def everybody_exists(said: Any, asked: dict[str, int]) -> list[Rejection]:
    return [Rejection(index=index, code=EXISTS) for index in asked.values()]
