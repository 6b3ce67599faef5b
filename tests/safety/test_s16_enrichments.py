"""S16: no import without a verification and an agreement that match where the connection leads."""

import pytest

from connections.models import Connection, State
from connections_portal.models import AuditEntry, RunState
from tests.enrichments.bringing import Bringing, carry, carry_again, shown

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize(
    ("state", "columns", "code"),
    [
        (State.PAUSED, {}, "paused"),
        (State.PAUSED, {"consent": None}, "paused"),
        (State.NOT_VERIFIED, {"verified_at": None}, "not_verified"),
        (State.READY, {"target_digest": "another"}, "no_consent"),
    ],
)
def test_what_does_not_match_is_refused_before_a_secret_is_read(
    bringing: Bringing, state: State, columns: dict[str, object], code: str
) -> None:
    run = bringing.start(bringing.enrichment())
    Connection.objects.filter(pk=bringing.connection.pk).update(state=state, **columns)
    assert carry(run) == "refused"
    assert (run.state, run.code) == (RunState.FAILED, code)
    assert not AuditEntry.objects.filter(action="secret.used").exists()
    assert bringing.box.seen.requests == []
    assert shown("Scores") is None


def test_a_retry_is_asked_again(bringing: Bringing) -> None:
    run = bringing.start(bringing.enrichment())
    bringing.box.faults.cut_reading_after = 0
    assert carry(run) == "retry"
    Connection.objects.filter(pk=bringing.connection.pk).update(state=State.PAUSED, consent=None)
    assert carry_again(run) == "refused"
    assert run.code == "paused"
    assert AuditEntry.objects.filter(action="secret.used").count() == 1
