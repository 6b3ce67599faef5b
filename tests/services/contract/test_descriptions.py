"""The descriptions themselves are awake: each operation that is used refuses what is wrong.

A description whose schemas do not compile accepts everything without a word; then no other test here means anything.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import urllib3

from connections.connectors import hubspot
from tests.services.contract import descriptions

LIST = ("mailchimp", "POST", "/lists/{list_id}", "/lists/abc123def4")
UPSERT = ("hubspot", "POST", hubspot.UPSERT, hubspot.UPSERT)
ADD = ("hubspot", "PUT", "/crm/v3/lists/{listId}/memberships/add", "/crm/v3/lists/42/memberships/add")

# What the connectors use: method, path as it is described and as it is asked, and a body that is wrong in one place.
USED: list[tuple[str, str, str, str, Any]] = [
    ("mailchimp", "GET", "/ping", "/ping", None),
    ("mailchimp", "GET", "/lists/{list_id}", "/lists/abc123def4", None),
    (*LIST, {"update_existing": True}),
    (*LIST, {"members": [{"status": "friend"}]}),
    (*LIST, {"members": [{"email_address": 1}]}),
    (*LIST, {"members": [], "update_existing": "no"}),
    ("hubspot", "GET", "/crm/v3/properties/{objectType}", "/crm/v3/properties/contacts", None),
    ("hubspot", "GET", "/crm/v3/lists/{listId}", "/crm/v3/lists/42", None),
    (*UPSERT, {"records": []}),
    (*UPSERT, {"inputs": [{"id": "a@x.org"}]}),
    (*UPSERT, {"inputs": [{"properties": {}}]}),
    (*UPSERT, {"inputs": [{"id": "a@x.org", "properties": {"points": 10}}]}),
    (*UPSERT, {"inputs": [{"id": "a@x.org", "idProperty": 1, "properties": {}}]}),
    (*ADD, {"recordIdsToAdd": ["1"]}),
    (*ADD, [1]),
]
RIGHT = {"mailchimp": {"authorization": "Basic YW55OmtleQ=="}, "hubspot": {"authorization": "Bearer token"}}


def ask(ports: Mapping[str, int], name: str, method: str, path: str, **how: Any) -> urllib3.BaseHTTPResponse:
    headers = {"accept": "application/json", **RIGHT[name], **how.pop("headers", {})}
    return urllib3.PoolManager(retries=False).request(
        method, f"http://127.0.0.1:{ports[name]}{path}", headers=headers, **how
    )


@pytest.mark.parametrize(("name", "method", "described", "path", "wrong"), USED)
def test_each_operation_that_is_used_is_described_and_refuses_what_is_wrong(
    ports: Mapping[str, int], name: str, method: str, described: str, path: str, wrong: Any
) -> None:
    listed = {(m, p) for m, p, _operation in descriptions.operations(descriptions.SERVICES[name])}
    assert (method, described) in listed
    unsigned = ask(ports, name, method, path, headers={"authorization": ""})
    assert unsigned.status == 401
    if wrong is None:
        answer = ask(ports, name, method, path)
        assert answer.status == 200, answer.data
        assert "sl-violations" not in answer.headers
        return
    for body in (json.dumps(wrong), '"text"', "true"):
        answer = ask(ports, name, method, path, body=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status < 500, body
        assert answer.headers["sl-violations"], body


def test_what_is_not_described_is_not_answered(ports: Mapping[str, int]) -> None:
    for name in descriptions.SERVICES:
        assert ask(ports, name, "GET", "/nothing/here").status == 404


def test_why_they_are_skipped_is_said_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CONTRACT_SPECS", str(tmp_path))
    why = descriptions.missing()
    assert "mailchimp.json" in why
    assert "CONTRACT_SPECS" in why
    monkeypatch.delenv("CONTRACT_SPECS")
    assert descriptions.folder().parts[-2:] == ("shared", "specs")


def test_parts_are_pinned_and_name_no_place_to_get_them_from() -> None:
    wanted = json.loads((descriptions.HERE / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    lock = json.loads((descriptions.HERE / "package-lock.json").read_text())
    assert lock["packages"][""]["dependencies"] == wanted
    parts = {path: part for path, part in lock["packages"].items() if path}
    assert len(parts) > 50
    assert all(part["integrity"].startswith("sha512-") for part in parts.values())
    assert not [path for path, part in parts.items() if "resolved" in part]
