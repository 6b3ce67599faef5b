"""S12: of a connection others see name and type; rows of customers are for those who build exports, and recorded."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from connections import host_keys
from connections.models import Access, Connection
from connections_portal.models import AuditEntry, RunState, Trigger, User, WhoActs
from exports.models import Export, ExportAttempt, ExportRun
from exports.operations.run import enqueue_run
from tests.factories import make_connection
from tests.runs.helpers import make_export
from tests.test_access_matrix import MATRIX, address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("customer_data")]

Clients = Callable[[User | None], Client]
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2VrZXlmYWtla2V5ZmFrZWtleWZha2VrZXlm"
WORDS_OF_THE_SERVER = "words-of-the-server"
PLACES = (
    "canary-host.example",
    ":2345",
    "canaryaccount",
    "canaryfolder",
    HOST_KEY.split()[1],
    host_keys.fingerprint(HOST_KEY),
    WORDS_OF_THE_SERVER,
)


@pytest.fixture
def export(admin: User, contributor: User) -> Export:
    """A failed run, with what the server said, on a connection whose every part can be told."""
    connection = make_connection(
        actor=admin,
        name="Newsletter for Europe",
        access=Access.SPECIFIC,
        people=[contributor],
        settings={
            "auth_method": "password",
            "username": "canaryaccount",
            "hostname": "canary-host.example:2345",
            "export_folder": "canaryfolder",
        },
        host_key=HOST_KEY,
    )
    Connection.objects.update(state_cause=WORDS_OF_THE_SERVER)
    export = make_export(connection, actor=contributor)
    run = enqueue_run(export=export, actor=contributor, trigger=Trigger.PERSON)
    failed = {
        "cause": "The server refused the sign-in.",
        "detail": WORDS_OF_THE_SERVER,
        "code": "sign_in_refused",
    }
    ExportRun.objects.update(state=RunState.FAILED, who_acts=WhoActs.ADMINISTRATOR, **failed)
    ExportAttempt.objects.create(
        run=run, number=1, started_at=timezone.now(), outcome=ExportAttempt.Outcome.FAILED, **failed
    )
    return export


def pages(client: Client, export: Export) -> dict[str, str]:
    """Every page of the portal about this export, whatever the answer is."""
    return {name: b"".join(client.get(address(name, export))).decode() for name in MATRIX}


@pytest.mark.parametrize("role", ["contributor", "outsider", "viewer", "support", "nobody"])
def test_others_see_name_type_and_fixed_sentences(
    export: Export, role: str, request: pytest.FixtureRequest, client_of: Clients
) -> None:
    seen = pages(client_of(request.getfixturevalue(role)), export)
    for name, page in seen.items():
        for place in PLACES:
            assert place not in page, f"{place} on {name}"
    if role in ("contributor", "outsider", "viewer"):
        assert "Newsletter for Europe" in seen["exports:list"]
        assert "SFTP" in seen["exports:list"]
        assert "The server refused the sign-in." in seen["exports:run"]


def test_an_administrator_sees_them(export: Export, admin: User, client_of: Clients) -> None:
    """Which shows that the places looked for above are the right ones."""
    seen = "".join(pages(client_of(admin), export).values())
    for place in PLACES:
        if place != HOST_KEY.split()[1]:
            assert place in seen, place


@pytest.mark.parametrize(
    ("role", "sees"), [("admin", True), ("contributor", True), ("outsider", True), ("viewer", False)]
)
@pytest.mark.parametrize("item", [("segment", "loyal"), ("table", "orders")])
def test_rows_of_customers(
    role: str, sees: bool, item: tuple[str, str], request: pytest.FixtureRequest, client_of: Clients
) -> None:
    person = request.getfixturevalue(role)
    url = reverse("tables:detail", args=item)
    value = {"segment": "ana@example.com", "table": "20.25"}[item[0]]
    assert value not in client_of(person).get(url).content.decode()
    assert not AuditEntry.objects.filter(action="table.sample_viewed").exists()
    assert (value in client_of(person).get(f"{url}?sample=1").content.decode()) is sees
    looked = AuditEntry.objects.filter(action="table.sample_viewed")
    assert [entry.actor_id for entry in looked] == ([person.pk] if sees else [])
