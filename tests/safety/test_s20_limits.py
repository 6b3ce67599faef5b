"""S20: verifications are few at a time, few a minute, and stop before an account is locked out elsewhere."""

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import NoReturn

import pytest
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from connections.connectors import network_errors, sftp_verify
from connections.connectors.base import StepStatus
from connections.connectors.sftp import Sftp
from connections.models import ConnectionDraft
from connections.operations import limits
from connections.operations.drafts import verify_draft
from connections.operations.limits import TooMany
from connections_portal.models import AuditEntry, User
from connections_portal.roles import Role
from connections_portal.sandbox import SandboxServer
from tests.connections.filling import SetUp, verify_error
from tests.connectors.servers import SandboxFactory, Server
from tests.factories import SECRETS, SETTINGS, make_draft
from tests.fixtures import make_person

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = dt.timedelta(minutes=1, seconds=1)


@pytest.fixture
def served(
    sandbox_server: SandboxFactory, allow_outgoing: Callable[[int], None]
) -> Iterator[tuple[Server, SandboxServer]]:
    with sandbox_server() as (server, box):
        allow_outgoing(server.port)
        yield server, box


def draft_for(server: Server, actor: User, *, trusted: bool = True, **changes: str) -> ConnectionDraft:
    """Not verified yet; ``changes`` of settings, or of the password."""
    password = changes.pop("password", server.password)
    return make_draft(
        actor=actor,
        verified=False,
        host_key=server.public_key if trusted else "",
        settings={
            "auth_method": "password",
            "username": server.username,
            "hostname": f"{server.host}:{server.port}",
            "export_folder": "exports",
        }
        | changes,
        secrets={"password": password},
    )


def test_ten_a_minute_for_one_person(served: tuple[Server, SandboxServer], admin: User) -> None:
    server, _box = served
    for number in range(2, 12):  # hosts are all others; nothing is allowed out, so none is reached
        verify_draft(draft=draft_for(server, admin, hostname=f"127.0.0.{number}"), actor=admin)
    last = draft_for(server, admin)
    with pytest.raises(TooMany, match="Ten verifications a minute"):
        verify_draft(draft=last, actor=admin)
    somebody_else = make_person("otto", Role.ADMINISTRATOR)
    assert verify_draft(draft=draft_for(server, somebody_else), actor=somebody_else).verified_at
    # and a minute later it is free again
    assert verify_draft(draft=last, actor=admin, now=timezone.now() + MINUTE).verified_at


def test_ten_a_minute_at_one_host(served: tuple[Server, SandboxServer]) -> None:
    server, box = served
    people = [make_person(f"admin{number}", Role.ADMINISTRATOR) for number in range(3)]
    for number in range(10):
        person = people[number % 2]
        verify_draft(draft=draft_for(server, person, trusted=False, export_folder=f"f{number}"), actor=person)
    third = people[2]
    with pytest.raises(TooMany, match="Ten verifications a minute"):
        verify_draft(draft=draft_for(server, third), actor=third)
    assert box.seen.requests == []
    with pytest.raises(TooMany):  # another port is the same machine
        verify_draft(draft=draft_for(server, third, hostname="127.0.0.1:2001"), actor=third)
    elsewhere = draft_for(server, third, hostname="127.0.0.2:2001")
    assert verify_draft(draft=elsewhere, actor=third).verification


def test_five_refused_sign_ins_pause_the_account_for_everybody(
    served: tuple[Server, SandboxServer], admin: User
) -> None:
    server, box = served
    for number in range(5):
        wrong = draft_for(server, admin, password=f"wrong-password-{number}")
        assert verify_draft(draft=wrong, actor=admin).verification[-1]["code"] == "sign_in_refused"
    assert box.seen.passwords == 5
    somebody_else = make_person("otto", Role.ADMINISTRATOR)
    for folder in ("exports", "another"):  # the folder is no way around it
        right = draft_for(server, somebody_else, export_folder=folder)
        with pytest.raises(TooMany, match="refused this account five times"):
            verify_draft(draft=right, actor=somebody_else)
    assert box.seen.passwords == 5
    other_account = draft_for(server, somebody_else, username="another")
    assert verify_draft(draft=other_account, actor=somebody_else).verification[-1]["key"] == "sign_in"
    later = timezone.now() + limits.REFUSED_PAUSE + MINUTE
    assert verify_draft(draft=right, actor=somebody_else, now=later).verified_at


def test_two_at_a_time(
    served: tuple[Server, SandboxServer], admin: User, client_of: Callable[[User | None], Client]
) -> None:
    """Both places are taken by verifications that a server keeps waiting; the third is told so at once."""
    server, box = served
    box.faults.hold_rename = True
    first = draft_for(server, admin, export_folder="first")

    def verify() -> ConnectionDraft:
        try:
            return verify_draft(draft=first, actor=admin)
        finally:
            database.close()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(verify)
        try:
            assert box.holding.wait(20)
            second_place = limits._slots.acquire(blocking=False)
            assert second_place
            assert not limits._slots.acquire(blocking=False)
            page = SetUp(client_of(admin), htmx=True).fill(server)
            before = AuditEntry.objects.count()
            assert page.verify().status_code == 429
            assert verify_error(page.page).startswith("Two other verifications are running.")
            assert AuditEntry.objects.count() == before
            # what was typed is kept, and works as soon as there is a place
            limits._slots.release()
            assert page.verify().status_code == 200
            assert "Trust this server" in page.page
        finally:
            box.release()
        assert waiting.result(20).verified_at
    # every place was given back, also by those that failed
    assert all(limits._slots.acquire(blocking=False) for _place in range(2))
    limits._slots.release(2)


class SlowNames:
    """A way out on which looking the name up takes so many seconds, and nothing answers then."""

    ca_file = ""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 1_000.0
        self.patience: list[float] = []

    def resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.now += self.seconds
        return ("9.9.9.9",)

    def connect(self, host: str, port: int, *, timeout: float) -> NoReturn:
        self.patience.append(timeout)
        raise network_errors.no_answer()


@pytest.mark.parametrize(
    ("spent", "left"), [(0, 5), (1, 5), (4, 5), (6, 4), (9.5, 0.5), (10, 0.01), (60, 0.01)]
)
def test_five_seconds_for_a_step_and_ten_for_all(
    monkeypatch: pytest.MonkeyPatch, spent: float, left: float
) -> None:
    """What a step may take is what is left of both, by the clock of the verification."""
    assert (sftp_verify.STEP_SECONDS, sftp_verify.ALL_SECONDS) == (5, 10)
    way_out = SlowNames(spent)
    monkeypatch.setattr(sftp_verify, "time", SimpleNamespace(monotonic=lambda: way_out.now))
    steps = list(Sftp(Sftp.clean(SETTINGS), SECRETS, way_out).verify())
    assert [(step.key, step.status) for step in steps] == [
        ("name", StepStatus.DONE),
        ("reach", StepStatus.FAILED),
    ]
    assert way_out.patience == [pytest.approx(left)]
