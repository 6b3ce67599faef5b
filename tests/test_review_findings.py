"""Faults that a reviewer found; each was shown here before it was mended."""

import base64
import logging
import threading
from collections.abc import Callable

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import Settings

from connections.connectors import addresses, ssh_keys
from connections.connectors.base import Step, StepStatus
from connections.connectors.errors import InvalidSettings
from connections.operations.drafts import stored_step
from connections_portal import customer_data, redaction
from connections_portal.customer_data import CustomerDataError, Kind
from connections_portal.errors import NotAllowed, Stale
from connections_portal.models import RunState, Trigger, User
from connections_portal.web import client_address
from exports.item import Item
from exports.models import Export, ItemKind
from exports.operations.execute import execute_run
from exports.operations.run import cancel_run, enqueue_run
from tests.runs.helpers import Delivery, carry, start

ENDLESS = (
    "SELECT c.customer_id FROM customer c, range(1000000000000) r(n) WHERE r.n % 7 = length(c.customer_id)"
)
BROKEN_LINE = "400001,alice.canary@example.com"


@pytest.mark.parametrize(
    "typed",
    [
        "sftp://ana:se://cret@host",
        "sftp://ana:se@cret@host",
        "sftp://ana:se/cret@host/in",
        "ana:secret@host",
        "://ana:secret@host",
        "sftp:ana:secret@host",
    ],
)
def test_no_part_of_a_pasted_password_is_shown_again(typed: str) -> None:
    shown = addresses.without_password(typed)
    assert "cret" not in shown
    assert shown.endswith(("@host", "@host/in"))


def nested(label: str) -> str:
    content = b""
    for _level in range(2_900):
        size = len(content)
        if size < 128:
            length = bytes([size])
        else:
            raw = size.to_bytes(2, "big")
            length = bytes([0x82]) + raw
        content = b"\x30" + length + content
    body = base64.encodebytes(content).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


@pytest.mark.parametrize(
    "label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
)
def test_a_key_of_nothing_but_brackets_is_no_key(label: str) -> None:
    with pytest.raises(InvalidSettings):
        ssh_keys.clean_private_key(nested(label), "passphrase")


def test_an_overflow_inside_a_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()

    def overflow(*args: object) -> None:
        raise OverflowError("can't convert negative int to unsigned")

    monkeypatch.setattr(asyncssh, "import_private_key", overflow)
    with pytest.raises(InvalidSettings):
        ssh_keys.clean_private_key(key, "")


@pytest.mark.django_db(transaction=True)
def test_a_line_that_cannot_be_converted_stays_out_of_the_log(
    delivery: Delivery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    rows = "".join(f"{n},{n}\n" for n in range(400_000))
    (delivery.data / "tables" / "late.csv").write_text(f"id,amount\n{rows}{BROKEN_LINE}\n")
    run = start(delivery.export(Item(kind=ItemKind.TABLE, source="late", fields=("id", "amount"))))
    carry(run)
    assert (run.state, run.code) == (RunState.QUEUED, "customer_data")
    assert "canary" not in caplog.text + run.cause + run.detail


@pytest.mark.django_db(transaction=True)
def test_cancel_frees_a_worker_from_an_endless_question(delivery: Delivery, settings: Settings) -> None:
    settings.RUN_BEAT_SECONDS = 0.2
    (delivery.data / "segments" / "endless.sql").write_text(ENDLESS)
    export = delivery.export(Item(kind=ItemKind.SEGMENT, source="endless", fields=("email",)))
    run = start(export)
    outcome: list[str] = []

    def work() -> None:
        from django.db import connection

        outcome.append(execute_run(run_id=run.pk, worker="elsewhere"))
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    waited = threading.Event()
    for _try in range(100):
        run.refresh_from_db()
        if run.temporary_folder and (delivery.at_server / run.temporary_folder).exists():
            break
        waited.wait(0.1)
    cancel_run(run=run, actor=delivery.admin)
    worker.join(timeout=20)
    assert not worker.is_alive()
    assert outcome == ["lost"]
    run.refresh_from_db()
    assert run.state == RunState.CANCELED
    assert delivery.delivered(export) == {}
    assert not list((delivery.at_server / export.folder_name).glob(".incoming-*"))


def test_an_engine_is_interrupted_from_another_thread(customer_data_folder: None) -> None:
    with customer_data.open_for_run() as engine:
        timer = threading.Timer(0.3, engine.interrupt)
        timer.start()
        with pytest.raises(CustomerDataError):
            engine.rows("SELECT count(*) FROM range(3000000) a, range(3000000) b")
        assert engine.identity(Kind.TABLE, "customer")


@pytest.fixture
def customer_data_folder(customer_data: object) -> None:
    """The customers of the run tests."""


@pytest.mark.django_db(transaction=True)
def test_a_removed_export_does_not_start(delivery: Delivery) -> None:
    export = delivery.export()
    Export.objects.all().delete()
    with pytest.raises(Stale):
        enqueue_run(export=export, actor=delivery.admin, trigger=Trigger.PERSON)


@pytest.mark.django_db(transaction=True)
def test_cancel_asks_for_the_right_itself(delivery: Delivery, viewer: User) -> None:
    run = start(delivery.export())
    with pytest.raises(NotAllowed):
        cancel_run(run=run, actor=viewer)
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_a_servers_words_in_a_note_are_foreign() -> None:
    step = Step(key="folder", status=StepStatus.DONE, milliseconds=1, note="/in\x00box abc" + "x" * 500)
    with redaction.in_use(["abc"]):
        assert stored_step(step)["note"] == ""
    with redaction.in_use(["longer-secret"]):
        note = stored_step(step)["note"]
    assert "\x00" not in note
    assert len(note) <= 300


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "203.0.113.9", "10.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        (1, "", "10.0.0.1"),
    ],
)
def test_the_lock_out_sees_the_client_and_not_what_it_claims(
    settings: Settings, proxies: int, forwarded: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="10.0.0.1")
    assert client_address(request) == expected


@pytest.mark.django_db
def test_somebody_else_is_not_locked_out_behind_the_same_proxy(contributor: User, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1

    def attempt(address: str) -> int:
        wrong = {"username": contributor.username, "password": "wrong"}
        return Client().post(reverse("sign_in"), wrong, headers={"X-Forwarded-For": address}).status_code

    assert [attempt("198.51.100.1") for _ in range(6)][-1] == 429
    assert attempt("203.0.113.9") == 422


@pytest.mark.django_db
def test_no_nul_reaches_the_database(admin: User, client_of: Callable[[User | None], Client]) -> None:
    seen: list[object] = []

    def watch(execute: Callable, sql: str, params: object, many: bool, context: dict) -> object:
        seen.append(params)
        return execute(sql, params, many, context)

    from django.db import connection

    with connection.execute_wrapper(watch):
        client_of(admin).get(reverse("connections:exports"), {"q": "a\x00b"})
        Client().post(reverse("sign_in"), {"username": "a\x00b", "password": "x"})
    assert "\\x00" not in repr(seen)
