"""A vault that asks to wait, or says nothing: runs wait within limits, pages answer within ten seconds."""

import time

import pytest
from django.utils import timezone

from connections.models import ConnectionDraft, KeyVault, State, VaultState
from connections.operations.drafts import verify_draft
from connections_portal.models import RunState, User
from exports.models import ExportRun
from tests.connectors.servers import SandboxFactory
from tests.factories import make_draft
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads
from tests.runs.helpers import Delivery, carry, carry_again, start

PAGE_SECONDS = 10.0


@pytest.fixture
def run(delivery: Delivery, double: Double, linked_vault: LinkVault) -> ExportRun:
    """A queued run over a connection whose password is in the vault."""
    double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault())
    return start(delivery.export())


@pytest.mark.parametrize("retry_after", [None, 1])
def test_a_short_throttling_is_waited_for_within_the_attempt(
    run: ExportRun, double: Double, retry_after: int | None
) -> None:
    double.troubles.throttled, double.troubles.retry_after = 2, retry_after
    assert carry(run) == "successful"
    assert run.attempt == 1


@pytest.mark.parametrize(("asked", "least", "most"), [(90, 90, 108), (7200, 300, 360)])
def test_a_run_comes_back_when_the_vault_asked_it_to_and_after_five_minutes_at_most(
    run: ExportRun, delivery: Delivery, double: Double, asked: int, least: int, most: int
) -> None:
    double.troubles.throttled, double.troubles.retry_after = 100, asked
    began = time.monotonic()
    assert carry(run) == "retry"
    # the worker does not sleep it off
    assert time.monotonic() - began < PAGE_SECONDS
    assert (run.state, run.code) == (RunState.QUEUED, "vault_throttled")
    wait = (run.not_before - timezone.now()).total_seconds()
    assert least - 2 <= wait <= most
    delivery.connection.refresh_from_db()
    assert delivery.connection.state == State.READY
    assert KeyVault.objects.get().state == VaultState.WORKING
    assert delivery.box.seen.requests == []
    double.troubles.throttled = 0
    assert carry_again(run) == "successful"


@pytest.fixture
def draft(delivery: Delivery, double: Double, linked_vault: LinkVault, admin: User) -> ConnectionDraft:
    """A set-up whose password is to be read from the vault."""
    double.vault.put(NAME, delivery.server.password)
    draft = make_draft(
        actor=admin,
        settings=delivery.connection.settings,
        secrets={"password": "typed before"},
        host_key=delivery.server.public_key,
        verified=False,
    )
    read_from(draft, linked_vault())
    return draft


@pytest.mark.parametrize("retry_after", [30, None])
def test_a_page_is_not_kept_waiting_by_a_vault_that_asks_for_it(
    draft: ConnectionDraft, double: Double, admin: User, retry_after: int | None
) -> None:
    double.troubles.throttled, double.troubles.retry_after = 100, retry_after
    began = time.monotonic()
    draft = verify_draft(draft=draft, actor=admin)
    assert time.monotonic() - began < 3
    last = draft.verification[-1]
    assert (last["key"], last["code"]) == ("sign_in", "vault_throttled")
    # one request with a token, and no second one
    assert [seen.status for seen in double.cloud.requests(host=double.vault.host) if seen.bearer] == [429]
    assert reads(double) == []


def test_a_page_ends_in_ten_seconds_with_a_vault_that_says_nothing(
    draft: ConnectionDraft, delivery: Delivery, double: Double, admin: User
) -> None:
    double.troubles.silent.add(double.vault.host)
    began = time.monotonic()
    draft = verify_draft(draft=draft, actor=admin)
    assert time.monotonic() - began < PAGE_SECONDS + 0.5
    assert draft.verification[-1]["code"] == "vault_unreachable"
    assert delivery.box.seen.passwords == 0


def test_what_the_vault_took_is_taken_off_the_time_for_the_server(sandbox_server: SandboxFactory) -> None:
    with sandbox_server(silent=True) as (server, _box):
        connector = server.connector()
        connector.spent = 9.0
        began = time.monotonic()
        steps = list(connector.verify())
        assert time.monotonic() - began < 2
    assert steps[-1].code == "server_silent"
