"""Mailchimp, against a fake that keeps members as the description of ``POST /lists/{list_id}`` says it does.

Source of the fake's answers: the description of the Marketing API 3.0.55 (``members``, ``update_existing``, ``errors``
with ``email_address``, ``error`` and ``error_code``), and its error document after RFC 7807.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from connections.connectors.base import StepStatus
from connections.connectors.mailchimp import Mailchimp, refusals
from connections.outgoing import gateway
from connections_portal.errors import OperationError
from connections_portal.models import RunState, User
from exports.models import Export
from tests.runs.helpers import carry, start
from tests.services.people import ADDED, counted, export_of_everyone, refused, write_many, write_people
from tests.services.serving import Asked, Reply, Service

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "0123456789abcdef0123456789abcdef-us21"
SETTINGS = {"data_center": "us21"}
AUDIENCE = "abc123def4"
Bad = Callable[[dict[str, Any]], str]


class Audience:
    """Members by address. ``bad`` says what is wrong with a member, or nothing; ``poison`` refuses a whole call."""

    def __init__(self) -> None:
        self.members: dict[str, dict[str, Any]] = {}
        self.bad: Bad = lambda member: ""
        self.poison = ""

    def __call__(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != "Basic " + base64.b64encode(f"any:{KEY}".encode()).decode():
            return Reply(401, {"title": "API Key Invalid", "status": 401, "detail": f"Not {KEY}."})
        path = asked.path.partition("?")[0]
        if path == "/3.0/ping":
            return Reply(data={"health_status": "Everything's Chimpy!"})
        if path != f"/3.0/lists/{AUDIENCE}":
            return Reply(404, {"title": "Resource Not Found", "status": 404, "detail": "No such list."})
        if asked.method == "GET":
            return Reply(data={"id": AUDIENCE})
        return self.add(asked.json())

    def add(self, body: dict[str, Any]) -> Reply:
        addresses = [member["email_address"] for member in body["members"]]
        assert len(set(addresses)) == len(addresses) <= 500
        if self.poison in addresses:
            return Reply(
                400,
                {
                    "title": "Invalid Resource",
                    "detail": "The resource submitted could not be validated.",
                    "instance": f"differs-{len(addresses)}",
                    "errors": [{"field": "email_address", "message": f"{self.poison} is odd"}],
                },
            )
        created, updated, errors = [], [], []
        for member in body["members"]:
            address = member["email_address"]
            if why := self.bad(member):
                errors.append({"email_address": address, "error": why, "error_code": "ERROR_GENERIC"})
            elif address in self.members and not body["update_existing"]:
                errors.append(
                    {"email_address": address, "error": "is there", "error_code": "ERROR_CONTACT_EXISTS"}
                )
            elif address in self.members:
                self.members[address] |= member
                updated.append(self.members[address])
            else:
                self.members[address] = dict(member)
                created.append(member)
        return Reply(
            data={
                "new_members": created,
                "updated_members": updated,
                "errors": errors[::-1],
                "total_created": len(created),
                "total_updated": len(updated),
                "error_count": len(errors),
            }
        )


@pytest.fixture
def audience(service: Service, monkeypatch: pytest.MonkeyPatch) -> Audience:
    monkeypatch.setattr(Mailchimp, "base_url", f"{service.url}/3.0")
    service.answer = audience = Audience()
    return audience


@pytest.fixture
def people(tmp_path: Path, settings: Settings) -> Path:
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'people'}"
    return tmp_path / "people"


def make(admin: User, **how: Any) -> Export:
    options = {"audience": AUDIENCE, "status": "subscribed"} | how.pop("options", {})
    return export_of_everyone(
        admin, "mailchimp", settings=SETTINGS, secrets={"api_key": KEY}, options=options, **how
    )


def test_new_people_are_added_as_asked_with_every_field(
    audience: Audience, people: Path, admin: User
) -> None:
    write_people(people)
    export = make(
        admin,
        options={"status": "pending"},
        mapping=[("email", "email"), ("first_name", "first"), ("last_name", "last")],
        added=[(name.upper(), name) for name in ADDED],
    )
    run = start(export)
    assert carry(run) == RunState.SUCCESSFUL
    assert counted(run) == (5, 5, 3, 0, 2)
    assert sorted(audience.members) == ["ana@example.com", "bo@example.com", "zoë@exämple.org"]
    assert audience.members["ana@example.com"] == {
        "email_address": "ana@example.com",
        "status": "pending",
        "merge_fields": {
            "FNAME": "Ana",
            "LNAME": "Łódź",
            "POINTS": "10",
            "SHARE": "0.5",
            "VIP": "true",
            "BORN": "1990-02-28",
            "SEEN": "2026-01-02T03:04:05Z",
        },
    }
    assert audience.members["zoë@exämple.org"]["merge_fields"]["FNAME"] == 'Zoë "Z" \\ 😀'


def test_who_is_there_keeps_the_status(audience: Audience, people: Path, admin: User) -> None:
    write_people(people)
    for address, status in (("ana@example.com", "unsubscribed"), ("bo@example.com", "subscribed")):
        audience.members[address] = {"email_address": address, "status": status}
    run = start(
        make(admin, options={"status": "pending"}, mapping=[("email", "email"), ("first_name", "first")])
    )
    assert carry(run) == RunState.SUCCESSFUL
    assert counted(run) == (5, 5, 3, 0, 2)
    assert audience.members["ana@example.com"]["status"] == "unsubscribed"
    assert audience.members["ana@example.com"]["merge_fields"] == {"FNAME": "Ana"}
    assert audience.members["bo@example.com"]["status"] == "subscribed"
    assert audience.members["zoë@exämple.org"]["status"] == "pending"


def test_some_are_refused_and_matched_whatever_the_order(
    audience: Audience, service: Service, people: Path, admin: User
) -> None:
    write_many(people, 1_100)
    audience.bad = lambda member: (
        f"{member['email_address']} looks fake or invalid."
        if member["email_address"].endswith("7@example.com")
        else ""
    )
    run = start(make(admin))
    assert carry(run) == RunState.WARNINGS
    assert counted(run) == (1_100, 1_100, 990, 110, 0)
    posted = [len(asked.json()["members"]) for asked in service.asked if asked.method == "POST"]
    assert sorted(posted) == [100, 500, 500]
    assert refused(run) == {
        f"p{n:04}": ("error_generic", "… looks fake or invalid.") for n in range(7, 1_100, 10)
    }


def test_one_that_spoils_a_batch_is_found_and_the_others_arrive(
    audience: Audience, service: Service, people: Path, admin: User
) -> None:
    write_many(people, 500)
    audience.poison = "n0321@example.com"
    run = start(make(admin))
    assert carry(run) == RunState.WARNINGS
    assert counted(run) == (500, 500, 499, 1, 0)
    words = "Invalid Resource The resource submitted could not be validated. email_address: … is odd"
    assert refused(run) == {"p0321": ("refused", words)}
    assert len(service.asked) <= 20
    assert len(audience.members) == 499


def test_two_customers_with_one_address_are_one_member(audience: Audience, people: Path, admin: User) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_many(people, 3)
    twins = {
        "customer_id": ["p0000", "p0001", "p0002"],
        "email": ["twin@example.com", "other@example.com", "TWIN@example.com"],
        "name": ["first", "x", "last"],
    }
    pq.write_table(pa.table(twins), people / "customer.parquet")
    run = start(make(admin, mapping=[("email", "email"), ("first_name", "name")]))
    assert carry(run) == RunState.SUCCESSFUL
    assert counted(run) == (3, 3, 3, 0, 0)
    assert audience.members["twin@example.com"]["merge_fields"] == {"FNAME": "last"}
    assert audience.members["twin@example.com"]["status"] == "subscribed"


def test_an_audience_that_was_deleted_ends_the_run_before_anything_is_sent(
    audience: Audience, service: Service, people: Path, admin: User
) -> None:
    write_many(people, 3)
    run = start(make(admin, options={"audience": "gone123456"}))
    carry(run)
    assert (run.state, run.code) == (RunState.FAILED, "not_found")
    assert [asked.method for asked in service.asked] == ["GET"]
    assert not audience.members


def test_a_key_of_another_data_center_is_not_sent_anywhere(
    audience: Audience, service: Service, people: Path, admin: User
) -> None:
    write_many(people, 3)
    export = export_of_everyone(
        admin,
        "mailchimp",
        settings={"data_center": "us7"},
        secrets={"api_key": KEY},
        options={"audience": AUDIENCE},
    )
    run = start(export)
    carry(run)
    assert (run.state, run.code) == (RunState.FAILED, "other_data_center")
    assert service.asked == []


def test_verify_signs_in(audience: Audience, service: Service) -> None:
    for key, statuses, code in (
        (KEY, [StepStatus.DONE] * 3, ""),
        ("f" * 32 + "-us21", [StepStatus.DONE, StepStatus.DONE, StepStatus.FAILED], "sign_in_refused"),
        ("f" * 32 + "-us7", [StepStatus.DONE, StepStatus.DONE, StepStatus.FAILED], "other_data_center"),
    ):
        steps = list(Mailchimp(SETTINGS, {"api_key": key}, gateway()).verify())
        assert [step.status for step in steps] == statuses
        assert steps[-1].code == code
        assert steps[-1].reachable
    assert [asked.path for asked in service.asked] == ["/3.0/ping"] * 2


@pytest.mark.parametrize("odd", ["../ping", "abc", "ABC123", "abc123/members", "abc 123", "x" * 21, ""])
def test_an_audience_is_nothing_but_an_identifier(odd: str, people: Path, admin: User) -> None:
    write_many(people, 1)
    with pytest.raises(OperationError) as caught:
        make(admin, options={"audience": odd})
    assert caught.value.fields["option_audience"]


@pytest.mark.parametrize("name", ["city", "TOO_LONG_TAG", "A B", "fname", "EMAIL", "Ä", ""])
def test_names_that_are_no_merge_tags_are_not_saved(name: str, people: Path, admin: User) -> None:
    write_many(people, 1)
    with pytest.raises(OperationError) as caught:
        make(admin, added=[(name, "email")])
    assert "merge tag" in caught.value.fields["items"]


def test_answers_about_others_concern_no_row_and_what_is_not_named_was_not_taken() -> None:
    asked = {"a@x.org": 0, "b@x.org": 1, "c@x.org": 2}
    said: dict[str, Any] = {
        "errors": [
            {"email_address": "stranger@x.org", "error": "no"},
            {"email_address": " B@X.org"},
            "odd",
            None,
        ],
        "new_members": [{"email_address": "A@x.org"}, {"email_address": "stranger@x.org"}],
        "total_created": 1,
    }
    assert {(r.index, r.code) for r in refusals(said, asked)} == {(1, "refused"), (2, "not_confirmed")}
    assert {r.code for r in refusals(said | {"total_updated": 1}, asked)} == {"refused"}
    odd: tuple[Any, ...] = ([], None, "text", {"errors": {}}, {"total_created": True})
    for nothing in odd:
        assert {r.code for r in refusals(nothing, asked)} == {"not_confirmed"}
