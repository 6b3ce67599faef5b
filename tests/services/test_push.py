"""Runs that send records: every row accounted for, whatever the service answers."""

import base64
import datetime as dt
import hashlib
import hmac
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from connections.connectors.records import Chunk, Outcome, Rejection
from connections_portal.models import RunState, User
from exports.item import Item
from exports.models import Export, ItemKind, RejectedRow
from exports.operations.edit import Timing, create_export
from exports.operations.rejected import forget_rejected
from tests.connections.conftest import Clients
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


def test_refused_records_are_kept_by_cause_downloaded_and_sent_again_alone(
    service: Service, export: Export, admin: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver of a webhook refuses whole deliveries only: one that names records is put in its place."""

    def send(delivery: object, chunk: Chunk) -> Outcome:
        refused = [n for n, key in enumerate(chunk.keys) if key == "c4"]
        return Outcome(
            rejected=tuple(Rejection(index=n, code="bad_mail", reason="=no mail") for n in refused)
        )

    monkeypatch.setattr("connections.connectors.webhook._Delivery.send", send)
    run = start(export)
    assert carry(run) == RunState.WARNINGS
    assert (run.read, run.sent, run.rejected, run.left_out) == (2, 1, 1, 0)
    monkeypatch.undo()
    client = client_of(admin)
    url = reverse("exports:run", args=[export.uuid, run.uuid])
    page = client.get(url).content.decode()
    assert "bad mail" in page
    assert "=no mail" in page
    answer = client.post(reverse("exports:rejected", args=[export.uuid, run.uuid]))
    assert b"".join(answer).decode().splitlines()[1:] == ["c4,rich,bad_mail,'=no mail"]
    client.post(reverse("exports:retry_rejected", args=[export.uuid, run.uuid]))
    again = export.runs.get(retries=run)
    assert carry(again) == RunState.SUCCESSFUL
    assert (again.selected, again.read, again.sent) == (1, 1, 1)
    (asked,) = service.asked
    assert [record["customer_id"] for record in asked.json()["records"]] == ["c4"]
    assert forget_rejected(now=timezone.now() + dt.timedelta(days=31)) == 1
    assert "not kept any more" in client.get(url).content.decode()
