"""HubSpot, against a fake that keeps contacts as the vendor's description of the batch upsert says it does.

Source of the fake's answers: HubSpot's description of Contacts v3 (200 and 207 with ``results`` and ``errors``, the
error document), of Lists v3 (``MembershipsUpdateResponse``), and the page of the account's details.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from connections.connectors.base import StepStatus
from connections.connectors.http.pace import Window
from connections.connectors.hubspot import HubSpot, read_upserted
from connections.outgoing import gateway
from connections_portal.errors import OperationError
from connections_portal.models import RunState, User
from exports.models import Export
from tests.runs.helpers import carry, start
from tests.services.people import ADDED, counted, export_of_everyone, refused, write_many, write_people
from tests.services.serving import Asked, Reply, Service

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "pat-eu1-01234567-89ab-cdef-0123-456789abcdef"
SETTINGS = {"account": "12345678"}
UPSERT = "/crm/v3/objects/contacts/batch/upsert"
TIMES = {"startedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:01Z"}


class Account:
    """Contacts by address and members of lists. ``bad`` addresses are refused one by one, ``poison`` with the batch."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, str]] = {}
        self.lists: dict[str, list[str]] = {"42": []}
        self.kinds = {"42": "MANUAL"}
        self.bad: set[str] = set()
        self.poison: set[str] = set()
        self.named_by = "trace"
        self.forgotten: set[str] = set()

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, {"category": "INVALID_AUTHENTICATION", "message": f"Not {TOKEN}."})
        path = asked.path.partition("?")[0]
        if path == "/account-info/v3/details":
            return Reply(data={"portalId": 12345678, "accountType": "STANDARD"})
        if path == "/crm/v3/properties/contacts":
            return Reply(data={"results": []})
        if path == UPSERT:
            return self.upsert(asked.json()["inputs"])
        _empty, _crm, _v3, _lists, number, *rest = path.split("/")
        if number not in self.lists:
            return Reply(404, {"category": "OBJECT_NOT_FOUND", "message": "List does not exist."})
        if not rest:
            return Reply(data={"list": {"listId": number, "processingType": self.kinds[number]}})
        added = [contact for contact in asked.json() if contact not in self.forgotten]
        self.lists[number] += added
        missing = [contact for contact in asked.json() if contact in self.forgotten]
        return Reply(data={"recordsIdsAdded": added, "recordIdsMissing": missing, "recordIdsRemoved": []})

    def upsert(self, inputs: list[dict[str, Any]]) -> Reply:
        ids = [given["id"] for given in inputs]
        assert len(set(ids)) == len(ids) <= 100
        if spoiled := self.poison & set(ids):
            message = f"Property values were not valid: {sorted(spoiled)[0]} is no address"
            return Reply(
                400,
                {
                    "status": "error",
                    "category": "VALIDATION_ERROR",
                    "message": message,
                    "correlationId": f"differs-{len(ids)}",
                },
            )
        results, errors = [], []
        for given in reversed(inputs):
            assert given["idProperty"] == "email"
            assert all(isinstance(value, str) for value in given["properties"].values())
            if given["id"] in self.bad:
                errors.append(self.error(given))
                continue
            new = given["id"] not in self.contacts
            self.contacts.setdefault(given["id"], {}).update(given["properties"])
            number = str(1000 + list(self.contacts).index(given["id"]))
            results.append(
                {
                    "id": number,
                    "properties": {"email": given["id"], "hs_object_id": number},
                    "new": new,
                    "objectWriteTraceId": given["objectWriteTraceId"],
                }
            )
        said: dict[str, Any] = {"status": "COMPLETE", "results": results, **TIMES}
        return Reply(207, said | {"errors": errors, "numErrors": len(errors)}) if errors else Reply(data=said)

    def error(self, given: Mapping[str, Any]) -> dict[str, Any]:
        context = {
            "trace": {"objectWriteTraceId": [given["objectWriteTraceId"]]},
            "id": {"ids": [given["id"]]},
        }
        return {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": f"{given['id']} is invalid",
            "context": context.get(self.named_by, {}),
        }


