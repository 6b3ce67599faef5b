"""A secret that is changed in the vault is used at once: a refused sign-in has it read again, once per run."""

from dataclasses import dataclass
from typing import Any

import pytest

from connections.models import Connection, State, VaultSecret
from connections.operations.vault_checks import look_at
from connections.vault_cache import cache
from connections_portal.models import RunState, WhoActs
from tests.enrichments.bringing import Bringing
from tests.enrichments.bringing import carry as carry_import
from tests.key_vault.double import Double, LinkVault
from tests.key_vault.using import NAME, read_from, reads, told
from tests.runs.helpers import Delivery, carry, start

NEW = "the-new-password"


@dataclass(kw_only=True)
class Kind:
    """A kind of run, over a connection that reads its password from the vault."""

    connection: Connection
    box: Any
    begin: Any
    carry: Any
    done: str

    def go_on(self, run: Any) -> str:
        """The next attempt, which must be due by now."""
        assert run.state == RunState.QUEUED, (run.state, run.code, run.detail)
        outcome: str = self.carry(run)
        return outcome


@pytest.fixture(params=["export", "enrichment"])
def kind(request: pytest.FixtureRequest, double: Double, linked_vault: LinkVault) -> Kind:
    """Exports and enrichments alike; the password was read a moment ago and is in memory."""
    if request.param == "export":
        delivery: Delivery = request.getfixturevalue("delivery")
        export = delivery.export()
        made = Kind(
            connection=delivery.connection,
            box=delivery.box,
            begin=lambda: start(export),
            carry=carry,
            done="successful",
        )
    else:
        bringing: Bringing = request.getfixturevalue("bringing")
        bringing.put()
        enrichment = bringing.enrichment()
        made = Kind(
            connection=bringing.connection,
            box=bringing.box,
            begin=lambda: bringing.start(enrichment),
            carry=carry_import,
            done="warnings",
        )
    double.vault.put(NAME, made.box.password)
    read_from(made.connection, linked_vault())
    assert made.carry(made.begin()) == made.done
    return made


def rotate(kind: Kind, double: Double) -> str:
    """Change the password at the server and in the vault, as whoever rotates it does; the new version."""
    kind.box.password = NEW
    return double.vault.put(NAME, NEW)


@pytest.mark.both_databases
def test_a_rotated_secret_is_picked_up_in_the_same_run(kind: Kind, double: Double) -> None:
    version = rotate(kind, double)
    run = kind.begin()
    most = run.max_attempts
    assert kind.carry(run) == "retry"
    # it is due at once, and the attempt does not count
    assert (run.code, run.max_attempts) == ("secret_rotated", most + 1)
    assert kind.go_on(run) == kind.done
    assert [attempt.code for attempt in run.attempts.order_by("number")] == ["secret_rotated", ""]
    assert VaultSecret.objects.get().version == version
    kind.connection.refresh_from_db()
    assert kind.connection.state == State.READY
    # asked for again once; the second attempt uses what was read then
    assert len(reads(double)) == 2
    assert [read["version"] for read in told("vault.secret_read")][-1] == version


def test_a_secret_that_is_simply_wrong_is_not_tried_again(kind: Kind, double: Double) -> None:
    kind.box.password = NEW
    seen = kind.box.seen.passwords
    run = kind.begin()
    assert kind.carry(run) == "failed"
    assert (run.code, run.who_acts) == ("sign_in_refused", WhoActs.ADMINISTRATOR)
    assert kind.box.seen.passwords == seen + 1
    assert len(reads(double)) == 2
    kind.connection.refresh_from_db()
    assert (kind.connection.state, kind.connection.state_code) == (State.NEEDS_ATTENTION, "sign_in_refused")


def test_it_is_read_again_once_per_run(kind: Kind, double: Double) -> None:
    kind.box.password = "of nobody"
    run = kind.begin()
    double.vault.put(NAME, "the second")
    assert kind.carry(run) == "retry"
    # changed again while the run waits, and in memory is the second one still
    double.vault.put(NAME, "the third")
    seen = len(reads(double))
    assert kind.go_on(run) == "failed"
    assert run.code == "sign_in_refused"
    assert len(reads(double)) == seen
    # the next run may do it again
    kind.box.password = "the third"
    following = kind.begin()
    assert kind.carry(following) == "retry"
    assert kind.go_on(following) == kind.done
    kind.connection.refresh_from_db()
    assert kind.connection.state == State.READY


def test_a_vault_that_hands_it_out_no_more_is_what_is_wrong(kind: Kind, double: Double) -> None:
    kind.box.password = NEW
    double.vault.change(NAME, enabled=False)
    run = kind.begin()
    assert kind.carry(run) == "failed"
    assert (run.code, run.who_acts) == ("vault_secret_disabled", WhoActs.ADMINISTRATOR)


def test_a_stored_secret_is_not_looked_for_in_a_vault(
    delivery: Delivery, double: Double, linked_vault: LinkVault
) -> None:
    linked_vault()
    delivery.box.faults.refuse_sign_in = True
    run = start(delivery.export())
    assert carry(run) == "failed"
    assert run.code == "sign_in_refused"
    assert double.cloud.requests(host=double.vault.host) == []


def test_a_fixed_version_does_not_rotate(delivery: Delivery, double: Double, linked_vault: LinkVault) -> None:
    version = double.vault.put(NAME, delivery.server.password)
    read_from(delivery.connection, linked_vault(), pinned=version)
    double.vault.put(NAME, NEW)
    delivery.box.password = NEW
    run = start(delivery.export())
    assert carry(run) == "failed"
    assert (run.code, run.who_acts) == ("sign_in_refused", WhoActs.ADMINISTRATOR)


@pytest.mark.both_databases
def test_the_second_attempt_may_be_another_workers(kind: Kind, double: Double) -> None:
    """Which has the value from before in its own memory, and knows of the newer version from the database."""
    elsewhere = dict(cache._kept)
    rotate(kind, double)
    run = kind.begin()
    assert kind.carry(run) == "retry"
    for key, kept in elsewhere.items():
        cache.put(key, kept.value, kept.version)
    assert kind.go_on(run) == kind.done, (run.code, run.detail)
    kind.connection.refresh_from_db()
    assert kind.connection.state == State.READY


def test_a_version_that_a_check_has_seen_is_read_at_the_next_run(kind: Kind, double: Double) -> None:
    rotate(kind, double)
    look_at(vault_id=VaultSecret.objects.get().vault_id)
    run = kind.begin()
    assert kind.carry(run) == kind.done, (run.code, run.detail)
    assert run.attempt == 1
