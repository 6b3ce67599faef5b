"""Runs that send records: every row accounted for, whatever the service answers."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from connections_portal.models import RunState, User
from exports.item import Item
from exports.models import Export, ItemKind, RejectedRow
from exports.operations.edit import Timing, create_export
from tests.factories import make_connection
from tests.runs.helpers import carry, start
from tests.services.serving import Asked, Reply, Service

pytestmark = pytest.mark.django_db(transaction=True)

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
RICH = Item(
    kind=ItemKind.SEGMENT,
    source="rich",
    fields=("customer_id", "email", "city"),
    mapping=(("customer_id", "customer_id"),),
    added=(("mail", "email"), ("town", "city")),
)


@pytest.fixture
def export(service: Service, data: Path, admin: User) -> Export:
    connection = make_connection(
        actor=admin,
        type_key="webhook",
        settings={"url": f"{service.url}/customers"},
        secrets={"signing_secret": SECRET},
    )
    return create_export(
        name="To our own", connection=connection, options={}, items=[RICH], schedule=Timing(), actor=admin
    )


def test_records_arrive_signed_and_every_row_is_accounted_for(service: Service, export: Export) -> None:
    run = start(export)
    assert carry(run) == RunState.SUCCESSFUL
    assert (run.selected, run.read, run.sent, run.rejected, run.left_out) == (2, 2, 2, 0, 0)
    (asked,) = service.asked
    assert asked.json() == {
        "type": "customers",
        "delivery": f"{run.uuid}.0",
        "records": [
            {"customer_id": "c1", "attributes": {"mail": "ana@example.com", "town": "Łódź"}},
            {
                "customer_id": "c4",
                "attributes": {"mail": 'quote"d, and\r\nsplit@example.org', "town": "Zürich"},
            },
        ],
    }
    signed = b".".join(
        [asked.headers["webhook-id"].encode(), asked.headers["webhook-timestamp"].encode(), asked.body]
    )
    right = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert asked.headers["webhook-signature"] == f"v1,{right}"


@pytest.mark.parametrize(
    ("status", "state", "code"),
    [
        (401, RunState.FAILED, "sign_in_refused"),
        (403, RunState.FAILED, "no_permission"),
        (404, RunState.FAILED, "not_found"),
        (302, RunState.FAILED, "redirected"),
    ],
)
def test_what_only_an_administrator_can_help_ends_the_run(
    service: Service, export: Export, status: int, state: RunState, code: str
) -> None:
    service.answer = lambda asked: Reply(status=status, headers={"Location": "https://127.0.0.1:1/"})
    run = start(export)
    carry(run)
    assert (run.state, run.code) == (state, code)
    assert len(service.asked) == 1
    assert not RejectedRow.objects.exists()


def test_a_cut_line_is_tried_again_under_the_same_number(service: Service, export: Export) -> None:
    cuts = iter([True, False])

    def answer(asked: Asked) -> Reply:
        return Reply(cut=next(cuts))

    service.answer = answer
    run = start(export)
    assert carry(run) == RunState.SUCCESSFUL
    assert [asked.headers["webhook-id"] for asked in service.asked] == [f"{run.uuid}.0"] * 2