@pytest.fixture
def account(service: Service, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(HubSpot, "base_url", service.url)
    monkeypatch.setattr(HubSpot, "windows", (Window(requests=1_000, seconds=1.0),))
    service.answer = account = Account()
    return account


@pytest.fixture
def people(tmp_path: Path, settings: Settings) -> Path:
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'people'}"
    return tmp_path / "people"


def make(admin: User, **how: Any) -> Export:
    options = how.pop("options", {})
    return export_of_everyone(
        admin, "hubspot", settings=SETTINGS, secrets={"access_token": TOKEN}, options=options, **how
    )


def test_contacts_are_created_with_every_field_as_text(account: Account, people: Path, admin: User) -> None:
    write_people(people)
    mapping = [
        ("email", "email"),
        ("first_name", "first"),
        ("last_name", "last"),
        ("phone", "phone"),
        ("company", "firm"),
    ]
    run = start(make(admin, mapping=mapping, added=[(name, name) for name in ADDED]))
    assert carry(run) == RunState.SUCCESSFUL
    assert counted(run) == (5, 5, 3, 0, 2)
    assert sorted(account.contacts) == ["ana@example.com", "bo@example.com", "zoë@exämple.org"]
    assert account.contacts["ana@example.com"] == {
        "email": "ana@example.com",
        "firstname": "Ana",
        "lastname": "Łódź",
        "phone": "+442079460958",
        "company": "Contoso",
        "points": "10",
        "share": "0.5",
        "vip": "true",
        "born": "1990-02-28",
        "seen": "2026-01-02T03:04:05Z",
    }
    assert account.contacts["bo@example.com"] == {"email": "bo@example.com", "vip": "false"}
    assert account.lists == {"42": []}


@pytest.mark.parametrize("named_by", ["trace", "id", "nothing"])
def test_some_are_refused_however_the_answer_names_them(
    account: Account, service: Service, people: Path, admin: User, named_by: str
) -> None:
    write_many(people, 250)
    account.named_by = named_by
    account.bad = {"n0007@example.com", "n0123@example.com"}
    run = start(make(admin))
    assert carry(run) == RunState.WARNINGS
    assert counted(run) == (250, 250, 248, 2, 0)
    assert refused(run) == dict.fromkeys(("p0007", "p0123"), ("validation_error", "… is invalid"))
    sizes = [len(asked.json()["inputs"]) for asked in service.asked if asked.path == UPSERT]
    assert sorted(sizes) == [50, 100, 100]


def test_those_that_spoil_a_batch_are_found_and_the_others_arrive(
    account: Account, service: Service, people: Path, admin: User
) -> None:
    write_many(people, 100)
    account.poison = {"n0000@example.com", "n0050@example.com", "n0099@example.com"}
    run = start(make(admin))
    assert carry(run) == RunState.WARNINGS
    assert counted(run) == (100, 100, 97, 3, 0)
    words = "Property values were not valid: … is no address"
    assert refused(run) == dict.fromkeys(("p0000", "p0050", "p0099"), ("refused", words))
    assert len(account.contacts) == 97
    assert len(service.asked) <= 60


def test_where_it_is_not_the_records_the_run_ends_soon_and_says_why(
    account: Account, service: Service, people: Path, admin: User
) -> None:
    """A property that does not exist spoils every record there is."""
    write_many(people, 300)
    account.poison = {f"n{n:04}@example.com" for n in range(300)}
    run = start(make(admin))
    carry(run)
    assert (run.state, run.code, run.sent) == (RunState.FAILED, "refused", 0)
    assert "not valid" in run.detail
    assert len(service.asked) <= 4 * 60 + 1


