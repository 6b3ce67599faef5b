"""Whatever a service does instead of answering: a clear cause, who acts, every row accounted for, nothing leaked."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from connections.connectors import hubspot, mailchimp
from connections.connectors.errors import TryLater
from connections.connectors.http import answers, client, sending
from connections_portal.models import RunState, User, WhoActs
from exports.models import Export, ExportRun, RejectedRow
from tests.runs.helpers import carry, carry_again, start
from tests.services import test_hubspot, test_mailchimp
from tests.services.people import counted, write_many
from tests.services.serving import Asked, Reply, Service

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = 250
SECRETS = (test_mailchimp.KEY, test_hubspot.TOKEN)
Trouble = Callable[[Asked], Reply | None]


class Troubled:
    """A service that is well, but for what ``trouble`` answers to its batches."""

    def __init__(self, well: Callable[[Asked], Reply]) -> None:
        self.well = well
        self.batches = 0
        self.trouble: Trouble = lambda asked: None

    def __call__(self, asked: Asked) -> Reply:
        if asked.method != "POST":
            return self.well(asked)
        self.batches += 1
        return self.trouble(asked) or self.well(asked)

    def at_first(self, *replies: Reply) -> None:
        """These replies to the first batches, in turn."""
        turn = iter(replies)
        self.trouble = lambda asked: next(turn, None)


@pytest.fixture(params=["mailchimp", "hubspot"])
def made(
    request: pytest.FixtureRequest,
    service: Service,
    admin: User,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[tuple[Troubled, Export]]:
    """A service and an export of 250 people to it; afterwards no key of it stands in any log."""
    settings.CUSTOMER_DATA_URL = f"duckdb://{tmp_path / 'people'}"
    write_many(tmp_path / "people", ROWS)
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(mailchimp.Mailchimp, "base_url", f"{service.url}/3.0")
    monkeypatch.setattr(hubspot.HubSpot, "base_url", service.url)
    caplog.set_level(logging.DEBUG)
    wells: dict[str, Callable[[], Callable[[Asked], Reply]]]
    wells = {"mailchimp": test_mailchimp.Audience, "hubspot": test_hubspot.Account}
    well = wells[request.param]()
    make = {"mailchimp": test_mailchimp.make, "hubspot": test_hubspot.make}[request.param]
    service.answer = troubled = Troubled(well)
    yield troubled, make(admin)
    assert not [secret for secret in SECRETS if secret in caplog.text]


def told(run: ExportRun) -> str:
    """Everything that is kept of how the run went."""
    attempts = [str(vars(attempt)) for attempt in run.attempts.all()]
    return " ".join([run.code, run.cause, run.remedy, run.detail, *attempts])


def assert_all_arrived(run: ExportRun) -> None:
    assert run.state == RunState.SUCCESSFUL, told(run)
    assert counted(run) == (ROWS, ROWS, ROWS, 0, 0)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503),
        Reply(500, body=b"<html>oops</html>", headers={"Content-Type": "text/html"}),
        Reply(429),
        Reply(429, headers={"Retry-After": "0"}),
        Reply(429, headers={"Retry-After": format_datetime(dt.datetime.now(dt.UTC), usegmt=True)}),
        Reply(cut=True),
        Reply(data={"new_members": [], "results": []}, cut_inside=True),
    ],
    ids=["503", "500", "429", "429-seconds", "429-date", "cut", "cut-inside"],
)
def test_what_passes_is_asked_again_and_everybody_arrives(
    made: tuple[Troubled, Export], reply: Reply
) -> None:
    troubled, export = made
    troubled.at_first(reply)
    run = start(export)
    carry(run)
    assert_all_arrived(run)
    assert run.attempts.count() == 1


def test_a_wait_that_was_asked_for_is_kept(made: tuple[Troubled, Export]) -> None:
    troubled, export = made
    times: list[float] = []

    def trouble(asked: Asked) -> Reply | None:
        times.append(time.monotonic())
        return Reply(429, headers={"Retry-After": "1"}) if len(times) == 1 else None

    troubled.trouble = trouble
    run = start(export)
    carry(run)
    assert_all_arrived(run)
    # requests that were under way already are not called back
    assert times[-1] - times[0] >= 1.0


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(503), "service_error"),
        (Reply(429, headers={"Retry-After": "200"}), "throttled"),
        (Reply(cut=True), "server_silent"),
        (Reply(body=b"<!doctype html><p>Sign in", headers={"Content-Type": "text/html"}), "not_json"),
        (Reply(body=b'{"results": ['), "not_json"),
        (Reply(body=b"[" * 100_000), "not_json"),
        (Reply(endless=True), "answer_too_large"),
    ],
    ids=["503", "429", "cut", "html", "half", "deep", "endless"],
)
def test_what_stays_is_tried_later_and_nothing_is_lost(
    made: tuple[Troubled, Export], reply: Reply, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_BYTES", 1_000_000)
    troubled, export = made
    troubled.trouble = lambda asked: reply
    run = start(export)
    carry(run)
    assert (run.state, run.code) == (RunState.QUEUED, code), told(run)
    assert run.cause.endswith(".")
    assert not RejectedRow.objects.exists()
    assert troubled.batches <= 4 * client.TRIES
    troubled.trouble = lambda asked: None
    carry_again(run)
    assert_all_arrived(run)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(302, headers={"Location": "http://169.254.169.254/latest/meta-data"}), "redirected"),
        (Reply(307, headers={"Location": "https://127.0.0.1:1/"}), "redirected"),
        (Reply(401, {"detail": f"Not {SECRETS[0]}", "message": f"Not {SECRETS[1]}"}), "sign_in_refused"),
        (Reply(403, {"detail": "scope", "message": "scope"}), "no_permission"),
        (Reply(404, {"detail": "gone", "message": "gone"}), "not_found"),
    ],
)
def test_what_an_administrator_must_see_to_ends_the_run(
    made: tuple[Troubled, Export], reply: Reply, code: str
) -> None:
    troubled, export = made
    troubled.trouble = lambda asked: reply
    run = start(export)
    carry(run)
    assert (run.state, run.code, run.who_acts) == (RunState.FAILED, code, WhoActs.ADMINISTRATOR)
    assert run.remedy
    assert not RejectedRow.objects.exists()
    assert (run.sent, run.rejected) == (0, 0)
    text = told(run)
    assert not [secret for secret in SECRETS if secret in text]
    assert "169.254" not in text


def test_an_answer_that_was_lost_changes_nothing_when_it_is_sent_again(made: tuple[Troubled, Export]) -> None:
    """The service took the batch, and the line was cut before it said so."""
    troubled, export = made
    lost: list[Any] = []

    def trouble(asked: Asked) -> Reply | None:
        if lost:
            return None
        lost.append(troubled.well(asked))
        return Reply(cut=True)

    troubled.trouble = trouble
    run = start(export)
    carry(run)
    assert_all_arrived(run)
    members = getattr(troubled.well, "members", None) or getattr(troubled.well, "contacts", {})
    assert len(members) == ROWS


def test_a_run_goes_on_behind_what_was_confirmed(made: tuple[Troubled, Export]) -> None:
    troubled, export = made
    asked_about: list[bytes] = []

    def trouble(asked: Asked) -> Reply | None:
        asked_about.append(asked.body)
        return Reply(503) if b"n0249@example.com" in asked.body else None

    troubled.trouble = trouble
    run = start(export)
    carry(run)
    assert (run.state, run.code) == (RunState.QUEUED, "service_error")
    before = len(asked_about)
    troubled.trouble = lambda asked: asked_about.append(asked.body)
    carry_again(run)
    assert_all_arrived(run)
    again = asked_about[before:]
    assert len(again) == 1
    assert b"n0249@example.com" in again[0]


def test_too_large_an_answer_is_none() -> None:
    with pytest.raises(TryLater) as caught:
        answers.read(iter([b"x" * 10] * 11), 100)
    assert caught.value.code == "answer_too_large"