def test_contacts_become_members_of_a_static_list(account: Account, people: Path, admin: User) -> None:
    write_many(people, 120)
    account.bad = {"n0001@example.com"}
    account.forgotten = {"1005"}
    run = start(make(admin, options={"list": "42"}))
    assert carry(run) == RunState.WARNINGS
    assert counted(run) == (120, 120, 118, 2, 0)
    assert len(account.lists["42"]) == len(set(account.lists["42"])) == 118
    assert sorted(code for code, _words in refused(run).values()) == ["not_in_list", "validation_error"]


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [({"list": "43"}, "MANUAL", "not_found"), ({"list": "42"}, "DYNAMIC", "list_not_static")],
)
def test_a_list_that_takes_nobody_ends_the_run_before_anything_is_sent(
    account: Account, people: Path, admin: User, options: dict[str, str], kind: str, code: str
) -> None:
    write_many(people, 3)
    account.kinds["42"] = kind
    run = start(make(admin, options=options))
    carry(run)
    assert (run.state, run.code) == (RunState.FAILED, code)
    assert not account.contacts


def test_a_token_of_another_account_sends_nothing(account: Account, people: Path, admin: User) -> None:
    write_many(people, 3)
    export = export_of_everyone(
        admin, "hubspot", settings={"account": "999"}, secrets={"access_token": TOKEN}, options={}
    )
    run = start(export)
    carry(run)
    assert (run.state, run.code) == (RunState.FAILED, "other_account")
    assert not account.contacts


def test_verify_signs_in_at_the_right_account(account: Account) -> None:
    for settings, token, code in (
        (SETTINGS, TOKEN, ""),
        (SETTINGS, "pat-eu1-another-token-that-is-wrong", "sign_in_refused"),
        ({"account": "999"}, TOKEN, "other_account"),
    ):
        steps = list(HubSpot(settings, {"access_token": token}, gateway()).verify())
        done = StepStatus.FAILED if code else StepStatus.DONE
        assert [step.status for step in steps] == [StepStatus.DONE, StepStatus.DONE, done]
        assert steps[-1].code == code


@pytest.mark.parametrize("odd", ["../1", "12a", "-1", "0", "1/memberships", "9" * 16])
def test_a_list_is_nothing_but_a_number(odd: str, people: Path, admin: User) -> None:
    write_many(people, 1)
    with pytest.raises(OperationError) as caught:
        make(admin, options={"list": odd})
    assert caught.value.fields["option_list"]


@pytest.mark.parametrize("name", ["Email", "firstname", "Lifetime Value", "1st", "ä", "x" * 101])
def test_names_that_are_no_property_are_not_saved(name: str, people: Path, admin: User) -> None:
    write_many(people, 1)
    with pytest.raises(OperationError) as caught:
        make(admin, added=[(name, "email")])
    assert "internal name" in caught.value.fields["items"]


def test_odd_answers_lose_no_row() -> None:
    asked = {"a@x.org": 0, "t0": 0, "b@x.org": 1, "t1": 1}
    odd: tuple[Any, ...] = (None, [], "text", {"results": "x", "errors": 3}, {"results": [None, {"id": "1"}]})
    for nothing in odd:
        made, refusals = read_upserted(nothing, asked, partly=True)
        assert (made, {r.code for r in refusals}, len(refusals)) == ({}, {"not_confirmed"}, 2)
    strangers: dict[str, Any] = {
        "results": [
            {"id": "7", "properties": {"email": "Stranger@x.org"}},
            {"id": "8", "objectWriteTraceId": "t1"},
        ],
        "errors": [{"category": "CONFLICT", "message": "c@x.org is there", "context": {"ids": ["c@x.org"]}}],
    }
    made, refusals = read_upserted(strangers, asked, partly=True)
    assert made == {1: "8"}
    assert [(r.index, r.code, r.reason) for r in refusals] == [(0, "conflict", "… is there")]
    made, refusals = read_upserted(
        {"results": [{"id": "../7", "objectWriteTraceId": "t0"}]}, asked, partly=False
    )
    assert (made, refusals) == ({}, [])
